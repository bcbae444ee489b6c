package main

import (
	"os"
	"runtime/debug"
	"sync"

	"portfolio/db"
)

const (
	gcPercent   = 400
	memoryLimit = 56 << 20 // bytes, without what requests hold
	sqlitePages = 16 << 20 // bytes of them that SQLite needs beside the heap

	heldFactor = 3       // bytes of memory for a byte of a body or response: copies, and garbage
	heldStep   = 4 << 20 // bytes; to set the limit stops the world
)

// memory is the limit that the garbage collector keeps to: what the server
// lives in, and what requests hold.
type memory struct {
	limit int64

	mu      sync.Mutex
	held    int64 // bytes
	counted int64 // of held, in the limit
}

// tuneMemory lets the few MiB that the server lives in grow to several times
// their size before they are collected, which saves a sixth of the processor.
// What the environment says of GOGC and GOMEMLIMIT holds instead.
func tuneMemory(database *db.DB) *memory {
	m := &memory{limit: memoryLimit}
	if !database.Postgres() {
		m.limit -= sqlitePages
	}
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

// hold changes the bytes of memory that requests hold.
func (m *memory) hold(by int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += by
	if m.limit == 0 || max(m.held-m.counted, m.counted-m.held) < heldStep {
		return
	}
	m.counted = m.held
	debug.SetMemoryLimit(m.limit + m.held)
}
