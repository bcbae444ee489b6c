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
	Nodes []NodeID // portfolios with a changed row or link; images with a changed row or thumbnail
	Users bool     // whether users, permissions or tokens changed
	All   bool     // whether any portfolio or image may have changed
}

// Listener receives every committed change, including changes by other programs.
type Listener interface {
	// Sync returns a round trip that starts after the call. When it has succeeded, the
	// listener has received every change that was committed before the call.
	Sync() *RoundTrip
	// Check ends the listener unless changes still notify it, and the pool still uses
	// its database. It takes a second at most.
	Check()
	// Done returns a channel that is closed when the listener has ended.
	Done() <-chan struct{}
	// Err returns the error that ended the listener.
	Err() error
	// Close closes the connection.
	Close()
}

// RoundTrip is a round trip to the database, which concurrent callers share.
type RoundTrip struct {
	trips   *roundTrips
	done    chan struct{}
	err     error
	holders atomic.Int32 // waiting callers, and the listener until the end of the round trip
}

// Wait waits until the round trip has ended, which takes a second at most, and returns
// its error.
func (t *RoundTrip) Wait() error {
	select {
	case <-t.done:
	default:
		t.holders.Add(1)
		<-t.done
		t.release()
	}
	return t.err
}

// release starts the next round trip if the caller was the last holder of t.
func (t *RoundTrip) release() {
	if t.holders.Add(-1) == 0 {
		t.trips.startNext()
	}
}

// roundTrips serializes the round trips of a listener. Callers that arrive during one share
// the next one, which starts once all callers of the previous one have returned. So the more
// requests there are, the fewer round trips each takes.
type roundTrips struct {
	start func() // starts the current round trip, which finish or fail ends

	mu            sync.Mutex
	current, next *RoundTrip
	err           error // set by fail
}

// Sync implements Listener.
func (r *roundTrips) Sync() *RoundTrip {
	trip, isCurrent := r.join()
	if isCurrent {
		r.start()
	}
	return trip
}

// join returns a round trip that has not started. If it is the current one, the caller must
// start it.
func (r *roundTrips) join() (trip *RoundTrip, isCurrent bool) {
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

// finish ends the current round trip, and calls idle if there is no next one.
func (r *roundTrips) finish(idle func()) {
	r.mu.Lock()
	current := r.current
	r.current = nil
	if r.next == nil {
		idle()
	}
	r.mu.Unlock()
	if current != nil {
		close(current.done)
		current.release()
	}
}

// startNext starts the next round trip unless one is in progress.
func (r *roundTrips) startNext() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current == nil && r.next != nil {
		r.current, r.next = r.next, nil
		go r.start()
	}
}

// fail ends all round trips with an error, and calls cleanup. Later calls do nothing.
func (r *roundTrips) fail(err error, cleanup func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.err = err
	for _, trip := range []*RoundTrip{r.current, r.next} {
		if trip != nil {
			trip.err = err
			close(trip.done)
		}
	}
	r.current, r.next = nil, nil
	cleanup()
}

// Err implements Listener.
func (r *roundTrips) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Listen opens a Listener that calls onChange for each change, one call at a time. Unless
// url is zero, the listener connects to url, which must lead to this PostgreSQL database.
func (db *DB) Listen(ctx context.Context, url URL, onChange func(Change)) (Listener, error) {
	if !db.Postgres() {
		return db.listenSQLite(ctx, onChange)
	}
	return db.listenPostgres(ctx, url, onChange)
}

// parseChange parses the payload of a notification, as the triggers write it.
func parseChange(payload string) Change {
	fields := strings.Fields(payload)
	if len(fields) == 0 {
		return Change{All: true}
	}
	var nodeType NodeType
	switch fields[0] {
	case "u":
		return Change{Users: true}
	case "p":
		nodeType = PortfolioNode
	case "i":
		nodeType = ImageNode
	default:
		return Change{All: true}
	}
	change := Change{}
	for _, field := range fields[1:] {
		id, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Change{All: true}
		}
		change.Nodes = append(change.Nodes, NodeID{nodeType, id})
	}
	return change
}
