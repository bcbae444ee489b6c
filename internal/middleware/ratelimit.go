// Package middleware provides HTTP middleware: request IDs and logs, rate limits,
// CORS and security headers.
package middleware

import (
	"context"
	"crypto/sha256"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"portfolio/internal/admission"
	"portfolio/internal/auth"
)

// A RejectFunc responds to a rejected request with the status, 429 or 503, and
// a Retry-After.
type RejectFunc func(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration)

// Limit is the rate at which a client may send requests.
type Limit struct {
	PerSecond float64 // 0 disables the limit
	Burst     int     // 0 for one second's worth of requests
}

// RateLimiter limits the requests of each client. A client is a token, or an address if the
// request has no token that was valid when it was last used.
type RateLimiter struct {
	limit    rate.Limit
	burst    int
	isValid  func(key string) bool
	now      func() time.Time
	rejected atomic.Int64

	mu       sync.Mutex
	limiters *simplelru.LRU[client, *rate.Limiter]
}

// client holds either a token or an address.
type client struct {
	token   [sha256.Size]byte
	address netip.Addr
}

const maxClients = 1 << 15

// NewRateLimiter returns a RateLimiter that allows each client limit. isValid
// reports whether a token's key was valid when it was last used.
func NewRateLimiter(limit Limit, isValid func(key string) bool) *RateLimiter {
	burst := limit.Burst
	if burst == 0 {
		burst = int(math.Ceil(limit.PerSecond))
	}
	limiters, _ := simplelru.NewLRU[client, *rate.Limiter](maxClients, nil) // fails only if the size is not positive
	return &RateLimiter{limit: rate.Limit(limit.PerSecond), burst: burst, isValid: isValid, now: time.Now, limiters: limiters}
}

// Handler calls next for requests within the limit, and reject for all other requests. It takes
// the client's address from the context of the request.
func (l *RateLimiter) Handler(next http.Handler, reject RejectFunc) http.Handler {
	if l.limit <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limiter := l.limiter(r.Context(), r.Header.Get("Authorization"))
		if !l.allow(w, limiter) {
			l.rejected.Add(1)
			wait := (1 - limiter.TokensAt(l.now())) / float64(l.limit)
			reject(w, r, http.StatusTooManyRequests, time.Duration(wait*float64(time.Second)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Allow counts an operation that is not a request of its own. It reports whether the operation is
// within the limit of the client.
func (l *RateLimiter) Allow(ctx context.Context, authorization string) bool {
	if l.limit <= 0 || l.limiter(ctx, authorization).AllowN(l.now(), 1) {
		return true
	}
	l.rejected.Add(1)
	return false
}

// allow counts a request, sets the RateLimit headers and reports whether the
// request is within the limit.
func (l *RateLimiter) allow(w http.ResponseWriter, limiter *rate.Limiter) bool {
	now := l.now()
	allowed := limiter.AllowN(now, 1)
	remaining := max(limiter.TokensAt(now), 0)
	reset := (float64(l.burst) - remaining) / float64(l.limit)
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.Itoa(l.burst))
	header.Set("RateLimit-Remaining", strconv.Itoa(int(remaining)))
	header.Set("RateLimit-Reset", admission.RetryAfter(time.Duration(reset*float64(time.Second))))
	return allowed
}

// limiter returns the limiter of the client of the context with an Authorization
// header.
func (l *RateLimiter) limiter(ctx context.Context, authorization string) *rate.Limiter {
	sender := client{address: auth.AddressFrom(ctx)}
	if _, key, err := auth.ParseHeader(authorization); err == nil && key != "" && l.isValid(key) {
		sender = client{token: auth.HashKey(key)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.limiters.Get(sender)
	if !ok {
		limiter = rate.NewLimiter(l.limit, l.burst)
		l.limiters.Add(sender, limiter)
	}
	return limiter
}
