package db

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRoundTrips checks that each round trip begins after all who share it asked for it,
// one at a time, and that nobody waits for one that never begins or whose connection was
// lost.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	const clients, each = 16, 500
	var trips roundTrips
	var begun, running atomic.Int64
	lost := errors.New("lost")
	trips.begin = func() {
		begun.Add(1)
		if running.Add(1) != 1 {
			t.Error("two round trips are in progress")
		}
		go func() {
			running.Add(-1)
			trips.finish(func() {})
		}()
	}
	var waiting sync.WaitGroup
	for range clients {
		waiting.Go(func() {
			for range each {
				before := begun.Load()
				if err := trips.Sync().Wait(); err != nil {
					t.Error(err)
				}
				if begun.Load() == before {
					t.Error("the round trip began before it was asked for")
				}
			}
		})
	}
	waiting.Wait()
	if all := begun.Load(); all > clients*each {
		t.Errorf("%d round trips for %d", all, clients*each)
	}
	trips.begin = func() {}
	current, next := trips.Sync(), trips.Sync()
	trips.fail(lost, func() {})
	for _, trip := range []*RoundTrip{current, next, trips.Sync()} {
		if err := trip.Wait(); !errors.Is(err, lost) {
			t.Error(err)
		}
	}
}

// TestReceiver_StaysInactiveAfterFailure checks that a listener that fails while it begins
// does not become the one that the pool's connections are verified against.
func TestReceiver_StaysInactiveAfterFailure(t *testing.T) {
	t.Parallel()
	db := &DB{}
	r := db.newReceiver(func(Change) {})
	r.closeConnection = func() {}
	if err := r.activate(); err != nil || db.receiver.Load() != &r {
		t.Errorf("before the failure: got receiver %p, %v", db.receiver.Load(), err)
	}
	r.fail(net.ErrClosed)
	if err := r.activate(); !errors.Is(err, net.ErrClosed) || db.receiver.Load() != nil {
		t.Errorf("after the failure: got receiver %p, error %v, want none and %v", db.receiver.Load(), err, net.ErrClosed)
	}
}
