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

// A Limiter limits the requests that run concurrently, and those that wait.
type Limiter struct {
	slots      chan struct{}
	waiting    atomic.Int64
	refused    atomic.Int64
	maxWaiting int64
	maxWait    time.Duration
}

// NewLimiter returns a Limiter with the given number of slots. At most
// maxWaiting requests queue for one, each for at most maxWait.
func NewLimiter(slots, maxWaiting int, maxWait time.Duration) *Limiter {
	return &Limiter{slots: make(chan struct{}, slots), maxWaiting: int64(maxWaiting), maxWait: maxWait}
}

// Acquire takes a slot, waiting for one if necessary. The error is ErrBusy or
// that of ctx.
func (l *Limiter) Acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > l.maxWaiting {
		l.refused.Add(1)
		return ErrBusy
	}
	timer := time.NewTimer(l.maxWait)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-timer.C:
		l.refused.Add(1)
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release returns a slot that was acquired.
func (l *Limiter) Release() { <-l.slots }

// LimiterStats is the state of a Limiter.
type LimiterStats struct {
	Slots, InUse, Waiting int
	Refused               int64 // requests since the start
}

// Stats returns the state of the limiter.
func (l *Limiter) Stats() LimiterStats {
	return LimiterStats{cap(l.slots), len(l.slots), int(l.waiting.Load()), l.refused.Load()}
}

// Slot is the slot of one request, which has at most one. The zero value has
// none.
type Slot struct{ limiter *Limiter }

// Acquire releases the slot, if there is one, and acquires a slot of limiter. After an error
// there is none.
func (s *Slot) Acquire(ctx context.Context, limiter *Limiter) error {
	s.Release()
	err := limiter.Acquire(ctx)
	if err == nil {
		s.limiter = limiter
	}
	return err
}

// Release releases the slot, if there is one.
func (s *Slot) Release() {
	if s.limiter != nil {
		s.limiter.Release()
		s.limiter = nil
	}
}
