// Package health checks whether the server can serve requests.
package health

import (
	"context"
	"errors"
	"log/slog"
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

// Checker checks that the database responds, that its schema is current, and that rows and files
// can be written. The first two conditions are enough for queries.
type Checker struct {
	database *db.DB
	store    storage.Store
	log      *slog.Logger

	stopping atomic.Bool

	queries, all readiness
}

// readiness is the result of the last check.
type readiness struct {
	mu      sync.Mutex
	checked time.Time
	problem string
}

// Options configure a Checker.
type Options struct {
	Log *slog.Logger // gets each change of readiness that a check finds, with its cause
}

// New returns a Checker of a database and a store of files.
func New(database *db.DB, store storage.Store, o Options) *Checker {
	return &Checker{database: database, store: store, log: o.Log}
}

// Stop makes Check and CheckQueries report that the server is shutting down.
func (c *Checker) Stop() { c.stopping.Store(true) }

// Stopping reports whether Stop was called.
func (c *Checker) Stopping() bool { return c.stopping.Load() }

// Check returns the problem that prevents the server from serving all requests, or "". It checks
// at most once per cacheTTL, however many clients there are. A client that disconnects does not
// cancel the check.
func (c *Checker) Check(ctx context.Context) string {
	return c.check(ctx, &c.all, "requests", func(ctx context.Context) (string, error) {
		if problem, err := c.checkQueries(ctx); err != nil {
			return problem, err
		}
		return c.checkWrites(ctx)
	})
}

// CheckQueries is like Check for queries alone. The server serves queries even if neither rows
// nor files can be written.
func (c *Checker) CheckQueries(ctx context.Context) string {
	return c.check(ctx, &c.queries, "queries", c.checkQueries)
}

// check returns the result of the last check, or of a new check if the last is older than cacheTTL.
// It logs a change.
func (c *Checker) check(ctx context.Context, last *readiness, requests string, find func(context.Context) (string, error)) string {
	if c.Stopping() {
		return "the server is shutting down"
	}
	last.mu.Lock()
	defer last.mu.Unlock()
	if time.Since(last.checked) < cacheTTL {
		return last.problem
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	problem, cause := find(ctx)
	switch problem {
	case last.problem:
	case "":
		c.log.InfoContext(ctx, "ready", "for", requests)
	default:
		c.log.ErrorContext(ctx, "not ready", "for", requests, "problem", problem, "error", cause)
	}
	last.problem, last.checked = problem, time.Now()
	return problem
}

func (c *Checker) checkQueries(ctx context.Context) (problem string, cause error) {
	switch err := c.database.CheckSchema(ctx); {
	case errors.Is(err, db.ErrSchemaBehind):
		return db.ErrSchemaBehind.Error(), err
	case err != nil && !errors.Is(err, db.ErrSchemaNewer): // newer while a new version is being deployed
		return db.ErrUnavailable.Error(), err
	}
	return "", nil
}

func (c *Checker) checkWrites(ctx context.Context) (problem string, cause error) {
	if err := c.database.CheckWritable(ctx); err != nil {
		return "the database cannot be written", err
	}
	if err := c.store.Check(ctx); err != nil {
		return "the media store cannot be written", err
	}
	return "", nil
}
