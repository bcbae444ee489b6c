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
	// executing is the number of events that are executed at a time. It is small, so
	// that queries need not wait when a change concerns many topics.
	executing = 8
	// pause is the time between two events of a topic, so that one that changes all
	// the time does not keep all its subscribers busy.
	pause = 50 * time.Millisecond
	// retryDelay is the least time between two executions that fail.
	retryDelay = 500 * time.Millisecond
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
	Err     error         // admission.ErrShare if the payload does not fit into a share
}

// Options configure Topics.
type Options struct {
	Feed   *changefeed.Feed  // nil if subscriptions are off
	MaxAge time.Duration     // of a result, whatever the feed proves
	Limit  int               // subscriptions
	Budget *admission.Budget // of the memory of topics, of their latest results and of their subscriptions
	Parts  int               // of Limit and Budget; an owner may hold one part; 0 means 1
}

// Topics holds what is subscribed to.
type Topics struct {
	options   Options
	ctx       context.Context //nolint:containedctx // of all topics, which no request outlives
	stop      context.CancelFunc
	executing chan struct{}
	running   sync.WaitGroup

	subscriptions *admission.Shares // numbers
	memory        *admission.Shares // bytes

	mu      sync.Mutex
	topics  map[Key]*topic
	stopped bool
	dropped atomic.Int64
}

// New returns Topics without subscriptions.
func New(options Options) *Topics {
	t := &Topics{
		options: options, executing: make(chan struct{}, executing), topics: map[Key]*topic{},
		subscriptions: admission.NewShares(admission.NewBudget(int64(options.Limit), nil), options.Parts),
		memory:        admission.NewShares(options.Budget, options.Parts),
	}
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
	return Stats{int(t.subscriptions.Stats().Taken), len(t.topics), t.options.Limit, t.dropped.Load()}
}

// Dropped counts subscriptions of a client that did not read its events.
func (t *Topics) Dropped(subscriptions int) { t.dropped.Add(int64(subscriptions)) }

// topic is what several subscribers see. Its own goroutine executes it.
type topic struct {
	hub     *Topics
	key     Key
	text    string
	execute func(ctx context.Context, text string) Result
	cancel  context.CancelFunc
	latest  atomic.Pointer[state] // nil until it was executed

	// hub.mu guards the following fields.
	subscribers map[*Subscription]struct{}
	holder      admission.Owner // the subscriber for whom its memory counts
	size        int64           // bytes of memory that the holder holds
}

// state is what a topic was at a mark of the feed.
type state struct {
	Result
	number int // of the result, from 1
	mark   changefeed.Mark
	tags   changefeed.Tags
}

// Request describes a subscription and its owner.
type Request struct {
	Key     Key
	Text    string                               // what is executed
	Execute func(context.Context, string) Result // executes the text
	Notify  func()                               // must not block
	Owner   admission.Owner                      // of the subscription
	Size    int                                  // bytes of memory that the subscriber keeps with the subscription
}

// Subscription is the subscription of one subscriber to a topic.
type Subscription struct {
	topic  *topic
	notify func()
	owner  admission.Owner
	size   int64 // bytes of memory
	since  changefeed.Mark
	seen   int // number of the last result
}

// Subscribe subscribes to the topic of a key. If there is none yet it begins, and Execute
// is called when what it read may have changed. Notify is called when there may be a new
// result, and when the rights of viewers may have changed. The error is one of this
// package, admission.ErrBusy or admission.ErrShare.
func (t *Topics) Subscribe(r Request) (*Subscription, error) {
	if t.options.Feed == nil {
		return nil, ErrOff
	}
	since := t.options.Feed.Mark()
	if since == 0 {
		return nil, ErrNotHeard
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil, ErrStopping
	}
	s := &Subscription{notify: r.Notify, owner: r.Owner, size: subscriptionOverhead + int64(r.Size), since: since}
	if err := t.reserve(s); err != nil {
		return nil, err
	}
	if s.topic = t.topics[r.Key]; s.topic == nil {
		var err error
		if s.topic, err = t.begin(r); err != nil {
			t.release(s)
			return nil, err
		}
	}
	s.topic.subscribers[s] = struct{}{}
	return s, nil
}

// Text returns the text that the topic executes, which its subscribers share.
func (s *Subscription) Text() string { return s.topic.text }

// Next returns the latest result, unless it was returned before, or is older than the
// subscription and not current: then there will be another one.
func (s *Subscription) Next() *Result {
	latest := s.topic.latest.Load()
	if latest == nil || latest.number == s.seen {
		return nil
	}
	if s.seen == 0 && latest.Payload != nil && latest.mark < s.since && !s.topic.hub.options.Feed.Current(latest.mark, latest.tags) {
		return nil
	}
	s.seen = latest.number
	return &latest.Result
}

// Repeat makes Next return the latest result once more.
func (s *Subscription) Repeat() { s.seen = 0 }

// Leave ends the subscription, unless it has ended.
func (s *Subscription) Leave() {
	t := s.topic.hub
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := s.topic.subscribers[s]; !ok {
		return
	}
	t.release(s)
	delete(s.topic.subscribers, s)
	if len(s.topic.subscribers) == 0 {
		s.topic.end()
		return
	}
	s.topic.replaceHolder(s.owner)
}

// begin begins to execute a topic, which outlives the request of its first subscriber. The
// caller holds the lock.
func (t *Topics) begin(r Request) (*topic, error) {
	newTopic := &topic{
		hub: t, key: r.Key, text: r.Text, execute: r.Execute, subscribers: map[*Subscription]struct{}{},
		holder: r.Owner, size: topicOverhead + int64(len(r.Text)),
	}
	if err := t.memory.Reserve(r.Owner, newTopic.size); err != nil {
		return nil, err
	}
	t.topics[r.Key] = newTopic
	ctx, cancel := context.WithCancel(t.ctx)
	newTopic.cancel = cancel
	t.running.Go(func() { newTopic.run(ctx) })
	return newTopic, nil
}

// end makes the next subscriber begin another topic. The caller holds hub.mu.
func (t *topic) end() {
	t.cancel()
	if t.hub.topics[t.key] == t {
		delete(t.hub.topics, t.key)
	}
}

// run executes the topic until it ends.
func (t *topic) run(ctx context.Context) {
	defer t.release()
	for {
		next := t.next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err := t.resize(cap(next.Payload)); err != nil {
			next.Result = Result{Failed: errors.Is(err, admission.ErrBusy), Err: err}
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
	ctx, cancel := context.WithTimeout(ctx, t.hub.options.MaxAge)
	defer cancel()
	for result.mark == 0 && t.hub.options.Feed.Heard() == 0 && ctx.Err() == nil {
		sleep(ctx, retryDelay)
	}
	if result.mark != 0 {
		_ = t.hub.options.Feed.Wait(ctx, result.mark, result.tags)
	}
}

// next executes the topic once.
func (t *topic) next(ctx context.Context) *state {
	select {
	case t.hub.executing <- struct{}{}:
		defer func() { <-t.hub.executing }()
	case <-ctx.Done():
		return nil
	}
	mark := t.hub.options.Feed.Heard()
	ctx, reads := db.RecordReads(ctx)
	return &state{t.execute(ctx, t.text), 1, mark, t.hub.options.Feed.Tags(reads)}
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
	t.latest.Store(next)
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
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
