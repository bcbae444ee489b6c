package admission

import (
	"os"
	"runtime/debug"
	"sync"
)

const (
	gcPercent   = 400
	memoryLimit = 56 << 20 // bytes, without what requests hold

	heldFactor = 2       // bytes of memory for a byte of a body or response: copies, and garbage
	heldStep   = 4 << 20 // bytes; setting the limit stops the world
)

// Memory sets the limit of the garbage collector: what the server needs idle,
// and what requests hold.
type Memory struct {
	limit int64 // without what requests hold; 0 to set none

	mu      sync.Mutex
	held    int64 // bytes
	counted int64 // bytes of held that are in the limit
}

// TuneMemory lets the heap of an idle server, a few MiB, grow to several times
// its size between collections, which saves a sixth of the CPU time. A process
// that needs reserved bytes outside of the heap gets a lower limit. The
// environment variables GOGC and GOMEMLIMIT take precedence.
func TuneMemory(reserved int64) *Memory {
	m := &Memory{limit: memoryLimit - reserved}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		m.limit = 0
	} else {
		debug.SetMemoryLimit(m.limit)
	}
	return m
}

// Hold changes the bytes of memory that requests hold.
func (m *Memory) Hold(by int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += by
	if m.limit == 0 || max(m.held-m.counted, m.counted-m.held) < heldStep {
		return
	}
	m.counted = m.held
	debug.SetMemoryLimit(m.limit + m.held)
}
