// Package middleware bounds what clients may do to the server, whatever they ask
// for: how often, how many at once, and from which pages.
package middleware

import (
	"crypto/sha256"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"portfolio/internal/admission"
	"portfolio/internal/auth"
)

// Refuse answers a request that is turned away with 429 or 503, and says when
// to come back.
type Refuse func(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration)

// Rate is how many requests a client may send.
type Rate struct {
	PerSecond float64 // 0: as many as it likes
	Burst     uint    // at once; 0: what it may send in a second
}

// Rates counts requests per token, and per address of a client that has none
// or one that was not yet found good.
type Rates struct {
	isGood   func(key string) bool
	requests Rate
	now      func() time.Time

	mu      sync.Mutex
	clients *simplelru.LRU[client, *rate.Limiter]
}

// client is who requests are counted for: a token, else an address.
type client struct {
	token   [sha256.Size]byte
	address netip.Addr
}

const maxClients = 1 << 15

// NewRates counts each client's requests. isGood reports whether a key was
// found good lately.
func NewRates(requests Rate, isGood func(key string) bool) *Rates {
	clients, _ := simplelru.NewLRU[client, *rate.Limiter](maxClients, nil) // the error is of a size below 1
	return &Rates{isGood: isGood, requests: requests, now: time.Now, clients: clients}
}

// Handler refuses what comes too often. The address of the client is that of
// the request's context.
func (s *Rates) Handler(next http.Handler, refuse Refuse) http.Handler {
	if s.requests.PerSecond <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limiter := s.limiterOf(r)
		if !s.count(w, limiter) {
			wait := (1 - limiter.TokensAt(s.now())) / float64(limiter.Limit())
			refuse(w, r, http.StatusTooManyRequests, time.Duration(wait*float64(time.Second)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// count takes one request off what the client has left, and says what is left.
func (s *Rates) count(w http.ResponseWriter, limiter *rate.Limiter) bool {
	now := s.now()
	allowed := limiter.AllowN(now, 1)
	left := max(limiter.TokensAt(now), 0)
	reset := (float64(limiter.Burst()) - left) / float64(limiter.Limit())
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.Itoa(limiter.Burst()))
	header.Set("RateLimit-Remaining", strconv.Itoa(int(left)))
	header.Set("RateLimit-Reset", admission.RetryAfter(time.Duration(reset*float64(time.Second))))
	return allowed
}

func (s *Rates) limiterOf(r *http.Request) *rate.Limiter {
	who := client{address: auth.AddressFrom(r.Context())}
	if _, key, err := auth.ParseHeader(r.Header.Get("Authorization")); err == nil && key != "" && s.isGood(key) {
		who = client{token: auth.HashKey(key)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter, ok := s.clients.Get(who)
	if !ok {
		burst := int(s.requests.Burst)
		if burst == 0 {
			burst = int(math.Ceil(s.requests.PerSecond))
		}
		limiter = rate.NewLimiter(rate.Limit(s.requests.PerSecond), burst)
		s.clients.Add(who, limiter)
	}
	return limiter
}
