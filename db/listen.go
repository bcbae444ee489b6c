package db

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Change says which rows a committed transaction changed.
type Change struct {
	Nodes []NodeID // portfolios, or rows of their links; images, or rows of their thumbnails
	Users bool     // rows of users, permissions or tokens
	All   bool     // rows of any portfolios and images
}

// Listener receives every committed change, whoever made it.
type Listener interface {
	// Sync begins a round trip. When it has succeeded, the listener has received every
	// change that was committed before the call.
	Sync() *RoundTrip
	// Check ends the listener unless changes still notify it, and the pool still uses
	// the same database. It takes a second at most.
	Check()
	// Done is closed when the listener has ended.
	Done() <-chan struct{}
	// Err returns why the listener has ended.
	Err() error
	// Close closes the connection.
	Close()
}

// RoundTrip is a round trip to the database, shared by all that wait for it.
type RoundTrip struct {
	trips   *roundTrips
	done    chan struct{}
	err     error
	holders atomic.Int32 // those who wait, and until the end the listener
}

// Wait waits until the round trip has ended, which takes a second at most, and returns
// its error.
func (t *RoundTrip) Wait() error {
	select {
	case <-t.done:
	default:
		t.holders.Add(1)
		<-t.done
		t.leave()
	}
	return t.err
}

// leave begins the next round trip if the caller was the last to hold this one.
func (t *RoundTrip) leave() {
	if t.holders.Add(-1) == 0 {
		t.trips.follow()
	}
}

// roundTrips are those of a listener, of which one is in progress at a time. The next one
// begins when all who waited for the last one have gone on, as by then more may have joined
// it: the more requests there are, the fewer round trips each takes.
type roundTrips struct {
	begin func() // begins the current round trip, which finish or fail ends

	mu            sync.Mutex
	current, next *RoundTrip // in progress, and the one that begins after it
	err           error      // why there are no more
}

// Sync implements Listener.
func (r *roundTrips) Sync() *RoundTrip {
	trip, begin := r.join()
	if begin {
		r.begin()
	}
	return trip
}

// join returns a round trip that has not begun. If the caller must begin it, it is the
// current one.
func (r *roundTrips) join() (trip *RoundTrip, begin bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		return r.next, false
	}
	trip = &RoundTrip{trips: r, done: make(chan struct{})}
	trip.holders.Store(1)
	switch {
	case r.err != nil:
		trip.err = r.err
		close(trip.done)
	case r.current == nil:
		r.current = trip
		return trip, true
	default:
		r.next = trip
	}
	return trip, false
}

// finish ends the current round trip, and calls idle if no other one follows.
func (r *roundTrips) finish(idle func()) {
	r.mu.Lock()
	ended := r.current
	r.current = nil
	if r.next == nil {
		idle()
	}
	r.mu.Unlock()
	if ended != nil {
		close(ended.done)
		ended.leave()
	}
}

// follow begins the next round trip unless one is in progress.
func (r *roundTrips) follow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil && r.next != nil {
		r.current, r.next = r.next, nil
		go r.begin()
	}
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

// Listen opens a Listener that calls changed for each change, one after the other. Unless
// url is zero, it connects to url, which must lead to the same PostgreSQL database.
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
