package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// RateLimitError means that an address sent too many different wrong keys.
type RateLimitError struct {
	RetryAfter time.Duration // until it may try the next one
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("too many wrong keys, retry after %s", e.RetryAfter)
}

type addressKey struct{}

// WithAddress returns a context that carries the address of the client.
func WithAddress(ctx context.Context, address netip.Addr) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

// AddressFrom returns the address of the client, the zero Addr if the context
// carries none.
func AddressFrom(ctx context.Context) netip.Addr {
	address, _ := ctx.Value(addressKey{}).(netip.Addr)
	return address
}

type keyHash = [sha256.Size]byte

// maxRemembered bounds the keys and the addresses that are remembered.
const maxRemembered = 1 << 15

// logins counts the different wrong keys that each address sends.
type logins struct {
	perMinute int // 0: no limit

	mu      sync.Mutex
	good    *simplelru.LRU[keyHash, struct{}] // keys that worked once
	wrong   *simplelru.LRU[keyHash, struct{}]
	failing *simplelru.LRU[netip.Addr, *rate.Limiter]
}

func newLogins(perMinute uint) *logins {
	good, _ := simplelru.NewLRU[keyHash, struct{}](maxRemembered, nil) // the error is of a size below 1
	wrong, _ := simplelru.NewLRU[keyHash, struct{}](maxRemembered, nil)
	failing, _ := simplelru.NewLRU[netip.Addr, *rate.Limiter](maxRemembered, nil)
	return &logins{perMinute: int(perMinute), good: good, wrong: wrong, failing: failing}
}

// check returns a RateLimitError for a key that was never seen from an address
// that has no failures left. A key that was seen is no guess.
func (l *logins) check(address netip.Addr, hash keyHash, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, _ := l.failing.Get(address)
	if limiter == nil || l.good.Contains(hash) || l.wrong.Contains(hash) {
		return nil
	}
	if left := limiter.TokensAt(now); left < 1 {
		return &RateLimitError{time.Duration((1 - left) / float64(limiter.Limit()) * float64(time.Second))}
	}
	return nil
}

func (l *logins) succeeded(hash keyHash) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good.Add(hash, struct{}{})
}

// failed counts a wrong key, once.
func (l *logins) failed(address netip.Addr, hash keyHash, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good.Remove(hash)
	if _, known := l.wrong.Get(hash); known || l.perMinute == 0 {
		return
	}
	l.wrong.Add(hash, struct{}{})
	limiter, ok := l.failing.Get(address)
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(float64(l.perMinute)/time.Minute.Seconds()), l.perMinute)
		l.failing.Add(address, limiter)
	}
	limiter.AllowN(now, 1)
}

// known reports whether the key worked when it was last looked up.
func (l *logins) known(hash keyHash) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good.Contains(hash)
}
