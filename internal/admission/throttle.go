package admission

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrBusy means that too many requests are waiting, that one has waited too
// long, or that a budget is used up.
var ErrBusy = errors.New("the server is busy")

// A Throttle bounds how many requests run concurrently, and how many wait.
type Throttle struct {
	slots      chan struct{}
	waiting    atomic.Int64
	refused    atomic.Int64
	maxWaiting int64
	maxWait    time.Duration
}

// NewThrottle returns a Throttle with the given number of slots. At most
// maxWaiting requests queue for one, each for at most maxWait.
func NewThrottle(slots, maxWaiting int, maxWait time.Duration) *Throttle {
	return &Throttle{slots: make(chan struct{}, slots), maxWaiting: int64(maxWaiting), maxWait: maxWait}
}

// Acquire takes a slot, waiting for one if necessary. The error is ErrBusy or
// that of ctx.
func (t *Throttle) Acquire(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > t.maxWaiting {
		t.refused.Add(1)
		return ErrBusy
	}
	timer := time.NewTimer(t.maxWait)
	defer timer.Stop()
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-timer.C:
		t.refused.Add(1)
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release returns a slot that was acquired.
func (t *Throttle) Release() { <-t.slots }

// ThrottleStats is the state of a Throttle.
type ThrottleStats struct {
	Slots, InUse, Waiting int
	Refused               int64 // requests since the start
}

// Stats returns the state of the throttle.
func (t *Throttle) Stats() ThrottleStats {
	return ThrottleStats{cap(t.slots), len(t.slots), int(t.waiting.Load()), t.refused.Load()}
}

// Slot is the slot of one request, which has at most one. The zero value has
// none.
type Slot struct{ throttle *Throttle }

// Move releases the slot, if there is one, and acquires one of another throttle.
// After an error there is none.
func (s *Slot) Move(ctx context.Context, to *Throttle) error {
	s.Release()
	err := to.Acquire(ctx)
	if err == nil {
		s.throttle = to
	}
	return err
}

// Release releases the slot, if there is one.
func (s *Slot) Release() {
	if s.throttle != nil {
		s.throttle.Release()
		s.throttle = nil
	}
}
