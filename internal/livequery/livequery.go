// Package livequery executes subscriptions. It executes an operation again when its data
// changes, once for all subscribers with the same rights.
package livequery

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/changefeed"
)

const (
	// maxExecuting is the maximum number of queries that execute concurrently. It is small, so
	// that requests need not wait when a change affects many queries.
	maxExecuting = 8
	// pause is the time between two executions of a query. It bounds the load of subscribers
	// to a query whose result changes all the time.
	pause = 50 * time.Millisecond
	// retryDelay is the minimum time between two executions that fail.
	retryDelay = 500 * time.Millisecond
)

// Errors of Subscribe.
var (
	ErrOff          = errors.New("subscriptions are off")
	ErrDisconnected = errors.New("the change feed is disconnected")
	ErrLimit        = errors.New("there are too many subscriptions")
	ErrShutdown     = errors.New("the server is shutting down")
)

// Key identifies a query: its text, and everything on which its result depends besides the
// database.
type Key [32]byte

// Result is the result of an execution: a response, or errors that end the subscription.
type Result struct {
	Payload   []byte
	Errors    gqlerror.List // without a payload; nil if the server is busy
	Retryable bool          // whether another execution may succeed
	Err       error         // admission.ErrShare if the payload does not fit into a share
}

// Options configure a Hub.
type Options struct {
	Feed   *changefeed.Feed  // nil if subscriptions are off
	MaxAge time.Duration     // of a result, even if its rows are unchanged
	Limit  int               // maximum number of subscriptions
	Budget *admission.Budget // for the memory of queries, of their latest results and of their subscriptions
	Parts  int               // into which Limit and Budget are divided; an owner may hold one part; 0 means 1
}

// Hub holds the active live queries.
type Hub struct {
	options   Options
	ctx       context.Context //nolint:containedctx // of all queries, which no request outlives
	cancel    context.CancelFunc
	executing chan struct{}
	running   sync.WaitGroup

	subscriptions *admission.Shares // numbers
	memory        *admission.Shares // bytes

	mu       sync.Mutex
	queries  map[Key]*query
	shutdown bool
	dropped  atomic.Int64
}

// New returns a Hub without queries.
func New(options Options) *Hub {
	h := &Hub{
		options: options, executing: make(chan struct{}, maxExecuting), queries: map[Key]*query{},
		subscriptions: admission.NewShares(admission.NewBudget(int64(options.Limit), nil), options.Parts),
		memory:        admission.NewShares(options.Budget, options.Parts),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Done returns a channel that Shutdown closes.
func (h *Hub) Done() <-chan struct{} { return h.ctx.Done() }

// Shutdown ends all queries, and with them their subscribers. It does not wait.
func (h *Hub) Shutdown() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shutdown = true
	h.cancel()
}

// Register adds a connection for which Wait waits. It returns the function to call when the
// connection is closed, or nil after Shutdown.
func (h *Hub) Register() (done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shutdown {
		return nil
	}
	h.running.Add(1)
	return h.running.Done
}

// Wait waits until all queries and connections have ended after Shutdown. It returns
// ctx.Err() if ctx ends first.
func (h *Hub) Wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		h.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats is the state of a Hub.
type Stats struct {
	Subscriptions, Queries int
	Limit                  int   // subscriptions
	Dropped                int64 // subscriptions of clients that did not read
}

// Stats returns the state.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{int(h.subscriptions.Stats().Reserved), len(h.queries), h.options.Limit, h.dropped.Load()}
}

// CountDropped counts the subscriptions of a client that did not read its events.
func (h *Hub) CountDropped(subscriptions int) { h.dropped.Add(int64(subscriptions)) }

// query is a live query. Its goroutine executes it, once for all its subscribers.
type query struct {
	hub     *Hub
	key     Key
	text    string
	execute func(ctx context.Context, text string) Result
	cancel  context.CancelFunc
	latest  atomic.Pointer[state] // nil until the first execution

	// hub.mu guards the following fields.
	subscribers map[*Subscription]struct{}
	holder      admission.Owner // to whose share the memory of the query is charged
	size        int64           // bytes that are charged to the holder
}

// state is the result of a query at a revision.
type state struct {
	Result
	number   int // of the result, from 1
	revision changefeed.Revision
	readSet  changefeed.ReadSet
}

// Request describes a subscription and its owner.
type Request struct {
	Key     Key
	Text    string                               // of the query
	Execute func(context.Context, string) Result // executes the text
	Notify  func()                               // must not block
	Owner   admission.Owner                      // of the subscription
	Size    int                                  // bytes of memory that the subscriber keeps with the subscription
}

// Subscription is the subscription of one subscriber to a query.
type Subscription struct {
	query    *query
	notify   func()
	owner    admission.Owner
	size     int64               // bytes of memory
	revision changefeed.Revision // when the subscription began
	sent     int                 // number of the last result
}

// Subscribe subscribes to the query of a key, and starts the query if there is none. The hub
// calls Execute whenever rows of the query's read set may have changed. It calls Notify when
// there may be a new result, or when the rights of users may have changed. The error is
// ErrOff, ErrDisconnected, ErrLimit, ErrShutdown, admission.ErrBusy or admission.ErrShare.
func (h *Hub) Subscribe(r Request) (*Subscription, error) {
	if h.options.Feed == nil {
		return nil, ErrOff
	}
	revision := h.options.Feed.Sync()
	if revision == 0 {
		return nil, ErrDisconnected
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shutdown {
		return nil, ErrShutdown
	}
	s := &Subscription{notify: r.Notify, owner: r.Owner, size: subscriptionOverhead + int64(r.Size), revision: revision}
	if err := h.reserve(s); err != nil {
		return nil, err
	}
	if s.query = h.queries[r.Key]; s.query == nil {
		var err error
		if s.query, err = h.start(r); err != nil {
			h.release(s)
			return nil, err
		}
	}
	s.query.subscribers[s] = struct{}{}
	return s, nil
}

// Text returns the text of the query, which its subscribers share.
func (s *Subscription) Text() string { return s.query.text }

// Next returns the latest result, or nil if it was returned before. It also returns nil while
// the latest result is stale and older than the subscription: a newer result will follow.
func (s *Subscription) Next() *Result {
	latest := s.query.latest.Load()
	if latest == nil || latest.number == s.sent {
		return nil
	}
	if s.sent == 0 && latest.Payload != nil && latest.revision < s.revision && !s.query.hub.options.Feed.IsCurrent(latest.revision, latest.readSet) {
		return nil
	}
	s.sent = latest.number
	return &latest.Result
}

// Repeat makes Next return the latest result once more.
func (s *Subscription) Repeat() { s.sent = 0 }

// Unsubscribe ends the subscription. It may be called more than once.
func (s *Subscription) Unsubscribe() {
	h := s.query.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := s.query.subscribers[s]; !ok {
		return
	}
	h.release(s)
	delete(s.query.subscribers, s)
	if len(s.query.subscribers) == 0 {
		s.query.close()
		return
	}
	s.query.replaceHolder(s.owner)
}

// start starts a query, which outlives the request of its first subscriber. The caller
// holds the lock.
func (h *Hub) start(r Request) (*query, error) {
	q := &query{
		hub: h, key: r.Key, text: r.Text, execute: r.Execute, subscribers: map[*Subscription]struct{}{},
		holder: r.Owner, size: queryOverhead + int64(len(r.Text)),
	}
	if err := h.memory.Reserve(r.Owner, q.size); err != nil {
		return nil, err
	}
	h.queries[r.Key] = q
	ctx, cancel := context.WithCancel(h.ctx)
	q.cancel = cancel
	h.running.Go(func() { q.run(ctx) })
	return q, nil
}

// close ends the query. The next subscriber starts a new one. The caller holds hub.mu.
func (q *query) close() {
	q.cancel()
	if q.hub.queries[q.key] == q {
		delete(q.hub.queries, q.key)
	}
}

// run executes the query until it ends.
func (q *query) run(ctx context.Context) {
	defer q.release()
	for {
		next := q.executeOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := q.resize(cap(next.Payload)); err != nil {
			next.Result = Result{Retryable: errors.Is(err, admission.ErrBusy), Err: err}
		}
		if next.Retryable && q.latest.Load() != nil { // subscribers keep the latest result
			sleep(ctx, retryDelay+rand.N(retryDelay))
			continue
		}
		q.publish(next)
		if next.Payload == nil {
			return
		}
		sleep(ctx, pause)
		q.wait(ctx, next)
		if ctx.Err() != nil {
			return
		}
	}
}

// wait waits until a result may have changed, or has reached its maximum age.
func (q *query) wait(ctx context.Context, result *state) {
	ctx, cancel := context.WithTimeout(ctx, q.hub.options.MaxAge)
	defer cancel()
	for result.revision == 0 && q.hub.options.Feed.Latest() == 0 && ctx.Err() == nil {
		sleep(ctx, retryDelay)
	}
	if result.revision != 0 {
		_ = q.hub.options.Feed.Wait(ctx, result.revision, result.readSet)
	}
}

// executeOnce executes the query, and records the revision and the read set of its result. It
// returns nil if ctx ends while the query waits for its turn.
func (q *query) executeOnce(ctx context.Context) *state {
	select {
	case q.hub.executing <- struct{}{}:
		defer func() { <-q.hub.executing }()
	case <-ctx.Done():
		return nil
	}
	revision := q.hub.options.Feed.Latest()
	ctx, set := db.WithReadSet(ctx)
	return &state{q.execute(ctx, q.text), 1, revision, q.hub.options.Feed.Compact(set)}
}

// publish stores a result and notifies the subscribers. The result gets a new number if it
// differs from the last result. A result without a payload ends the query.
func (q *query) publish(next *state) {
	if last := q.latest.Load(); last != nil {
		next.number = last.number
		if !bytes.Equal(next.Payload, last.Payload) {
			next.number++
		}
	}
	q.latest.Store(next)
	q.hub.mu.Lock()
	defer q.hub.mu.Unlock()
	if next.Payload == nil {
		q.close()
	}
	for s := range q.subscribers {
		s.notify()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
