package auth

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// RateLimitError reports that an address sent too many different invalid keys.
type RateLimitError struct {
	RetryAfter time.Duration // until the address may try another key
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many invalid keys, retry after %s", e.RetryAfter)
}

type addressKey struct{}

// WithAddress returns a context that carries the client's address.
func WithAddress(ctx context.Context, address netip.Addr) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

// AddressFrom returns the client's address, or the zero Addr if the context
// carries none.
func AddressFrom(ctx context.Context) netip.Addr {
	address, _ := ctx.Value(addressKey{}).(netip.Addr)
	return address
}

// maxRemembered bounds the number of valid keys, of invalid keys and of addresses in memory.
const maxRemembered = 1 << 15

// attempts limits the different invalid keys that each address may send. It counts a key once, and
// never limits a repeated key: repeating a key is not guessing.
type attempts struct {
	perMinute int // 0 disables the limit

	failures, rejections atomic.Int64

	mu       sync.Mutex
	valid    *simplelru.LRU[tokenHash, struct{}] // keys that were valid when last used
	invalid  *simplelru.LRU[tokenHash, struct{}]
	limiters *simplelru.LRU[netip.Addr, *rate.Limiter] // of addresses with failures
}

func newAttempts(perMinute int) *attempts {
	valid, _ := simplelru.NewLRU[tokenHash, struct{}](maxRemembered, nil) // fails only if the size is not positive
	invalid, _ := simplelru.NewLRU[tokenHash, struct{}](maxRemembered, nil)
	limiters, _ := simplelru.NewLRU[netip.Addr, *rate.Limiter](maxRemembered, nil)
	return &attempts{perMinute: perMinute, valid: valid, invalid: invalid, limiters: limiters}
}

// check returns a *RateLimitError if the address has reached its limit and the key is new.
func (a *attempts) check(address netip.Addr, hash tokenHash, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter, _ := a.limiters.Get(address)
	if limiter == nil || a.valid.Contains(hash) || a.invalid.Contains(hash) {
		return nil
	}
	if remaining := limiter.TokensAt(now); remaining < 1 {
		a.rejections.Add(1)
		return &RateLimitError{time.Duration((1 - remaining) / float64(limiter.Limit()) * float64(time.Second))}
	}
	return nil
}

// recordSuccess remembers a key as valid.
func (a *attempts) recordSuccess(hash tokenHash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.valid.Add(hash, struct{}{})
}

// recordFailure counts a key that is invalid, for the limit of the address.
func (a *attempts) recordFailure(address netip.Addr, hash tokenHash, now time.Time) {
	a.failures.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.valid.Remove(hash)
	if _, repeated := a.invalid.Get(hash); repeated || a.perMinute == 0 {
		return
	}
	a.invalid.Add(hash, struct{}{})
	limiter, ok := a.limiters.Get(address)
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(float64(a.perMinute)/time.Minute.Seconds()), a.perMinute)
		a.limiters.Add(address, limiter)
	}
	limiter.AllowN(now, 1)
}

func (a *attempts) wasValid(hash tokenHash) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.valid.Contains(hash)
}
