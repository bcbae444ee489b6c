package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"portfolio/db"
	"portfolio/internal/imaging"
)

const (
	readyTimeout = 2 * time.Second
	writableFor  = time.Second // how long what was found of the disks is repeated
)

// readiness finds out whether the server can do its work: that the database
// answers, that its schema is current, and that rows and files can be written.
type readiness struct {
	database *db.DB
	store    imaging.Store

	mu      sync.Mutex
	checked time.Time
	found   string
}

// check returns what is wrong, or an empty text.
func (r *readiness) check(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	switch err := r.database.CheckSchema(ctx); {
	case errors.Is(err, db.ErrSchemaBehind):
		return db.ErrSchemaBehind.Error()
	case err != nil:
		return db.ErrUnavailable.Error()
	}
	return r.checkWritable(ctx)
}

// checkWritable writes to disk, so it does that once a second at most, whoever
// asks.
func (r *readiness) checkWritable(ctx context.Context) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.checked) < writableFor {
		return r.found
	}
	r.found = ""
	if r.database.CheckWritable(ctx) != nil {
		r.found = "the database cannot be written"
	} else if r.store.Check(ctx) != nil {
		r.found = "the media store cannot be written"
	}
	r.checked = time.Now()
	return r.found
}
