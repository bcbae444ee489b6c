package db

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
)

// Change says which rows a committed transaction changed.
type Change struct {
	Nodes []NodeID // portfolios, or rows of their links; images, or rows of their thumbnails
	Users bool     // rows of users, permissions or tokens
	All   bool     // rows of any portfolios and images
}

// Listener is a connection that hears of every committed change, whoever made it.
type Listener interface {
	// Sync begins a round trip. When it has succeeded, the listener has heard of every
	// change that was committed before the call.
	Sync() *RoundTrip
	// Done is closed when the connection is lost.
	Done() <-chan struct{}
	// Err returns why the connection was lost.
	Err() error
	// Close closes the connection.
	Close()
}

// RoundTrip is a round trip to the database, shared by all that wait for it.
type RoundTrip struct {
	done chan struct{} // nil if it has failed before
	err  error
}

// Wait waits until the round trip has ended, which takes a second at most, and returns
// its error.
func (r *RoundTrip) Wait() error {
	if r.done != nil {
		<-r.done
	}
	return r.err
}

// roundTrips are those of a listener, of which one is in progress at a time.
type roundTrips struct {
	mu            sync.Mutex
	current, next *RoundTrip // in progress, and the one that begins after it
	err           error      // why there are no more
}

// join returns a round trip that has not begun. If none is in progress, it is the current
// one, and the caller begins it.
func (r *roundTrips) join() (trip *RoundTrip, begin bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil:
		return &RoundTrip{err: r.err}, false
	case r.current == nil:
		r.current = &RoundTrip{done: make(chan struct{})}
		return r.current, true
	case r.next == nil:
		r.next = &RoundTrip{done: make(chan struct{})}
	}
	return r.next, false
}

// finish ends the current round trip. It reports whether there is a next one, which the
// caller begins. The caller holds the lock.
func (r *roundTrips) finish() (begin bool) {
	if r.current == nil {
		return false
	}
	close(r.current.done)
	r.current, r.next = r.next, nil
	return r.current != nil
}

// fail ends all round trips with an error, and calls end, unless it was called before.
func (r *roundTrips) fail(err error, end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = err
	for _, waiting := range []*RoundTrip{r.current, r.next} {
		if waiting != nil {
			waiting.err = err
			close(waiting.done)
		}
	}
	r.current, r.next = nil, nil
	end()
}

// Err implements Listener.
func (r *roundTrips) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Errors of a database that does not tell what is committed.
var (
	// ErrFeedOff means that the triggers that tell of changes are disabled.
	ErrFeedOff = errors.New("the triggers of the feed are disabled: run migrate with FEED=on")
	// ErrPooler means that the connection goes through a pooler, which does not
	// forward notifications.
	ErrPooler = errors.New("the connection goes through a pooler: set FEED_URL to the URL of the PostgreSQL server itself")
	// ErrOtherServer means that the pool's changes are not heard.
	ErrOtherServer = errors.New("FEED_URL is not the server or the database of DATABASE_URL")
)

// Listen opens a connection that calls changed for each change, one after the other.
// With a URL, which must be of the same PostgreSQL database, it connects to that.
func (db *DB) Listen(ctx context.Context, url URL, changed func(Change)) (Listener, error) {
	if !db.Postgres() {
		return db.listenSQLite(ctx, changed)
	}
	return db.listenPostgres(ctx, url, changed)
}

// parseChange parses the payload of a notification, as the triggers write it.
func parseChange(payload string) Change {
	fields := strings.Fields(payload)
	if len(fields) == 0 {
		return Change{All: true}
	}
	var of NodeType
	switch fields[0] {
	case "u":
		return Change{Users: true}
	case "p":
		of = PortfolioNode
	case "i":
		of = ImageNode
	default:
		return Change{All: true}
	}
	change := Change{}
	for _, field := range fields[1:] {
		id, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Change{All: true}
		}
		change.Nodes = append(change.Nodes, NodeID{of, id})
	}
	return change
}
