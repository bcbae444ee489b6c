package graphqlhttp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
	"portfolio/internal/topics"
)

const (
	// maxSubscriptions is the maximum number of subscriptions of one connection.
	maxSubscriptions = 100
	// viewerDelay is the time until a viewer who could not be looked up is looked up
	// again.
	viewerDelay = time.Second
)

var (
	errSubscriptionsOff = apierror.New(apierror.Unavailable, "Subscriptions are off.")
	errNotHeard         = apierror.New(apierror.Unavailable, "Changes are not heard at the moment. Try again later.")
	errManyTopics       = apierror.New(apierror.Unavailable, "The server has too many subscriptions. Try again later.")
	errStopping         = apierror.New(apierror.Unavailable, "The server is shutting down. Try again later.")
	errManySubscribed   = apierror.BadInput("A connection may have at most %d subscriptions.", maxSubscriptions)
)

// sink is where a subscriber's events are sent to.
type sink interface {
	next(ctx context.Context, id string, payload []byte) error
	fail(ctx context.Context, id string, errs gqlerror.List) error // ends the subscription
	ping(ctx context.Context) error
}

// subscriber is a client with subscriptions on one connection.
type subscriber struct {
	handler       *Handler
	authorization string        // of the connection, "" if it is anonymous
	wake          chan struct{} // receives when there may be something to send

	mu            sync.Mutex
	subscriptions map[string]*subscription // by the IDs that the client chose
}

// subscription is a subscription to the topic of what its viewer may see.
type subscription struct {
	*topics.Subscription
	ctx    context.Context //nolint:containedctx // of its request
	text   []byte
	rights string
	end    func() // unless nil, called at its end
}

func (h *Handler) newSubscriber(authorization string) *subscriber {
	return &subscriber{handler: h, authorization: authorization, wake: make(chan struct{}, 1), subscriptions: map[string]*subscription{}}
}

func (s *subscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// viewer returns the viewer of the connection, nil if it is anonymous, and when the
// token expires, nil if it does not.
func (s *subscriber) viewer(ctx context.Context) (*db.User, *db.Time, error) {
	if s.authorization == "" {
		return nil, nil, nil
	}
	key, err := parseAuthorization(s.authorization)
	if err != nil {
		return nil, nil, err
	}
	return s.handler.Auth.Viewer(ctx, key)
}

// rightsOf returns a text that differs if viewers may see different things.
func rightsOf(viewer *db.User) string {
	if viewer == nil {
		return "anonymous"
	}
	return auth.Rights(viewer)
}

// subscribe adds a subscription. The context is that of its request, with the viewer.
func (s *subscriber) subscribe(ctx context.Context, id string, text []byte, end func()) *gqlerror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subscriptions) >= maxSubscriptions {
		return errManySubscribed
	}
	added := &subscription{ctx: ctx, text: text, end: end}
	if err := s.join(added, auth.ViewerFrom(ctx)); err != nil { //nolint:contextcheck // a topic outlives its first subscriber
		return err
	}
	s.subscriptions[id] = added
	s.notify() // there may be a result
	return nil
}

// join subscribes to the topic of what a viewer may see.
func (s *subscriber) join(to *subscription, viewer *db.User) *gqlerror.Error {
	to.rights = rightsOf(viewer)
	base := storage.BaseURL(to.ctx)
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(to.rights), []byte(base), to.text} {
		_, _ = fmt.Fprintf(hash, "%d %s", len(part), part) // never fails
	}
	told := telemetry.RequestFrom(to.ctx)
	id, kind, operation := told.ID, told.Type, told.Operation
	execute := func(ctx context.Context) topics.Result {
		about := &telemetry.Request{ID: id, Type: kind, Operation: operation}
		ctx = storage.WithBaseURL(auth.WithViewer(telemetry.WithRequest(ctx, about), viewer), base)
		return s.handler.executeEvent(ctx, to.text)
	}
	joined, err := s.handler.Topics.Subscribe(topics.Key(hash.Sum(nil)), len(to.text), execute, s.notify)
	switch {
	case err == nil:
		to.Subscription = joined
		return nil
	case errors.Is(err, topics.ErrOff):
		return errSubscriptionsOff
	case errors.Is(err, topics.ErrNotHeard):
		return errNotHeard
	case errors.Is(err, topics.ErrStopping):
		return errStopping
	case errors.Is(err, admission.ErrBusy):
		return errBusy
	}
	return errManyTopics
}

// executeEvent executes a subscription once, as a query is executed.
func (h *Handler) executeEvent(ctx context.Context, text []byte) (result topics.Result) {
	defer func() {
		if value := recover(); value != nil {
			h.Log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
			result = topics.Result{Errors: gqlerror.List{apierror.New(apierror.Internal, "Internal error.")}}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Move(ctx, h.Admission.Lookups); err != nil {
		return h.unavailable(ctx, err).event()
	}
	request := &request{can: accepted{events: true}}
	if err := request.decode(bytes.NewReader(text)); err != nil {
		panic(err) // it was encoded
	}
	found, refused := h.resolve(ctx, request)
	if refused != nil {
		return refused.event()
	}
	operation, refused := h.prepare(ctx, found, request, "")
	if refused != nil {
		return refused.event()
	}
	response := h.runPrepared(ctx, operation, &slot)
	defer response.release()
	return response.event()
}

// event returns a response as the result of a topic.
func (r response) event() topics.Result {
	if r.data == nil || slices.ContainsFunc(r.errors, isUnavailable) {
		return topics.Result{Errors: r.errors, Failed: slices.ContainsFunc(r.errors, isUnavailable)}
	}
	return topics.Result{Payload: slices.Concat(r.prefix(), r.data, []byte("}"))}
}

// leave ends a subscription at the wish of its client.
func (s *subscriber) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.subscriptions[id]; left != nil {
		s.remove(id, left)
	}
}

// remove ends a subscription. The caller holds the lock.
func (s *subscriber) remove(id string, left *subscription) {
	left.Leave()
	delete(s.subscriptions, id)
	if left.end != nil {
		left.end()
	}
}

func (s *subscriber) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscriptions[id] != nil
}

func (s *subscriber) isIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.subscriptions) == 0
}

// close ends all subscriptions. The error is that of writing to the client.
func (s *subscriber) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, errSlow) {
		s.handler.Topics.Dropped(len(s.subscriptions))
	}
	for id, left := range s.subscriptions {
		s.remove(id, left)
	}
}

// Errors that end the loop of a subscriber.
var (
	errSlow    = errors.New("the client does not read its events")
	errRevoked = errors.New("the token is no longer valid")
	errGoAway  = errors.New("the server is shutting down")
	errIdle    = errors.New("the client has no subscriptions")
)

// run sends events until ctx is canceled or it returns why it cannot go on.
func (s *subscriber) run(ctx context.Context, to sink) error {
	pings := time.NewTicker(s.handler.KeepAlive)
	defer pings.Stop()
	timer := time.NewTimer(s.handler.KeepAlive)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.handler.Topics.Stopping():
			return errGoAway
		case <-pings.C:
			if err := to.ping(ctx); err != nil {
				return err
			}
			continue
		case <-s.wake:
		case <-timer.C:
		}
		again, err := s.deliver(ctx, to)
		if err != nil {
			return err
		}
		timer.Reset(again)
	}
}

// deliver sends the results that there are, if the viewer may see them, and returns the
// time until it must be called again.
func (s *subscriber) deliver(ctx context.Context, to sink) (again time.Duration, err error) {
	viewer, expires, err := s.viewer(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case isRefused(err):
		for id, ended := range s.subscriptions {
			if err := s.failOne(to, id, ended, gqlerror.List{s.handler.PresentError(ctx, err)}); err != nil {
				return 0, err
			}
		}
		return 0, errRevoked
	case err != nil:
		return viewerDelay, nil //nolint:nilerr // what there is to send is sent later
	}
	for id, subscribed := range s.subscriptions {
		if err := s.deliverOne(to, id, subscribed, viewer); err != nil { //nolint:contextcheck // as in subscribe
			return 0, err
		}
	}
	if expires != nil {
		return max(0, time.Until(expires.Time)), nil
	}
	return time.Hour, nil
}

func (s *subscriber) deliverOne(to sink, id string, subscribed *subscription, viewer *db.User) error {
	if rightsOf(viewer) != subscribed.rights {
		subscribed.Leave()
		if err := s.join(subscribed, viewer); err != nil {
			return s.failOne(to, id, subscribed, gqlerror.List{err})
		}
	}
	switch result := subscribed.Next(); {
	case result == nil:
		return nil
	case result.Payload == nil:
		return s.failOne(to, id, subscribed, result.Errors)
	default:
		return to.next(subscribed.ctx, id, result.Payload)
	}
}

// failOne ends a subscription with errors, or because the server is busy.
func (s *subscriber) failOne(to sink, id string, ended *subscription, errs gqlerror.List) error {
	if errs == nil {
		errs = gqlerror.List{errBusy}
	}
	telemetry.RequestFrom(ended.ctx).Code = codeOf(errs)
	s.remove(id, ended)
	return to.fail(ended.ctx, id, errs)
}

// isRefused reports whether the error of looking up a viewer is that of the token.
func isRefused(err error) bool {
	return errors.Is(err, auth.ErrInvalidToken) || errors.Is(err, auth.ErrInactiveUser)
}
