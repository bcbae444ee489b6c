// Package responsecache caches responses. A cached response is served only if the change
// feed proves it current.
package responsecache

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portfolio/internal/changefeed"
)

// Response is a complete response. Requests share it, so callers must not modify it.
type Response struct {
	Body               []byte
	ContentLength      []string // values of the header
	ETag, CacheControl []string // values of the headers; nil to send none
	Type, Operation    string   // type and name of the GraphQL operation
	Cost               float64  // of the operation
	revision           changefeed.Revision
	readSet            changefeed.ReadSet
	start              time.Time // of the fill
	size               int64
}

// Cache is an LRU cache of responses that is bounded in bytes. A nil Cache is always empty.
type Cache struct {
	feed    *changefeed.Feed
	options Options

	hits, misses atomic.Int64

	mu        sync.Mutex
	responses *simplelru.LRU[Key, *Response]
	bytes     int64
	fills     map[Key]*Fill
	seen      *[seenKeys]uint32
}

const (
	// overhead is the memory of a response in bytes without its body and read set.
	overhead = 600
	// maxShare bounds a response to this fraction of the cache: a sixteenth.
	maxShare = 16
	// heldFactor is the memory in bytes for each byte of the cache. A removed response stays
	// in memory until it is collected.
	heldFactor = 2
)

// Options configure a Cache.
type Options struct {
	Limit  int64         // bytes; 0 disables the cache
	MaxAge time.Duration // of a response, even if its rows are unchanged

	OnMemoryChange func(delta int64) // gets each change of the memory in bytes; may be nil
}

// New returns a cache whose responses the feed changes invalidates. It returns nil if
// changes is nil or the limit is 0.
func New(changes *changefeed.Feed, options Options) *Cache {
	if changes == nil || options.Limit == 0 {
		return nil
	}
	c := &Cache{feed: changes, options: options, fills: map[Key]*Fill{}, seen: new([seenKeys]uint32)}
	c.responses, _ = simplelru.NewLRU(math.MaxInt, func(_ Key, removed *Response) { c.bytes -= removed.size }) // fails only for a size below 1
	return c
}

// Do returns the response for key if barrier proves it current. The response comes from the
// cache, or from a concurrent request that builds it. Otherwise Do calls fill, which writes
// the response itself, and returns nil.
func (c *Cache) Do(ctx context.Context, key Key, barrier changefeed.Barrier, fill func(context.Context, *Fill)) *Response {
	if c == nil || barrier.Revision() == 0 {
		fill(ctx, new(Fill))
		return nil
	}
	c.mu.Lock()
	cached, _ := c.responses.Get(key)
	c.mu.Unlock()
	if c.isProven(cached, barrier) {
		c.hits.Add(1)
		return cached
	}
	f, inFlight := c.join(key, barrier.Revision(), cached != nil)
	if inFlight != nil {
		if cached = inFlight.wait(ctx); c.isProven(cached, barrier) {
			c.hits.Add(1)
			return cached
		}
	}
	c.misses.Add(1)
	defer f.close()
	fill(f.track(ctx), f)
	return nil
}

// isProven reports whether r is a response that the barrier proves current. It waits for the
// barrier unless the response is already stale.
func (c *Cache) isProven(r *Response, barrier changefeed.Barrier) bool {
	return r != nil && c.isCurrent(r) && barrier.Wait() != 0 && c.isCurrent(r)
}

func (c *Cache) isCurrent(r *Response) bool {
	return time.Since(r.start) < c.options.MaxAge && c.feed.IsCurrent(r.revision, r.readSet)
}

// join returns a fill for a request, and the fill that is in flight for the same key, or nil.
// The new fill shares no response if a fill is in flight, or if the key is forbidden. A key is
// cached on its second request, so one-off requests take no memory.
func (c *Cache) join(key Key, revision changefeed.Revision, wasCached bool) (f, inFlight *Fill) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.markSeen(key)
	if state == forbidden {
		return new(Fill), nil
	}
	if inFlight = c.fills[key]; inFlight != nil {
		if inFlight.waiting++; inFlight.waiting == 1 {
			inFlight.done = make(chan struct{})
		}
		return new(Fill), inFlight
	}
	f = &Fill{cache: c, key: key, revision: revision, start: time.Now(), keep: wasCached || state == seen}
	c.fills[key] = f
	return f, nil
}

// add caches a response in place of the least recently used responses.
func (c *Cache) add(key Key, r *Response) {
	if r.size > c.options.Limit/maxShare {
		return
	}
	c.mu.Lock()
	previous := c.bytes
	c.responses.Remove(key)
	for c.bytes+r.size > c.options.Limit {
		c.responses.RemoveOldest()
	}
	c.responses.Add(key, r)
	c.bytes += r.size
	change := c.bytes - previous
	c.mu.Unlock()
	if c.options.OnMemoryChange != nil && change != 0 {
		c.options.OnMemoryChange(heldFactor * change)
	}
}

// Stats is the state of a Cache.
type Stats struct {
	Entries      int
	Bytes, Limit int64
	Hits, Misses int64 // since the start
}

// Stats returns the state of the cache.
func (c *Cache) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{c.responses.Len(), c.bytes, c.options.Limit, c.hits.Load(), c.misses.Load()}
}

// seenKeys is the number of keys whose state is kept. The states take 256 KiB.
const seenKeys = 1 << 16

// States of a key. A new key may overwrite the state of an older key.
const (
	unseen = iota
	seen
	forbidden // its response must not be shared
)

// markSeen marks a key as seen, and returns its previous state. A forbidden key remains
// forbidden.
func (c *Cache) markSeen(key Key) int {
	slot, fingerprint := locate(key)
	switch c.seen[slot] {
	case fingerprint:
		return seen
	case fingerprint | 1:
		return forbidden
	}
	c.seen[slot] = fingerprint
	return unseen
}

func (c *Cache) forbid(key Key) {
	slot, fingerprint := locate(key)
	c.seen[slot] = fingerprint | 1
}

// locate returns the slot of a key's state, and the key's fingerprint. Fingerprints are even,
// because the lowest bit marks a forbidden key.
func locate(key Key) (slot int, fingerprint uint32) {
	return int(binary.LittleEndian.Uint16(key[:])), binary.LittleEndian.Uint32(key[2:])&^1 | 2
}
