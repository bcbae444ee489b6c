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

// Feed numbers the changes that it receives, and records the last change of each row. A nil
// Feed is never connected.
type Feed struct {
	options   Options
	created   time.Time
	seed      maphash.Seed
	session   atomic.Pointer[session] // nil while disconnected
	attempted chan struct{}           // closed after the first attempt to connect

	last   atomic.Uint64 // number of the last change
	oldest atomic.Uint64 // first revision of the session: earlier notifications may be lost
	users  atomic.Uint64 // last change of users, permissions or tokens
	rows   atomic.Uint64 // last change of any other rows
	all    atomic.Uint64 // last change of unknown rows
	nodes  [1 << 16]atomic.Uint64

	mu      sync.Mutex
	waiters waiters
}

// Options configure a Feed.
type Options struct {
	// Listen opens a listener, as db.DB.Listen does.
	Listen func(ctx context.Context, receive func(db.Change)) (db.Listener, error)
	// MaxStaleness bounds how stale a cached response may be. If it is 0, cached responses are
	// never stale.
	MaxStaleness time.Duration
	Log          *slog.Logger
}

// session is the lifetime of one listener.
type session struct {
	db.Listener
	synced atomic.Int64 // start of the last barrier that ended, in nanoseconds since Feed.created
}

// Revision is the number of the last change received. It is 0 while the feed is
// disconnected.
type Revision uint64

// ReadSet is a db.ReadSet in compact form. Nodes are hashed and may collide, which only
// causes a needless read.
type ReadSet struct {
	nodes []uint16
	all   bool
}

// New returns a Feed that receives changes while Run runs.
func New(options Options) *Feed {
	f := &Feed{options: options, created: time.Now(), seed: maphash.MakeSeed(), attempted: make(chan struct{}), waiters: newWaiters()}
	f.last.Store(1)
	return f
}

const (
	syncInterval  = 250 * time.Millisecond // between round trips that find commits of other processes on SQLite, and lost connections
	checkInterval = 500 * time.Millisecond // between checks of the assumptions about the database
	retryDelay    = 500 * time.Millisecond
)

// Run receives changes until ctx is canceled, and reconnects when the connection is lost.
func (f *Feed) Run(ctx context.Context) {
	failure := ""
	attempted := sync.OnceFunc(func() { close(f.attempted) })
	defer attempted()
	for {
		err := f.runSession(ctx, func() {
			attempted()
			if failure != "" {
				f.options.Log.InfoContext(ctx, "change feed reconnected")
				failure = ""
			}
		})
		f.session.Store(nil)
		if ctx.Err() != nil {
			return
		}
		if err.Error() != failure {
			failure = err.Error()
			f.options.Log.WarnContext(ctx, "change feed is down, nothing is cached", "error", failure)
		}
		attempted()
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryDelay):
		}
	}
}

// Attempted returns a channel that is closed after the first attempt of Run to connect.
func (f *Feed) Attempted() <-chan struct{} { return f.attempted }

// runSession connects, calls connected, and receives changes until the listener ends. It
// returns the reason.
func (f *Feed) runSession(ctx context.Context, connected func()) error {
	listener, err := f.options.Listen(ctx, f.receive)
	if err != nil {
		return err
	}
	defer listener.Close()
	f.reset(listener)
	connected()
	syncs, checks := time.NewTicker(syncInterval), time.NewTicker(checkInterval)
	defer syncs.Stop()
	defer checks.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-listener.Done():
			return listener.Err()
		case <-syncs.C:
			_ = listener.Sync().Wait() // if the round trip fails, the listener ends
		case <-checks.C:
			listener.Check()
		}
	}
}

// reset starts a session with a new listener. Earlier changes may have been missed, so
// everything read so far is stale.
func (f *Feed) reset(listener db.Listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.oldest.Store(f.last.Add(1))
	f.session.Store(&session{Listener: listener})
	f.waiters.wake(f.waiters.all)
}

// receive numbers a change, and wakes the calls that wait for it.
func (f *Feed) receive(change db.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.last.Add(1)
	for _, node := range change.Nodes {
		hash := f.hash(node)
		f.nodes[hash].Store(number)
		f.waiters.wake(f.waiters.byNode[hash])
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

func (f *Feed) hash(node db.NodeID) uint16 { return uint16(maphash.Comparable(f.seed, node)) }

// Compact returns the compact form of a read set.
func (f *Feed) Compact(set *db.ReadSet) ReadSet {
	nodes, all := set.Nodes()
	compact := ReadSet{all: all}
	for _, node := range nodes {
		compact.nodes = append(compact.nodes, f.hash(node))
	}
	slices.Sort(compact.nodes)
	compact.nodes = slices.Compact(compact.nodes)
	return compact
}

// Size returns the approximate bytes of memory of the read set.
func (s ReadSet) Size() int { return 2 * cap(s.nodes) }

// Barrier waits until every change committed before it began, or MaxStaleness earlier, has
// been received. The zero Barrier fails.
type Barrier struct {
	feed     *Feed
	session  *session
	revision Revision
	start    int64         // in nanoseconds since Feed.created, if MaxStaleness is set
	trip     *db.RoundTrip // nil if none is needed
}

// NewBarrier begins a barrier, and does not wait for it.
func (f *Feed) NewBarrier() Barrier {
	if f == nil {
		return Barrier{}
	}
	current := f.session.Load()
	if current == nil {
		return Barrier{}
	}
	b := Barrier{feed: f, session: current}
	maxStaleness := int64(f.options.MaxStaleness)
	if maxStaleness > 0 {
		b.start = int64(time.Since(f.created))
	}
	if synced := current.synced.Load(); synced == 0 || b.start-synced >= maxStaleness {
		b.trip = current.Sync()
	}
	b.revision = Revision(f.last.Load())
	return b
}

// Revision returns the revision at the start of the barrier, or 0 if the feed was
// disconnected. Rows that are read later are at least as recent.
func (b Barrier) Revision() Revision { return b.revision }

// Wait waits until the barrier has ended, for a second at most. It returns the revision at
// the end of the barrier, or 0 if the barrier failed.
func (b Barrier) Wait() Revision {
	if b.feed == nil || b.trip != nil && b.trip.Wait() != nil {
		return 0
	}
	if b.trip != nil && b.start > 0 {
		b.session.synced.Store(b.start)
	}
	return Revision(b.feed.last.Load())
}

// Sync begins a barrier and waits for it. It returns the result of Barrier.Wait.
func (f *Feed) Sync() Revision { return f.NewBarrier().Wait() }

// Latest returns the revision without a barrier: a change that is still in flight counts as
// a later one.
func (f *Feed) Latest() Revision {
	if !f.IsConnected() {
		return 0
	}
	return Revision(f.last.Load())
}

// IsConnected reports whether the feed receives changes.
func (f *Feed) IsConnected() bool { return f != nil && f.session.Load() != nil }

// IsCurrent reports whether the rows of a read set are unchanged since a revision.
func (f *Feed) IsCurrent(revision Revision, set ReadSet) bool {
	n := uint64(revision)
	if n == 0 || n < f.oldest.Load() || n < f.all.Load() {
		return false
	}
	if set.all {
		return n >= f.rows.Load() && n >= f.users.Load()
	}
	for _, node := range set.nodes {
		if n < f.nodes[node].Load() {
			return false
		}
	}
	return true
}

// AreUsersCurrent reports whether users, permissions and tokens are unchanged since a
// revision.
func (f *Feed) AreUsersCurrent(revision Revision) bool {
	n := uint64(revision)
	return n != 0 && n >= f.oldest.Load() && n >= f.users.Load()
}

// Wait waits until rows of a read set, or users, permissions or tokens, may have changed
// since a revision. It returns ctx.Err() if ctx ends first.
func (f *Feed) Wait(ctx context.Context, revision Revision, set ReadSet) error {
	f.mu.Lock()
	if !f.IsCurrent(revision, set) || !f.AreUsersCurrent(revision) {
		f.mu.Unlock()
		return nil
	}
	w := f.waiters.add(set)
	f.mu.Unlock()
	select {
	case <-w.woken:
		return nil
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiters.remove(w)
		return ctx.Err()
	}
}
