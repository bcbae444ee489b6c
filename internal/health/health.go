// Package health checks whether the server can serve requests.
package health

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"portfolio/db"
	"portfolio/internal/storage"
)

const (
	timeout  = 2 * time.Second
	cacheTTL = time.Second
)

// Checker checks that the database responds, that its schema is current, and
// that rows and files can be written.
type Checker struct {
	database *db.DB
	store    storage.Store

	stopping atomic.Bool

	mu      sync.Mutex
	checked time.Time
	problem string
}

// NewChecker returns a Checker of a database and a store of files.
func NewChecker(database *db.DB, store storage.Store) *Checker {
	return &Checker{database: database, store: store}
}

// Stop makes Check say that the server is shutting down.
func (c *Checker) Stop() { c.stopping.Store(true) }

// Stopping reports whether Stop was called.
func (c *Checker) Stopping() bool { return c.stopping.Load() }

// Check returns what is wrong, or "". It checks at most once per cacheTTL,
// however many clients ask, and does not depend on a client that disconnects.
func (c *Checker) Check(ctx context.Context) string {
	if c.Stopping() {
		return "the server is shutting down"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < cacheTTL {
		return c.problem
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	c.problem, c.checked = c.check(ctx), time.Now()
	return c.problem
}

func (c *Checker) check(ctx context.Context) string {
	switch err := c.database.CheckSchema(ctx); {
	case errors.Is(err, db.ErrSchemaBehind):
		return db.ErrSchemaBehind.Error()
	case err != nil && !errors.Is(err, db.ErrSchemaNewer): // newer while a new version is being deployed
		return db.ErrUnavailable.Error()
	case c.database.CheckWritable(ctx) != nil:
		return "the database cannot be written"
	case c.store.Check(ctx) != nil:
		return "the media store cannot be written"
	}
	return ""
}
