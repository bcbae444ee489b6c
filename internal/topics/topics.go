// Package topics executes subscriptions: an operation is executed again when what it
// read has changed, once for all subscribers that see the same.
package topics

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
	"portfolio/internal/feed"
)

const (
	// executing is the number of events that are executed at a time. It is small, so
	// that queries need not wait when a change concerns many topics.
	executing = 8
	// pause is the time between two events of a topic, so that one that changes all
	// the time does not keep all its subscribers busy.
	pause = 50 * time.Millisecond
	// retryDelay is the least time between two executions that fail.
	retryDelay = 500 * time.Millisecond
	// overhead is the approximate memory in bytes of a topic, without texts.
	overhead = 4 << 10
)

// Errors of Subscribe.
var (
	ErrOff      = errors.New("subscriptions are off")
	ErrNotHeard = errors.New("changes of the database are not heard")
	ErrLimit    = errors.New("there are too many subscriptions")
	ErrStopping = errors.New("the server is shutting down")
)

// Key tells topics apart: by what is executed, and by all that its result depends on
// besides the database.
type Key [32]byte

// Result is the result of an execution: a response, or errors that end the
// subscription.
type Result struct {
	Payload []byte
	Errors  gqlerror.List // without a payload; nil if the server is busy
	Failed  bool          // it may succeed if it is executed again
}

// Options configure Topics.
type Options struct {
	Feed   *feed.Feed        // nil if subscriptions are off
	MaxAge time.Duration     // of a result, whatever the feed proves
	Limit  int               // subscriptions
	Budget *admission.Budget // of the memory of topics: what they execute, and its latest result
}

// Topics holds what is subscribed to.
type Topics struct {
	options   Options
	ctx       context.Context //nolint:containedctx // of all topics, which no request outlives
	stop      context.CancelFunc
	executing chan struct{}
	running   sync.WaitGroup

	mu            sync.Mutex
	topics        map[Key]*topic
	subscriptions int
	stopped       bool
	dropped       atomic.Int64
}

// New returns Topics without subscriptions.
func New(options Options) *Topics {
	t := &Topics{options: options, executing: make(chan struct{}, executing), topics: map[Key]*topic{}}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// Stopping is closed by Stop.
func (t *Topics) Stopping() <-chan struct{} { return t.ctx.Done() }

// Stop ends all topics, and with them their subscribers.
func (t *Topics) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.stop()
}

// Begin makes Wait wait until the caller calls the function that it returns, which is
// nil after Stop.
func (t *Topics) Begin() (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil
	}
	t.running.Add(1)
	return t.running.Done
}

// Wait waits until everything has ended after Stop. The error is that of ctx.
func (t *Topics) Wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		t.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats is the state of Topics.
type Stats struct {
	Subscriptions, Topics int
	Limit                 int   // subscriptions
	Dropped               int64 // subscriptions of clients that did not read
}

// Stats returns the state.
func (t *Topics) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{t.subscriptions, len(t.topics), t.options.Limit, t.dropped.Load()}
}

// Dropped counts subscriptions of a client that did not read its events.
func (t *Topics) Dropped(subscriptions int) { t.dropped.Add(int64(subscriptions)) }

// topic is what several subscribers see. Its own goroutine executes it.
type topic struct {
	owner   *Topics
	key     Key
	execute func(context.Context) Result
	cancel  context.CancelFunc
	latest  atomic.Pointer[state] // nil until it was executed
	size    int64                 // of its text, with the overhead

	subscribers map[*Subscription]struct{} // owner.mu guards it
}

// state is what a topic was at a mark of the feed.
type state struct {
	Result
	number int // of the result, from 1
	mark   feed.Mark
	tags   feed.Tags
}

// Subscription is the subscription of one subscriber to a topic.
type Subscription struct {
	topic  *topic
	notify func()
	since  feed.Mark
	seen   int // number of the last result
}

// Subscribe subscribes to the topic of a key. If there is none yet it begins, and
// execute, which refers to size bytes, is called when what it read may have changed. The
// function notify is called, and must not block, when there may be a new result, and
// when the rights of viewers may have changed.
func (t *Topics) Subscribe(key Key, size int, execute func(context.Context) Result, notify func()) (*Subscription, error) {
	if t.options.Feed == nil {
		return nil, ErrOff
	}
	since := t.options.Feed.Mark()
	if since == 0 {
		return nil, ErrNotHeard
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	joined := t.topics[key]
	switch {
	case t.stopped:
		return nil, ErrStopping
	case t.subscriptions >= t.options.Limit:
		return nil, ErrLimit
	case joined == nil:
		joined = &topic{owner: t, key: key, execute: execute, size: int64(size) + overhead, subscribers: map[*Subscription]struct{}{}}
		if !t.options.Budget.Take(joined.size) {
			return nil, admission.ErrBusy
		}
		t.topics[key] = joined
		joined.begin()
	}
	s := &Subscription{topic: joined, notify: notify, since: since}
	joined.subscribers[s] = struct{}{}
	t.subscriptions++
	return s, nil
}

// Next returns the latest result, unless it was returned before, or is older than the
// subscription and not current: then there will be another one.
func (s *Subscription) Next() *Result {
	latest := s.topic.latest.Load()
	if latest == nil || latest.number == s.seen {
		return nil
	}
	if s.seen == 0 && latest.Payload != nil && latest.mark < s.since && !s.topic.owner.options.Feed.Current(latest.mark, latest.tags) {
		return nil
	}
	s.seen = latest.number
	return &latest.Result
}

// Leave ends the subscription, unless it has ended.
func (s *Subscription) Leave() {
	t := s.topic.owner
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := s.topic.subscribers[s]; !ok {
		return
	}
	t.subscriptions--
	delete(s.topic.subscribers, s)
	if len(s.topic.subscribers) == 0 {
		s.topic.end()
	}
}

// begin begins to execute the topic, which outlives the request of its first subscriber.
func (t *topic) begin() {
	ctx, cancel := context.WithCancel(t.owner.ctx)
	t.cancel = cancel
	t.owner.running.Go(func() { t.run(ctx) })
}

// end makes the next subscriber begin another topic. The caller holds owner.mu.
func (t *topic) end() {
	t.cancel()
	if t.owner.topics[t.key] == t {
		delete(t.owner.topics, t.key)
	}
}

// run executes the topic until it ends.
func (t *topic) run(ctx context.Context) {
	budget := t.owner.options.Budget
	defer func() { budget.Give(t.size + t.resultSize()) }()
	for {
		next := t.next(ctx)
		if ctx.Err() != nil {
			return
		}
		if !budget.Take(int64(cap(next.Payload))) {
			next.Result = Result{Failed: true}
		}
		if next.Failed && t.latest.Load() != nil { // the subscribers need not know
			sleep(ctx, retryDelay+rand.N(retryDelay))
			continue
		}
		t.publish(next)
		if next.Payload == nil {
			return
		}
		sleep(ctx, pause)
		t.wait(ctx, next)
		if ctx.Err() != nil {
			return
		}
	}
}

// wait returns when a result may have changed, or has reached its maximum age.
func (t *topic) wait(ctx context.Context, result *state) {
	ctx, cancel := context.WithTimeout(ctx, t.owner.options.MaxAge)
	defer cancel()
	_ = t.owner.options.Feed.Wait(ctx, result.mark, result.tags)
}

func (t *topic) resultSize() int64 {
	if latest := t.latest.Load(); latest != nil {
		return int64(cap(latest.Payload))
	}
	return 0
}

// next executes the topic once.
func (t *topic) next(ctx context.Context) *state {
	select {
	case t.owner.executing <- struct{}{}:
		defer func() { <-t.owner.executing }()
	case <-ctx.Done():
		return nil
	}
	mark := t.owner.options.Feed.Heard()
	if mark == 0 {
		return &state{Result: Result{Failed: true}}
	}
	ctx, reads := db.RecordReads(ctx)
	return &state{t.execute(ctx), 1, mark, t.owner.options.Feed.Tags(reads)}
}

// publish notifies the subscribers of a result, and keeps it if it differs from the
// last one. One without a payload ends the topic.
func (t *topic) publish(next *state) {
	if last := t.latest.Load(); last != nil {
		next.number = last.number
		if !bytes.Equal(next.Payload, last.Payload) {
			next.number++
		}
	}
	t.owner.options.Budget.Give(t.resultSize())
	t.latest.Store(next)
	t.owner.mu.Lock()
	defer t.owner.mu.Unlock()
	if next.Payload == nil {
		t.end()
	}
	for s := range t.subscribers {
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
