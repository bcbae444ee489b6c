package db

import (
	"context"
	"sync"
	"time"
)

const (
	maxBatch     = 64                   // lookups
	maxBatchWait = 2 * time.Millisecond // for the fetches in flight
	batchTimeout = 10 * time.Second     // does not depend on the deadlines of requests
)

// A batcher merges concurrent lookups. A lookup that arrives while a fetch is in
// flight waits for the end of the fetch. Then a single fetch serves all waiting
// lookups. A lone lookup does not wait. No lookup joins a fetch in flight, so each
// lookup sees everything that was committed before its call.
type batcher[K, V any] struct {
	// fetchOne fetches the value of a key for one caller.
	fetchOne func(ctx context.Context, key K) (V, error)
	// fetchBatch sets the values of up to maxBatch calls. The value of a key
	// that does not exist stays zero. Its context does not depend on the
	// callers.
	fetchBatch func(ctx context.Context, calls []*call[K, V]) error
	// maxWait bounds how long a lookup waits for the fetches in flight.
	maxWait time.Duration

	mu       sync.Mutex
	inFlight int // fetches
	waiting  []*call[K, V]
	timer    *time.Timer // sends the waiting batch after maxWait
}

// A call is a lookup in a batch.
type call[K, V any] struct {
	key   K
	value V
	ok    bool          // whether the batch succeeded
	done  chan struct{} // closed when value and ok are set
}

// load returns the value of a key, and whether it waited for a batch. After a batch,
// a value that does not exist is zero, and the only error is ctx.Err().
func (b *batcher[K, V]) load(ctx context.Context, key K) (value V, batched bool, err error) {
	c := b.enqueue(key) //nolint:contextcheck // a batch must not end with the request of one caller
	if c == nil {
		defer b.release()
		value, err = b.fetchOne(ctx, key)
		return value, false, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return value, true, ctx.Err()
	}
	if !c.ok { // another key may be the cause
		value, err = b.fetchOne(ctx, key)
		return value, false, err
	}
	return c.value, true, nil
}

// enqueue adds a call to the next batch. If no fetch is in flight it returns
// nil: the caller fetches by itself and then calls release.
func (b *batcher[K, V]) enqueue(key K) *call[K, V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight == 0 {
		b.inFlight++
		return nil
	}
	c := &call[K, V]{key: key, done: make(chan struct{})}
	b.waiting = append(b.waiting, c)
	switch len(b.waiting) {
	case 1:
		b.timer = time.AfterFunc(b.maxWait, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.flush()
		})
	case maxBatch:
		b.flush()
	}
	return c
}

// release ends a fetch and sends the waiting batch.
func (b *batcher[K, V]) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	b.flush()
}

// flush sends the waiting batch. The caller holds the lock.
func (b *batcher[K, V]) flush() {
	if len(b.waiting) == 0 {
		return
	}
	b.timer.Stop()
	b.inFlight++
	go b.run(b.waiting)
	b.waiting = nil
}

// run fetches a batch and wakes its callers.
func (b *batcher[K, V]) run(calls []*call[K, V]) {
	defer func() {
		_ = recover() // each caller then fetches by itself, and its own goroutine panics
		for _, c := range calls {
			close(c.done)
		}
	}()
	defer b.release()
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	err := b.fetchBatch(ctx, calls)
	for _, c := range calls {
		c.ok = err == nil
	}
}
