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

// AddressFrom returns the client's address, the zero Addr if the context
// carries none.
func AddressFrom(ctx context.Context) netip.Addr {
	address, _ := ctx.Value(addressKey{}).(netip.Addr)
	return address
}

// maxRemembered bounds the number of valid keys, invalid keys and addresses
// that are remembered.
const maxRemembered = 1 << 15

// logins limits the different invalid keys that each address may send. It
// counts a key once, and never limits one that it has seen before: repeating a
// key is not guessing.
type logins struct {
	perMinute int // 0 disables the limit

	failures, refused atomic.Int64

	mu       sync.Mutex
	valid    *simplelru.LRU[tokenHash, struct{}] // when last used
	invalid  *simplelru.LRU[tokenHash, struct{}]
	limiters *simplelru.LRU[netip.Addr, *rate.Limiter] // of addresses with failures
}

func newLogins(perMinute int) *logins {
	valid, _ := simplelru.NewLRU[tokenHash, struct{}](maxRemembered, nil) // fails only if the size is not positive
	invalid, _ := simplelru.NewLRU[tokenHash, struct{}](maxRemembered, nil)
	limiters, _ := simplelru.NewLRU[netip.Addr, *rate.Limiter](maxRemembered, nil)
	return &logins{perMinute: perMinute, valid: valid, invalid: invalid, limiters: limiters}
}

// check returns a *RateLimitError if the address has no failures left and the
// key was not seen before.
func (l *logins) check(address netip.Addr, hash tokenHash, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, _ := l.limiters.Get(address)
	if limiter == nil || l.valid.Contains(hash) || l.invalid.Contains(hash) {
		return nil
	}
	if left := limiter.TokensAt(now); left < 1 {
		l.refused.Add(1)
		return &RateLimitError{time.Duration((1 - left) / float64(limiter.Limit()) * float64(time.Second))}
	}
	return nil
}

func (l *logins) succeeded(hash tokenHash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.valid.Add(hash, struct{}{})
}

func (l *logins) failed(address netip.Addr, hash tokenHash, now time.Time) {
	l.failures.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.valid.Remove(hash)
	if _, seen := l.invalid.Get(hash); seen || l.perMinute == 0 {
		return
	}
	l.invalid.Add(hash, struct{}{})
	limiter, ok := l.limiters.Get(address)
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(float64(l.perMinute)/time.Minute.Seconds()), l.perMinute)
		l.limiters.Add(address, limiter)
	}
	limiter.AllowN(now, 1)
}

func (l *logins) wasValid(hash tokenHash) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.valid.Contains(hash)
}
