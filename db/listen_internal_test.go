package db

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRoundTrips_StartAfterTheirCallers checks that each round trip starts after the calls of Sync
// that share it, one at a time. No caller waits forever when a connection breaks.
func TestRoundTrips_StartAfterTheirCallers(t *testing.T) {
	t.Parallel()
	const clients, each = 16, 500
	var trips roundTrips
	var started, running atomic.Int64
	failure := errors.New("connection lost")
	trips.start = func() {
		started.Add(1)
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
				earlier := started.Load()
				if err := trips.Sync().Wait(); err != nil {
					t.Error(err)
				}
				if started.Load() == earlier {
					t.Error("the round trip started before Sync was called")
				}
			}
		})
	}
	waiting.Wait()
	if all := started.Load(); all > clients*each {
		t.Errorf("%d round trips, want at most %d", all, clients*each)
	}
	trips.start = func() {}
	current, next := trips.Sync(), trips.Sync()
	trips.fail(failure, func() {})
	for _, trip := range []*RoundTrip{current, next, trips.Sync()} {
		if err := trip.Wait(); !errors.Is(err, failure) {
			t.Errorf("error %v, want %v", err, failure)
		}
	}
}

// TestReceiver_StaysInactiveAfterFailure checks that the pool does not verify its
// connections against a listener that failed while it started.
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
