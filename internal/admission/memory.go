package admission

import (
	"os"
	"runtime/debug"
	"sync"
)

const (
	gcPercent   = 400
	memoryLimit = 56 << 20 // bytes, of an idle server

	heldFactor = 2       // bytes of memory for each byte of a body or response, with copies and garbage
	heldStep   = 4 << 20 // minimum change of the limit in bytes, because setting the limit stops the world
)

// Memory sets the memory limit of the garbage collector. The limit is the memory of an idle
// server plus the memory that requests hold.
type Memory struct {
	limit int64 // of an idle server; 0 to set no limit

	mu      sync.Mutex
	held    int64 // bytes
	counted int64 // value of held when the limit was set
}

// TuneMemory lets the heap of an idle server, a few MiB, grow to several times its size between
// collections. That saves a sixth of the CPU time. The limit is lower by reserved, the bytes
// that the process needs outside of the heap. The environment variables GOGC and GOMEMLIMIT take
// precedence.
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

// Hold adds delta to the bytes of memory that requests hold.
func (m *Memory) Hold(delta int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += delta
	if m.limit == 0 || max(m.held-m.counted, m.counted-m.held) < heldStep {
		return
	}
	m.counted = m.held
	debug.SetMemoryLimit(m.limit + m.held)
}
