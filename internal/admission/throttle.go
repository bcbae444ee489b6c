package admission

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrBusy means that too many requests wait already, or that one has waited
// too long.
var ErrBusy = errors.New("the server is busy")

// Throttle bounds how many requests of one kind are worked on at once, and how
// many wait for their turn.
type Throttle struct {
	slots      chan struct{}
	waiting    atomic.Int64
	maxWaiting int64
	maxWait    time.Duration
}

// NewThrottle lets so many requests work at once and so many wait, each for at
// most maxWait.
func NewThrottle(slots, maxWaiting int, maxWait time.Duration) *Throttle {
	return &Throttle{slots: make(chan struct{}, slots), maxWaiting: int64(maxWaiting), maxWait: maxWait}
}

// Acquire takes a slot, which Release gives back. It waits for one, and returns
// ErrBusy where it waits in vain, or the error of ctx.
func (t *Throttle) Acquire(ctx context.Context) error {
	select {
	case t.slots <- struct{}{}:
		return nil
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > t.maxWaiting {
		return ErrBusy
	}
	late := time.NewTimer(t.maxWait)
	defer late.Stop()
	select {
	case t.slots <- struct{}{}:
		return nil
	case <-late.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release gives a slot back.
func (t *Throttle) Release() { <-t.slots }

// Slot is the place of one request among those that are worked on. It is in
// one throttle at a time.
type Slot struct{ throttle *Throttle }

// Move gives the slot back, if there is one, and takes one of another throttle.
// On an error the request has none.
func (s *Slot) Move(ctx context.Context, to *Throttle) error {
	s.Release()
	err := to.Acquire(ctx)
	if err == nil {
		s.throttle = to
	}
	return err
}

// Release gives the slot back, if there is one.
func (s *Slot) Release() {
	if s.throttle != nil {
		s.throttle.Release()
		s.throttle = nil
	}
}
