package admission

import (
	"math"
	"runtime/debug"
	"testing"
)

// TestMemory_FollowsRequests checks that the garbage collector's limit follows the memory that requests
// hold. Otherwise it would run all the time in vain.
func TestMemory_FollowsRequests(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	t.Setenv("GOMEMLIMIT", "")
	for _, reserved := range []int64{0, 16 << 20} {
		own := memoryLimit - reserved
		memory := TuneMemory(reserved)
		for i, step := range []struct{ by, want int64 }{
			{0, own},
			{heldStep - 1, own},
			{1, own + heldStep},
			{1 << 30, own + heldStep + 1<<30},
			{-1 << 30, own + heldStep},
			{-heldStep, own},
		} {
			memory.Hold(step.by)
			if got := debug.SetMemoryLimit(-1); got != step.want {
				t.Errorf("step %d: got %d, want %d", i, got, step.want)
			}
		}
	}
}
