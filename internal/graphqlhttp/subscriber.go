package graphqlhttp

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
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
	// viewerDelay is the time between two attempts to look a viewer up.
	viewerDelay = time.Second
	// eventDelay is the time until the next attempt to send an event for which there was no memory.
	eventDelay = 100 * time.Millisecond
)

var (
	errSubscriptionsOff = apierror.New(apierror.Unavailable, "Subscriptions are off.")
	errDisconnected     = apierror.New(apierror.Unavailable, "Subscriptions are temporarily unavailable. Try again later.")
	errManyQueries      = apierror.New(apierror.Unavailable, "The server has too many subscriptions. Try again later.")
	errShare            = apierror.New(apierror.RateLimited, "You have too many subscriptions, or too large ones. End some first.")
	errShutdown         = apierror.New(apierror.Unavailable, "The server is shutting down. Try again later.")
	errManySubscribed   = apierror.BadInput("A connection may have at most %d subscriptions.", maxSubscriptions)
)

// eventWriter writes the events of a subscriber.
type eventWriter interface {
	next(ctx context.Context, record *telemetry.Request, id string, payload []byte) error
	fail(ctx context.Context, id string, errs gqlerror.List) error // ends the subscription
	ping(ctx context.Context) error
}

// subscriber is a client with subscriptions on one connection. It is small, and refers to
// nothing of the request that opened the connection.
type subscriber struct {
	*executor
	authorization string          // compact, "" if the connection is anonymous
	baseURL       string          // of files
	owner         admission.Owner // of the subscriptions
	wake          chan struct{}   // receives a value when there may be a result to send

	mu            sync.Mutex
	subscriptions map[string]*subscription // by the IDs that the client chose
}

// subscription is a client's subscription to a live query.
type subscription struct {
	*livequery.Subscription
	record *telemetry.Request
	size   int    // bytes of memory that the connection keeps for it
	rights string // of the viewer; the live query has the same rights
	done   func() // called when the subscription ends; may be nil
}

// newSubscriber returns a subscriber for the sender of a request. It fails if the Host is too
// long.
func (h *Handler) newSubscriber(r *http.Request) (*subscriber, *requestError) {
	if len(r.Host) > maxHost {
		return nil, errLongHost
	}
	return &subscriber{
		executor: h.executor, authorization: compactAuthorization(r.Header.Get("Authorization")),
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

// viewer returns the viewer of the connection, and the expiry of the token. The viewer is nil if
// the connection is anonymous. The expiry is nil if the token does not expire.
func (s *subscriber) viewer(ctx context.Context) (*db.User, *db.Time, error) {
	if s.authorization == "" {
		return nil, nil, nil
	}
	key, err := parseAuthorization(s.authorization)
	if err != nil {
		return nil, nil, err
	}
	return s.Auth.Viewer(ctx, key)
}

// rightsOf returns the rights of a viewer. Anonymous clients have rights of their own.
func rightsOf(viewer *db.User) string {
	if viewer == nil {
		return "anonymous"
	}
	return auth.Rights(viewer)
}

// subscribe adds a subscription, for which the connection keeps size bytes of memory. It calls
// done, unless nil, when the subscription ends.
func (s *subscriber) subscribe(ctx context.Context, viewer *db.User, id, text string, size int, done func()) *gqlerror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subscriptions) >= maxSubscriptions {
		return errManySubscribed
	}
	record := telemetry.RequestFrom(ctx)
	record.Operation = strings.Clone(telemetry.Truncate(record.Operation)) // it refers to the document
	sub := &subscription{record: record, size: size, done: done}
	if err := s.join(sub, viewer, text); err != nil { //nolint:contextcheck // a live query outlives its first subscriber
		return err
	}
	s.subscriptions[id] = sub
	s.notify() // there may be a result
	return nil
}

// join subscribes sub to the live query of a text and of the rights of a viewer.
func (s *subscriber) join(sub *subscription, viewer *db.User, text string) *gqlerror.Error {
	baseURL, id := s.baseURL, sub.record.ID
	sub.rights = rightsOf(viewer)
	hash := sha256.New()
	for _, part := range []string{sub.rights, baseURL, text} {
		_, _ = fmt.Fprintf(hash, "%d %s", len(part), part) // never fails
	}
	e := s.executor // not s, which the query outlives
	var err error
	sub.Subscription, err = e.Hub.Subscribe(livequery.Request{
		Key: livequery.Key(hash.Sum(nil)), Text: text, Notify: s.notify, Owner: s.owner, Size: sub.size,
		Execute: func(ctx context.Context, text string) livequery.Result {
			ctx = telemetry.WithRequest(ctx, &telemetry.Request{ID: id})
			return e.executeEvent(storage.WithBaseURL(auth.WithViewer(ctx, viewer), baseURL), text)
		},
	})
	if err != nil {
		return subscribeError(err)
	}
	return nil
}

// subscribeError returns the error that clients see for an error of the hub.
func subscribeError(err error) *gqlerror.Error {
	switch {
	case errors.Is(err, livequery.ErrOff):
		return errSubscriptionsOff
	case errors.Is(err, livequery.ErrDisconnected):
		return errDisconnected
	case errors.Is(err, livequery.ErrShutdown):
		return errShutdown
	case errors.Is(err, livequery.ErrLimit):
		return errManyQueries
	case errors.Is(err, admission.ErrShare):
		return errShare
	}
	return errBusy
}

// unsubscribe ends a subscription, if there is one.
func (s *subscriber) unsubscribe(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsubscribeLocked(id)
}

// unsubscribeLocked is like unsubscribe. The caller holds the lock.
func (s *subscriber) unsubscribeLocked(id string) {
	active := s.subscriptions[id]
	if active == nil {
		return
	}
	active.Unsubscribe()
	delete(s.subscriptions, id)
	if active.done != nil {
		active.done()
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

// unsubscribeAll ends all subscriptions. err is the error that ended the connection.
func (s *subscriber) unsubscribeAll(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, errSlow) {
		s.Hub.CountDropped(len(s.subscriptions))
	}
	for id := range s.subscriptions {
		s.unsubscribeLocked(id)
	}
}

// Errors that end subscriber.run.
var (
	errSlow    = errors.New("the client does not read its events")
	errRevoked = errors.New("the token is no longer valid")
	errGoAway  = errors.New("the server is shutting down")
	errIdle    = errors.New("the client has no subscriptions")
)

// run sends events until ctx is canceled or the connection must be closed. It returns the reason.
func (s *subscriber) run(ctx context.Context, events eventWriter) error {
	pings := time.NewTicker(s.KeepAlive)
	defer pings.Stop()
	timer := time.NewTimer(s.KeepAlive)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Hub.Done():
			return errGoAway
		case <-pings.C:
			if err := events.ping(ctx); err != nil {
				return err
			}
			continue
		case <-s.wake:
		case <-timer.C:
		}
		delay, err := s.deliver(ctx, events)
		if err != nil {
			return err
		}
		timer.Reset(delay)
	}
}

// deliver sends the new results that the viewer may see. It returns the time until it must be
// called again.
func (s *subscriber) deliver(ctx context.Context, events eventWriter) (delay time.Duration, err error) {
	viewer, expires, err := s.viewer(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case auth.IsRefusal(err):
		for id, revoked := range s.subscriptions {
			if err := s.sendError(ctx, events, id, revoked, gqlerror.List{s.PresentError(ctx, err)}); err != nil {
				return 0, err
			}
		}
		return 0, errRevoked
	case err != nil:
		return viewerDelay, nil //nolint:nilerr // the results are sent later
	}
	delay = time.Hour
	if expires != nil {
		delay = max(0, time.Until(expires.Time))
	}
	for id, active := range s.subscriptions {
		err := s.deliverOne(ctx, events, id, active, viewer)
		if errors.Is(err, errNoRoom) {
			delay = min(delay, eventDelay)
		} else if err != nil {
			return 0, err
		}
	}
	return delay, nil
}

// deliverOne sends the new result of a subscription, if there is one. If the rights of the
// viewer have changed, it subscribes to the live query of the new rights first.
func (s *subscriber) deliverOne(ctx context.Context, events eventWriter, id string, active *subscription, viewer *db.User) error {
	if rightsOf(viewer) != active.rights {
		active.Unsubscribe()
		if err := s.join(active, viewer, active.Text()); err != nil { //nolint:contextcheck // a live query outlives its first subscriber
			return s.sendError(ctx, events, id, active, gqlerror.List{err})
		}
	}
	switch result := active.Next(); {
	case result == nil:
		return nil
	case result.Payload == nil:
		errs := result.Errors
		if errs == nil {
			errs = gqlerror.List{subscribeError(result.Err)}
		}
		return s.sendError(ctx, events, id, active, errs)
	default:
		return s.sendEvent(ctx, events, id, active, result.Payload)
	}
}

// errNoRoom means that an event must wait until other events are sent.
var errNoRoom = errors.New("there is no memory for the event")

// sendEvent sends an event. A large event is charged to its owner until the client has read it:
// until then it takes memory, even if the live query has a newer result. The error may be
// errNoRoom.
func (s *subscriber) sendEvent(ctx context.Context, events eventWriter, id string, active *subscription, payload []byte) error {
	if len(payload) > maxFrame {
		size := int64(min(len(payload), s.MaxResponse))
		if s.Admission.Events.Reserve(s.owner, size) != nil {
			active.Repeat()
			return errNoRoom
		}
		defer s.Admission.Events.Release(s.owner, size)
	}
	return events.next(ctx, active.record, id, payload)
}

// sendError ends a subscription with errors.
func (s *subscriber) sendError(ctx context.Context, events eventWriter, id string, active *subscription, errs gqlerror.List) error {
	active.record.Code = codeOf(errs)
	s.unsubscribeLocked(id)
	return events.fail(ctx, id, errs)
}
