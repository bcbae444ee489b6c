// Package changefeed tracks committed changes, so that cached reads stay linearizable.
// Before a cached value is served, a round trip on the notification connection proves
// that every earlier commit has been received, like the ReadIndex of Raft.
package changefeed

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portfolio/db"
)

// Feed numbers the changes that it hears of, and knows the last one of each row. A nil
// Feed hears of none.
type Feed struct {
	options Options
	began   time.Time
	seed    maphash.Seed
	session atomic.Pointer[session] // nil while changes are not heard
	tried   chan struct{}           // closed when Run has tried to listen

	last  atomic.Uint64 // number of the last change
	floor atomic.Uint64 // what was read before may have changed unheard
	users atomic.Uint64 // last change of users, permissions or tokens
	rows  atomic.Uint64 // last change of any other rows
	all   atomic.Uint64 // last change that does not say which rows
	nodes [1 << 16]atomic.Uint64

	mu      sync.Mutex
	waiters waiters
}

// Options configure a Feed.
type Options struct {
	// Listen opens a listener, such as that of db.DB.Listen.
	Listen func(ctx context.Context, changed func(db.Change)) (db.Listener, error)
	// MaxStaleness is how old an answer from memory may be. If it is 0, the answer has every
	// change that was committed before the request.
	MaxStaleness time.Duration
	Log          *slog.Logger
}

// session is a listener, with the start of its last round trip that succeeded.
type session struct {
	db.Listener
	synced atomic.Int64 // as nanoseconds since Feed.began
}

// Mark is the number of the last change that was heard of before something was read. It
// is 0 if changes are not heard.
type Mark uint64

// Tags are the rows that an answer was made from. Rows share tags, so an answer may seem
// to have changed that has not.
type Tags struct {
	nodes []uint16
	all   bool
}

// New returns a Feed that hears of changes while Run runs.
func New(options Options) *Feed {
	f := &Feed{options: options, began: time.Now(), seed: maphash.MakeSeed(), tried: make(chan struct{}), waiters: newWaiters()}
	f.last.Store(1)
	return f
}

const (
	idleSync      = 250 * time.Millisecond // receives the commits of other processes on SQLite, and detects a lost connection
	checkInterval = 500 * time.Millisecond // between checks of what notifications rely on
	retryDelay    = 500 * time.Millisecond
)

// Run hears of changes until ctx is canceled. It connects anew when the connection is
// lost.
func (f *Feed) Run(ctx context.Context) {
	problem := ""
	tried := sync.OnceFunc(func() { close(f.tried) })
	defer tried()
	for {
		err := f.listen(ctx, func() {
			tried()
			if problem != "" {
				f.options.Log.InfoContext(ctx, "changes are heard again")
				problem = ""
			}
		})
		f.session.Store(nil)
		if ctx.Err() != nil {
			return
		}
		if err.Error() != problem {
			problem = err.Error()
			f.options.Log.WarnContext(ctx, "changes are not heard, so nothing is cached", "error", problem)
		}
		tried()
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryDelay):
		}
	}
}

// Tried is closed when Run hears of changes or has failed to.
func (f *Feed) Tried() <-chan struct{} { return f.tried }

// listen hears of changes until it cannot, and returns why.
func (f *Feed) listen(ctx context.Context, ready func()) error {
	listener, err := f.options.Listen(ctx, f.changed)
	if err != nil {
		return err
	}
	defer listener.Close()
	f.trust(listener)
	ready()
	syncs, checks := time.NewTicker(idleSync), time.NewTicker(checkInterval)
	defer syncs.Stop()
	defer checks.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-listener.Done():
			return listener.Err()
		case <-syncs.C:
			_ = listener.Sync().Wait() // if it fails the listener is done
		case <-checks.C:
			listener.Check()
		}
	}
}

// trust uses a new listener, which has not heard of earlier changes.
func (f *Feed) trust(listener db.Listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.floor.Store(f.last.Add(1))
	f.session.Store(&session{Listener: listener})
	f.waiters.wake(f.waiters.all)
}

// changed numbers a change, and wakes those who wait for it.
func (f *Feed) changed(change db.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.last.Add(1)
	for _, node := range change.Nodes {
		tag := f.tag(node)
		f.nodes[tag].Store(number)
		f.waiters.wake(f.waiters.byTag[tag])
	}
	if change.All || change.Nodes != nil {
		f.rows.Store(number)
		f.waiters.wake(f.waiters.anyRows)
	}
	if change.All {
		f.all.Store(number)
	}
	if change.Users {
		f.users.Store(number)
	}
	if change.All || change.Users {
		f.waiters.wake(f.waiters.all)
	}
}

func (f *Feed) tag(node db.NodeID) uint16 { return uint16(maphash.Comparable(f.seed, node)) }

// Tags returns the tags of what was read.
func (f *Feed) Tags(reads *db.Reads) Tags {
	nodes, all := reads.Nodes()
	tags := Tags{all: all}
	for _, node := range nodes {
		tags.nodes = append(tags.nodes, f.tag(node))
	}
	slices.Sort(tags.nodes)
	tags.nodes = slices.Compact(tags.nodes)
	return tags
}

// Size returns the approximate bytes of memory of the tags.
func (t Tags) Size() int { return 2 * cap(t.nodes) }

// Proof proves that every change that was committed before it began, or with MaxStaleness that
// long before, has been heard of. The zero Proof fails.
type Proof struct {
	feed  *Feed
	heard *session
	mark  Mark
	began int64         // as nanoseconds since Feed.began, if MaxStaleness is set
	trip  *db.RoundTrip // nil if none is needed
}

// Begin begins a proof.
func (f *Feed) Begin() Proof {
	if f == nil {
		return Proof{}
	}
	heard := f.session.Load()
	if heard == nil {
		return Proof{}
	}
	p := Proof{feed: f, heard: heard}
	maxStaleness := int64(f.options.MaxStaleness)
	if maxStaleness > 0 {
		p.began = int64(time.Since(f.began))
	}
	if synced := heard.synced.Load(); synced == 0 || p.began-synced >= maxStaleness {
		p.trip = heard.Sync()
	}
	p.mark = Mark(f.last.Load())
	return p
}

// Mark returns the mark of what is read after the proof began. It is 0 if changes are not
// heard.
func (p Proof) Mark() Mark { return p.mark }

// Wait waits until the proof has ended, which takes a second at most. It returns the mark
// of what is read from now on, 0 if the proof failed.
func (p Proof) Wait() Mark {
	if p.feed == nil || p.trip != nil && p.trip.Wait() != nil {
		return 0
	}
	if p.trip != nil && p.began > 0 {
		p.heard.synced.Store(p.began)
	}
	return Mark(p.feed.last.Load())
}

// Mark is Begin and Wait.
func (f *Feed) Mark() Mark { return f.Begin().Wait() }

// Heard returns the mark of what is read from now on, without a round trip: a change that was
// committed before, but is heard of later, counts as one that follows. The mark is 0 if
// changes are not heard.
func (f *Feed) Heard() Mark {
	if !f.IsConnected() {
		return 0
	}
	return Mark(f.last.Load())
}

// IsConnected reports whether changes are received.
func (f *Feed) IsConnected() bool { return f != nil && f.session.Load() != nil }

// Current reports whether what was read at a mark has not changed, as far as changes
// were heard of.
func (f *Feed) Current(read Mark, tags Tags) bool {
	since := uint64(read)
	if since == 0 || since < f.floor.Load() || since < f.all.Load() {
		return false
	}
	if tags.all {
		return since >= f.rows.Load() && since >= f.users.Load()
	}
	for _, node := range tags.nodes {
		if since < f.nodes[node].Load() {
			return false
		}
	}
	return true
}

// UsersCurrent is Current for what was read of users, permissions and tokens.
func (f *Feed) UsersCurrent(read Mark) bool {
	since := uint64(read)
	return since != 0 && since >= f.floor.Load() && since >= f.users.Load()
}

// Wait returns when what was read at a mark, or users, permissions or tokens, may have
// changed. Its error is that of ctx.
func (f *Feed) Wait(ctx context.Context, read Mark, tags Tags) error {
	f.mu.Lock()
	if !f.Current(read, tags) || !f.UsersCurrent(read) {
		f.mu.Unlock()
		return nil
	}
	w := f.waiters.add(tags)
	f.mu.Unlock()
	select {
	case <-w.changed:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiters.remove(w)
		return ctx.Err()
	}
}
