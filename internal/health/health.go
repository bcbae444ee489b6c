// Package health finds out whether the server can do its work.
package health

import (
	"context"
	"errors"
	"sync"
	"time"

	"portfolio/db"
	"portfolio/internal/storage"
)

const (
	timeout  = 2 * time.Second
	cacheTTL = time.Second // of a check that writes to disk
)

// Checker checks that the database responds, that its schema is current, and
// that rows and files can be written.
type Checker struct {
	database *db.DB
	store    storage.Store

	mu      sync.Mutex
	checked time.Time
	problem string
}

// NewChecker returns a Checker of a database and a store of files.
func NewChecker(database *db.DB, store storage.Store) *Checker {
	return &Checker{database: database, store: store}
}

// Check returns what is wrong, or "".
func (c *Checker) Check(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch err := c.database.CheckSchema(ctx); {
	case errors.Is(err, db.ErrSchemaBehind):
		return db.ErrSchemaBehind.Error()
	case err != nil:
		return db.ErrUnavailable.Error()
	}
	return c.checkWritable(ctx)
}

// checkWritable writes to disk at most once per cacheTTL, however many clients
// ask.
func (c *Checker) checkWritable(ctx context.Context) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < cacheTTL {
		return c.problem
	}
	c.problem = ""
	if c.database.CheckWritable(ctx) != nil {
		c.problem = "the database cannot be written"
	} else if c.store.Check(ctx) != nil {
		c.problem = "the media store cannot be written"
	}
	c.checked = time.Now()
	return c.problem
}
