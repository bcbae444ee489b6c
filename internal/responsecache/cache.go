// Package responsecache caches responses. A cached response is served only if the change
// feed proves it current.
package responsecache

import (
	"context"
	"encoding/binary"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portfolio/db"
	"portfolio/internal/changefeed"
)

// Response is a finished response. It is shared, so nothing of it may be modified.
type Response struct {
	Body               []byte
	ContentLength      []string // values of headers
	ETag, CacheControl []string // nil if there are none
	Type, Operation    string   // of GraphQL
	Cost               float64  // of the operation
	mark               changefeed.Mark
	tags               changefeed.Tags
	began              time.Time // when its rows began to be read
	size               int64
}

// Cache holds responses, the last used first, within a number of bytes. A nil Cache holds
// none.
type Cache struct {
	feed    *changefeed.Feed
	options Options

	hits, misses atomic.Int64

	mu      sync.Mutex
	stored  *simplelru.LRU[Key, *Response]
	bytes   int64
	reading map[Key]*Reading
	seen    *[seenKeys]uint32
}

const (
	// overhead is the memory of a response in bytes without its body and tags.
	overhead = 600
	// maxShare of the cache is the size of the largest response that is stored.
	maxShare = 16
	// heldFactor is the bytes of memory for a byte of the cache: what was removed is
	// garbage for a while.
	heldFactor = 2
)

// Options configure a Cache.
type Options struct {
	Limit  int64          // bytes; 0 for no cache
	MaxAge time.Duration  // of a response, whatever the feed proves
	Hold   func(by int64) // called with each change of the memory in bytes, unless nil
}

// New returns a cache for responses made of rows whose changes are heard by the feed. It
// returns nil if the limit is 0 or there is no feed.
func New(changes *changefeed.Feed, options Options) *Cache {
	if changes == nil || options.Limit == 0 {
		return nil
	}
	c := &Cache{feed: changes, options: options, reading: map[Key]*Reading{}, seen: new([seenKeys]uint32)}
	c.stored, _ = simplelru.NewLRU(math.MaxInt, func(_ Key, removed *Response) { c.bytes -= removed.size }) // fails only for a size below 1
	return c
}

// Find returns the response to requests with this key if the proof, which began when the
// request came, proves that it is current. Otherwise the caller makes it, tells the
// Reading, which is nil if the response cannot be stored, and ends it. If another request
// is making the response, Find waits for that.
func (c *Cache) Find(ctx context.Context, key Key, proof changefeed.Proof) (*Response, *Reading) {
	if c == nil || proof.Mark() == 0 {
		return nil, nil
	}
	c.mu.Lock()
	found, _ := c.stored.Get(key)
	c.mu.Unlock()
	if c.isProven(found, proof) {
		c.hits.Add(1)
		return found, nil
	}
	running, own := c.join(key, proof.Mark(), found != nil)
	if running != nil {
		select {
		case <-running.done:
		case <-ctx.Done():
		}
		if found = running.result.Load(); c.isProven(found, proof) {
			c.hits.Add(1)
			return found, nil
		}
	}
	c.misses.Add(1)
	return nil, own
}

// isProven reports whether there is a response, which is current by a proof. It does not
// wait for the proof if the response is known to be stale.
func (c *Cache) isProven(r *Response, proof changefeed.Proof) bool {
	return r != nil && c.isCurrent(r) && proof.Wait() != 0 && c.isCurrent(r)
}

func (c *Cache) isCurrent(r *Response) bool {
	return time.Since(r.began) < c.options.MaxAge && c.feed.Current(r.mark, r.tags)
}

// join returns the reading of a key that another request has begun, or else begins one
// unless its response cannot be stored. The response is stored at the second sight of its
// key, so one that is asked for once costs no memory.
func (c *Cache) join(key Key, mark changefeed.Mark, wasStored bool) (running, own *Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.see(key)
	if before == refused {
		return nil, nil
	}
	if running = c.reading[key]; running != nil {
		if running.waiting++; running.waiting == 1 {
			running.done = make(chan struct{})
		}
		return running, nil
	}
	own = &Reading{cache: c, key: key, mark: mark, began: time.Now(), store: wasStored || before == seen}
	c.reading[key] = own
	return nil, own
}

// Reading is a response that is being made, for which others may wait. A nil Reading is
// one that nobody waits for and that is not stored.
type Reading struct {
	cache  *Cache
	key    Key
	mark   changefeed.Mark
	began  time.Time
	reads  *db.Reads
	result atomic.Pointer[Response]

	// Guarded by the cache's mutex.
	store   bool // in the cache
	waiting int
	done    chan struct{} // nil if nobody has waited
	ended   bool
}

// Record returns the context under which the rows of the response are read.
func (r *Reading) Record(ctx context.Context) context.Context {
	if r == nil {
		return ctx
	}
	ctx, r.reads = db.RecordReads(ctx)
	return ctx
}

// IsWanted reports whether anybody wants the response. If not, the reading ends.
func (r *Reading) IsWanted() bool {
	if r == nil {
		return false
	}
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	if !r.store && r.waiting == 0 {
		r.end()
	}
	return !r.ended
}

// Store gives the response to those who wait, and stores it unless what it was made of
// has changed meanwhile.
func (r *Reading) Store(made *Response) {
	c := r.cache
	made.mark, made.began, made.tags = r.mark, r.began, c.feed.Tags(r.reads)
	made.ContentLength = []string{strconv.Itoa(len(made.Body))}
	made.size = int64(overhead + cap(made.Body) + made.tags.Size() + len(made.Operation))
	if c.isCurrent(made) {
		c.add(r.key, made)
	}
	r.result.Store(made)
	r.End()
}

// Refuse ends the reading, since the response to requests with this key must not be stored.
func (r *Reading) Refuse() {
	if r == nil {
		return
	}
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	r.cache.refuse(r.key)
	r.end()
}

// End ends the reading. Those who wait make the response themselves unless it was stored.
func (r *Reading) End() {
	if r == nil {
		return
	}
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	r.end()
}

// end is End for a caller who holds the lock.
func (r *Reading) end() {
	if r.ended {
		return
	}
	r.ended = true
	delete(r.cache.reading, r.key)
	if r.done != nil {
		close(r.done)
	}
}

// add stores a response in place of those that were used least recently.
func (c *Cache) add(key Key, made *Response) {
	if made.size > c.options.Limit/maxShare {
		return
	}
	c.mu.Lock()
	before := c.bytes
	c.stored.Remove(key)
	for c.bytes+made.size > c.options.Limit {
		c.stored.RemoveOldest()
	}
	c.stored.Add(key, made)
	c.bytes += made.size
	by := c.bytes - before
	c.mu.Unlock()
	if c.options.Hold != nil && by != 0 {
		c.options.Hold(heldFactor * by)
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
	return Stats{c.stored.Len(), c.bytes, c.options.Limit, c.hits.Load(), c.misses.Load()}
}

// seenKeys is the number of keys that are remembered, in 256 KiB.
const seenKeys = 1 << 16

// What is known of a key. A new key takes the place of another one.
const (
	unseen = iota
	seen
	refused // its response must not be stored
)

// see remembers a key, and returns what was known of it.
func (c *Cache) see(key Key) int {
	at, print := place(key)
	switch known := c.seen[at]; known {
	case print:
		return seen
	case print | 1:
		return refused
	}
	c.seen[at] = print
	return unseen
}

func (c *Cache) refuse(key Key) {
	at, print := place(key)
	c.seen[at] = print | 1
}

// place returns where a key is remembered, and its fingerprint, which is even.
func place(key Key) (at int, print uint32) {
	return int(binary.LittleEndian.Uint16(key[:])), binary.LittleEndian.Uint32(key[2:])&^1 | 2
}
