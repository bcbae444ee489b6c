package admission

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrBusy means that too many requests are waiting, that a request has waited too long, or that a
// budget is used up.
var ErrBusy = errors.New("the server is busy")

// A Limiter limits the number of requests that run concurrently, and of requests that wait.
type Limiter struct {
	slots      chan struct{}
	waiting    atomic.Int64
	rejected   atomic.Int64
	maxWaiting int64
	maxWait    time.Duration
}

// NewLimiter returns a Limiter with the given number of slots. At most maxWaiting requests wait for a
// slot, each for at most maxWait.
func NewLimiter(slots, maxWaiting int, maxWait time.Duration) *Limiter {
	return &Limiter{slots: make(chan struct{}, slots), maxWaiting: int64(maxWaiting), maxWait: maxWait}
}

// Acquire acquires a slot, and waits for it if necessary. The error is ErrBusy or ctx.Err().
func (l *Limiter) Acquire(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	defer l.waiting.Add(-1)
	if l.waiting.Add(1) > l.maxWaiting {
		l.rejected.Add(1)
		return ErrBusy
	}
	timer := time.NewTimer(l.maxWait)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-timer.C:
		l.rejected.Add(1)
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release releases an acquired slot.
func (l *Limiter) Release() { <-l.slots }

// LimiterStats is the state of a Limiter.
type LimiterStats struct {
	Slots, InUse, Waiting int
	Refused               int64 // requests since the start
}

// Stats returns the state of the limiter.
func (l *Limiter) Stats() LimiterStats {
	return LimiterStats{cap(l.slots), len(l.slots), int(l.waiting.Load()), l.rejected.Load()}
}

// Slot holds the slot of a request. The zero value holds no slot.
type Slot struct{ limiter *Limiter }

// Acquire releases the slot, if there is one, and acquires a slot of limiter. After an error there is no
// slot.
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
