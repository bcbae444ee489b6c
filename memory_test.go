package main

import (
	"math"
	"runtime/debug"
	"testing"

	"portfolio/db/dbtest"
)

// TestMemoryLimit: the garbage collector is told of what requests hold, so that
// it does not collect all the time to no avail.
func TestMemoryLimit(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	t.Setenv("GOMEMLIMIT", "")
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		own := int64(memoryLimit)
		if !database.Postgres() {
			own -= sqlitePages
		}
		held := tuneMemory(database)
		for i, step := range []struct{ by, want int64 }{
			{0, own},
			{heldStep - 1, own},
			{1, own + heldStep},
			{1 << 30, own + heldStep + 1<<30},
			{-1 << 30, own + heldStep},
			{-heldStep, own},
		} {
			held.hold(step.by)
			if got := debug.SetMemoryLimit(-1); got != step.want {
				t.Errorf("step %d: %d, want %d", i, got, step.want)
			}
		}
	})
}
