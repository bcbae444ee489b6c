package responsecache

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"portfolio/db"
	"portfolio/internal/changefeed"
)

// Fill is a response that a request is building. Other requests may wait for it.
type Fill struct {
	cache    *Cache // nil if the response is not shared
	key      Key
	revision changefeed.Revision
	start    time.Time
	readSet  *db.ReadSet
	response atomic.Pointer[Response]

	// Guarded by the cache's mutex.
	keep    bool          // whether to cache the response
	waiting int           // requests
	done    chan struct{} // nil until a request waits
	closed  bool
}

// track returns a context that records the read set of the response.
func (f *Fill) track(ctx context.Context) context.Context {
	if f.cache == nil {
		return ctx
	}
	ctx, f.readSet = db.WithReadSet(ctx)
	return ctx
}

// wait waits until the fill is closed or ctx ends. It returns the response, or nil if there
// is none.
func (f *Fill) wait(ctx context.Context) *Response {
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	return f.response.Load()
}

// Share passes the response to the requests that wait for it. It caches the response unless
// the rows have changed since they were read. It calls build only if the response is needed.
func (f *Fill) Share(build func() *Response) {
	if !f.isNeeded() {
		return
	}
	c, r := f.cache, build()
	r.revision, r.start, r.readSet = f.revision, f.start, c.feed.Compact(f.readSet)
	r.ContentLength = []string{strconv.Itoa(len(r.Body))}
	r.size = int64(overhead + cap(r.Body) + r.readSet.Size() + len(r.Operation))
	if c.isCurrent(r) {
		c.add(f.key, r)
	}
	f.response.Store(r)
	f.close()
}

// isNeeded reports whether a request waits for the response, or the cache will keep it.
// Otherwise it closes the fill.
func (f *Fill) isNeeded() bool {
	if f.cache == nil {
		return false
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	if !f.keep && f.waiting == 0 {
		f.closeLocked()
	}
	return !f.closed
}

// Forbid closes the fill, and prevents sharing of responses with its key. The requests that
// wait build their own responses.
func (f *Fill) Forbid() {
	if f.cache == nil {
		return
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.cache.forbid(f.key)
	f.closeLocked()
}

// close closes the fill. If the response was not shared, the requests that wait build their
// own responses.
func (f *Fill) close() {
	if f.cache == nil {
		return
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.closeLocked()
}

// closeLocked is like close. The caller holds the cache's mutex.
func (f *Fill) closeLocked() {
	if f.closed {
		return
	}
	f.closed = true
	delete(f.cache.fills, f.key)
	if f.done != nil {
		close(f.done)
	}
}
