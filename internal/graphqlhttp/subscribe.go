package graphqlhttp

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/livequery"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

const (
	// maxSubscriptions is the maximum number of subscriptions of one connection.
	maxSubscriptions = 100
	// viewerDelay is the time until a viewer who could not be looked up is looked up
	// again.
	viewerDelay = time.Second
	// eventDelay is the time after which an event for which there was no memory is sent again.
	eventDelay = 100 * time.Millisecond
)

var (
	errSubscriptionsOff = apierror.New(apierror.Unavailable, "Subscriptions are off.")
	errNotHeard         = apierror.New(apierror.Unavailable, "Changes are not heard at the moment. Try again later.")
	errManyTopics       = apierror.New(apierror.Unavailable, "The server has too many subscriptions. Try again later.")
	errShare            = apierror.New(apierror.RateLimited, "You have too many subscriptions, or too large ones. End some first.")
	errStopping         = apierror.New(apierror.Unavailable, "The server is shutting down. Try again later.")
	errManySubscribed   = apierror.BadInput("A connection may have at most %d subscriptions.", maxSubscriptions)
)

// sink is where a subscriber's events are sent to.
type sink interface {
	next(ctx context.Context, record *telemetry.Request, id string, payload []byte) error
	fail(ctx context.Context, id string, errs gqlerror.List) error // ends the subscription
	ping(ctx context.Context) error
}

// subscriber is a client with subscriptions on one connection. It is small, and refers to
// nothing of the request that opened the connection.
type subscriber struct {
	handler       *Handler
	authorization string          // compact, "" if the connection is anonymous
	baseURL       string          // of files
	owner         admission.Owner // of the subscriptions
	wake          chan struct{}   // receives when there may be something to send

	mu            sync.Mutex
	subscriptions map[string]*subscription // by the IDs that the client chose
}

// subscription is a subscription to the topic of what its viewer may see.
type subscription struct {
	*livequery.Subscription
	record *telemetry.Request
	size   int // bytes of memory that the connection keeps for it
	rights string
	end    func() // unless nil, called at its end
}

// newSubscriber returns a subscriber for the sender of a request. It fails if the Host is too
// long.
func (h *Handler) newSubscriber(r *http.Request) (*subscriber, *requestError) {
	if len(r.Host) > maxHost {
		return nil, errLongHost
	}
	return &subscriber{
		handler: h, authorization: compactAuthorization(r.Header.Get("Authorization")),
		baseURL: strings.Clone(h.MediaURL.For(r.Context(), r.Host)), owner: admission.Owner{Address: auth.AddressFrom(r.Context())},
		wake: make(chan struct{}, 1), subscriptions: map[string]*subscription{},
	}, nil
}

const (
	maxHost = 260     // bytes: a name of the Domain Name System and a port
	maxKey  = 4 << 10 // bytes of the key of a token that a connection keeps
)

var errLongHost = badRequest("The Host is too long.")

// compactAuthorization returns a copy of an Authorization header that has the same key and
// no superfluous spaces.
func compactAuthorization(header string) string {
	key, err := parseAuthorization(header)
	switch {
	case header == "":
		return ""
	case err != nil || len(key) > maxKey:
		return "malformed"
	}
	return "Token " + key
}

// setOwner makes the viewer the owner of the subscriptions. If viewer is nil, the IP address
// remains the owner.
func (s *subscriber) setOwner(viewer *db.User) {
	if viewer != nil {
		s.owner = admission.Owner{UserID: viewer.ID}
	}
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

// subscribe adds a subscription. The connection keeps size bytes of memory for it. The
// function end, unless nil, is called at its end.
func (s *subscriber) subscribe(ctx context.Context, viewer *db.User, id, text string, size int, end func()) *gqlerror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subscriptions) >= maxSubscriptions {
		return errManySubscribed
	}
	record := telemetry.RequestFrom(ctx)
	record.Operation = strings.Clone(telemetry.Shorten(record.Operation)) // it refers to the document
	added := &subscription{record: record, size: size, end: end}
	if err := s.join(added, viewer, text); err != nil { //nolint:contextcheck // a topic outlives its first subscriber
		return err
	}
	s.subscriptions[id] = added
	s.notify() // there may be a result
	return nil
}

// join subscribes to the topic of what a viewer may see.
func (s *subscriber) join(added *subscription, viewer *db.User, text string) *gqlerror.Error {
	h, base, id := s.handler, s.baseURL, added.record.ID
	added.rights = rightsOf(viewer)
	hash := sha256.New()
	for _, part := range []string{added.rights, base, text} {
		_, _ = fmt.Fprintf(hash, "%d %s", len(part), part) // never fails
	}
	joined, err := h.Topics.Subscribe(livequery.Request{
		Key: livequery.Key(hash.Sum(nil)), Text: text, Notify: s.notify, Owner: s.owner, Size: added.size,
		Execute: func(ctx context.Context, text string) livequery.Result {
			ctx = telemetry.WithRequest(ctx, &telemetry.Request{ID: id})
			return h.executeEvent(storage.WithBaseURL(auth.WithViewer(ctx, viewer), base), text)
		},
	})
	if err != nil {
		return topicsError(err)
	}
	added.Subscription = joined
	return nil
}

// topicsError returns the error that clients see for an error of package topics.
func topicsError(err error) *gqlerror.Error {
	switch {
	case errors.Is(err, livequery.ErrOff):
		return errSubscriptionsOff
	case errors.Is(err, livequery.ErrNotHeard):
		return errNotHeard
	case errors.Is(err, livequery.ErrStopping):
		return errStopping
	case errors.Is(err, livequery.ErrLimit):
		return errManyTopics
	case errors.Is(err, admission.ErrShare):
		return errShare
	}
	return errBusy
}

// executeEvent executes a subscription once, as a query is executed.
func (h *Handler) executeEvent(ctx context.Context, text string) (result livequery.Result) {
	defer func() {
		if value := recover(); value != nil {
			h.Log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
			result = livequery.Result{Errors: gqlerror.List{apierror.New(apierror.Internal, "Internal error.")}}
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
	if err := request.decode(strings.NewReader(text)); err != nil {
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
func (r response) event() livequery.Result {
	if r.data == nil || slices.ContainsFunc(r.errors, isUnavailable) {
		return livequery.Result{Errors: r.errors, Failed: slices.ContainsFunc(r.errors, isUnavailable)}
	}
	return livequery.Result{Payload: slices.Concat(r.prefix(), r.data, []byte("}"))}
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
			if err := s.failOne(ctx, to, id, ended, gqlerror.List{s.handler.PresentError(ctx, err)}); err != nil {
				return 0, err
			}
		}
		return 0, errRevoked
	case err != nil:
		return viewerDelay, nil //nolint:nilerr // what there is to send is sent later
	}
	again = time.Hour
	if expires != nil {
		again = max(0, time.Until(expires.Time))
	}
	for id, subscribed := range s.subscriptions {
		err := s.deliverOne(ctx, to, id, subscribed, viewer)
		if errors.Is(err, errNoRoom) {
			again = min(again, eventDelay)
		} else if err != nil {
			return 0, err
		}
	}
	return again, nil
}

func (s *subscriber) deliverOne(ctx context.Context, to sink, id string, subscribed *subscription, viewer *db.User) error {
	if rightsOf(viewer) != subscribed.rights {
		subscribed.Leave()
		if err := s.join(subscribed, viewer, subscribed.Text()); err != nil { //nolint:contextcheck // a topic outlives its first subscriber
			return s.failOne(ctx, to, id, subscribed, gqlerror.List{err})
		}
	}
	switch result := subscribed.Next(); {
	case result == nil:
		return nil
	case result.Payload == nil:
		errs := result.Errors
		if errs == nil {
			errs = gqlerror.List{topicsError(result.Err)}
		}
		return s.failOne(ctx, to, id, subscribed, errs)
	default:
		return s.sendEvent(ctx, to, id, subscribed, result.Payload)
	}
}

// errNoRoom means that an event must wait until other events are sent.
var errNoRoom = errors.New("there is no memory for the event")

// sendEvent sends an event. A large event counts for its owner until the client has read it:
// the topic may hold a newer result by then.
func (s *subscriber) sendEvent(ctx context.Context, to sink, id string, subscribed *subscription, payload []byte) error {
	if len(payload) > maxFrame {
		size := int64(min(len(payload), s.handler.MaxResponse))
		if s.handler.Admission.Events.Reserve(s.owner, size) != nil {
			subscribed.Repeat()
			return errNoRoom
		}
		defer s.handler.Admission.Events.Release(s.owner, size)
	}
	return to.next(ctx, subscribed.record, id, payload)
}

// failOne ends a subscription with errors.
func (s *subscriber) failOne(ctx context.Context, to sink, id string, ended *subscription, errs gqlerror.List) error {
	ended.record.Code = codeOf(errs)
	s.remove(id, ended)
	return to.fail(ctx, id, errs)
}

// isRefused reports whether the error of looking up a viewer is that of the token.
func isRefused(err error) bool {
	return errors.Is(err, auth.ErrInvalidToken) || errors.Is(err, auth.ErrInactiveUser)
}
