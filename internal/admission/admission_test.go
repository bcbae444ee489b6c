package admission

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"
)

// TestLimiter_BoundsWaiting checks that requests wait for a slot, but neither too many nor too long.
func TestLimiter_BoundsWaiting(t *testing.T) {
	const waiting = 16
	limiter := NewLimiter(1, waiting, time.Hour)
	var first, second Slot
	if err := first.Acquire(t.Context(), limiter); err != nil {
		t.Fatal(err)
	}
	gone, goAway := context.WithCancel(t.Context())
	ended := make(chan error)
	for range waiting {
		go func() { ended <- limiter.Acquire(gone) }()
	}
	for limiter.waiting.Load() < waiting {
		runtime.Gosched() // they say nothing when they begin to wait
	}
	if err := second.Acquire(t.Context(), limiter); !errors.Is(err, ErrBusy) {
		t.Errorf("one request too many: got %v, want %v", err, ErrBusy)
	}
	goAway()
	for range waiting {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled request: got %v, want %v", err, context.Canceled)
		}
	}
	small := NewLimiter(1, 0, time.Hour)
	if err := first.Acquire(t.Context(), small); err != nil {
		t.Error(err)
	}
	if err := second.Acquire(t.Context(), limiter); err != nil {
		t.Errorf("a released slot: got %v, want no error", err)
	}
	if err := second.Acquire(t.Context(), small); !errors.Is(err, ErrBusy) {
		t.Errorf("a slot in use: got %v, want %v", err, ErrBusy)
	}
	second.Release() // has none any more
	first.Release()
	if len(limiter.slots)+len(small.slots) != 0 {
		t.Error("slots were not released")
	}
	if err := NewLimiter(0, 1, time.Nanosecond).Acquire(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("a request that waited too long: got %v, want %v", err, ErrBusy)
	}
}

// TestMeter_ReleasesRows checks the memory of a response while it is sent, and afterwards.
func TestMeter_ReleasesRows(t *testing.T) {
	a := New(Options{Lookups: 1, Connections: 1, MaxResponse: 1 << 20})
	meter := a.NewMeter(1<<20, nil)
	if err := errors.Join(meter.AddRow(100<<10), meter.AddEncoded(t.Context(), 200<<10)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{300 << 10, 200 << 10, 0} {
		if got := a.Responses.reserved.Load(); got != want {
			t.Errorf("step %d: %d bytes, want %d", i, got, want)
		}
		if i == 0 {
			meter.ReleaseRows()
		} else {
			meter.Release()
		}
	}
	if err := meter.AddRow(1 << 20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
}

// TestBudget_ReportsChanges checks that onChange gets the bytes of Reserve and Release.
func TestBudget_ReportsChanges(t *testing.T) {
	sum := int64(0)
	budget := NewBudget(10, func(delta int64) { sum += delta })
	for i, step := range []struct {
		take int64
		ok   bool
		sum  int64
	}{{6, true, 6}, {5, false, 6}, {4, true, 10}, {1, false, 10}, {-6, true, 4}, {6, true, 10}} {
		ok := true
		if step.take > 0 {
			ok = budget.Reserve(step.take)
		} else {
			budget.Release(-step.take)
		}
		if ok != step.ok || sum != step.sum {
			t.Errorf("step %d: got %t, %d, want %t, %d", i, ok, sum, step.ok, step.sum)
		}
	}
}

// TestMeter_CountsRowsWhileItWaits checks that the reader of a row, which has a
// database connection, does not wait while the response waits for a heavy slot.
func TestMeter_CountsRowsWhileItWaits(t *testing.T) {
	a := New(Options{Lookups: 1, Connections: 1, MaxResponse: 4 << 20})
	a.Heavy = NewLimiter(0, 2, 10*time.Second)
	meter := a.NewMeter(4<<20, new(Slot))
	ctx, goAway := context.WithCancel(t.Context())
	defer goAway()
	encoded := make(chan error, 2)
	for range cap(encoded) {
		go func() { encoded <- meter.AddEncoded(ctx, heavyResponse+MeterStep) }()
	}
	for a.Heavy.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	if err := errors.Join(meter.AddRow(MeterStep), meter.Err()); err != nil {
		t.Errorf("a row: got %v, want no error", err)
	}
	if got := a.Heavy.Stats().Waiting; got != 1 {
		t.Errorf("after the row %d wait for a heavy slot, want 1: the row waited too", got)
	}
	goAway()
	for range cap(encoded) {
		if err := <-encoded; !errors.Is(err, context.Canceled) {
			t.Errorf("encoded bytes: got %v, want %v", err, context.Canceled)
		}
	}
	if err := meter.AddRow(MeterStep); !errors.Is(err, context.Canceled) {
		t.Errorf("a row afterwards: got %v, want %v", err, context.Canceled)
	}
}
