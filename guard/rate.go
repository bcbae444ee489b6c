// Package guard bounds what clients may do to the server, whatever they ask
// for: how often, how many at once, and from which pages.
package guard

import (
	"crypto/sha256"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Refuse answers a request that is turned away with 429 or 503. Retry-After is
// set.
type Refuse func(w http.ResponseWriter, r *http.Request, status int)

// Rate is how many requests a client may send.
type Rate struct {
	PerSecond float64 // 0: as many as it likes
	Burst     uint    // at once; 0: what it may send in a second
}

// Rates counts requests per token, and per address of a client that has none
// or one that was not yet found good.
type Rates struct {
	proxies  Proxies
	isGood   func(key string) bool
	requests Rate
	failures Rate
	now      func() time.Time

	mu      sync.Mutex
	clients *simplelru.LRU[client, *rate.Limiter]
	failing *simplelru.LRU[netip.Addr, *rate.Limiter]
	wrong   *simplelru.LRU[keyHash, struct{}] // keys that were refused
}

type keyHash [sha256.Size]byte

// client is who requests are counted for: a token, else an address.
type client struct {
	token   keyHash
	address netip.Addr
}

const maxKnown = 100_000 // clients, addresses, keys

// NewRates counts each client's requests, and each address's failed logins.
// isGood reports whether a key was found good lately.
func NewRates(proxies Proxies, requests, failures Rate, isGood func(key string) bool) *Rates {
	clients, _ := simplelru.NewLRU[client, *rate.Limiter](maxKnown, nil) // fails on no size
	failing, _ := simplelru.NewLRU[netip.Addr, *rate.Limiter](maxKnown, nil)
	wrong, _ := simplelru.NewLRU[keyHash, struct{}](maxKnown, nil)
	return &Rates{
		proxies: proxies, isGood: isGood, requests: requests, failures: failures, now: time.Now,
		clients: clients, failing: failing, wrong: wrong,
	}
}

func (r Rate) limiter() *rate.Limiter {
	burst := int(r.Burst)
	if burst == 0 {
		burst = int(math.Ceil(r.PerSecond))
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), burst)
}

// Handler refuses what comes too often. Where an address had too many wrong
// keys, further ones are refused unseen. A key that was seen before is no
// guess: it gets the answer that it always got.
func (s *Rates) Handler(next http.Handler, refuse Refuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, key := s.proxies.client(r), key(r)
		if failures := s.failuresOf(address); failures != nil && failures.TokensAt(s.now()) < 1 && s.isGuess(key) {
			s.refuse(w, r, failures, refuse)
			return
		}
		if s.requests.PerSecond > 0 {
			limiter := s.limiterOf(address, key)
			if !s.count(w, limiter) {
				s.refuse(w, r, limiter, refuse)
				return
			}
		}
		next.ServeHTTP(w, r)
		if key != "" && w.Header()["Www-Authenticate"] != nil {
			s.failed(address, key)
		}
	})
}

// key is what the client says that its token is.
func key(r *http.Request) string {
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(key)
}

// count takes one request off what the client has left, and says what is left.
func (s *Rates) count(w http.ResponseWriter, limiter *rate.Limiter) bool {
	now := s.now()
	allowed := limiter.AllowN(now, 1)
	left := max(limiter.TokensAt(now), 0)
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.Itoa(limiter.Burst()))
	header.Set("RateLimit-Remaining", strconv.Itoa(int(left)))
	header.Set("RateLimit-Reset", seconds((float64(limiter.Burst())-left)/float64(limiter.Limit())))
	return allowed
}

func (s *Rates) limiterOf(address netip.Addr, key string) *rate.Limiter {
	who := client{address: address}
	if key != "" && s.isGood(key) {
		who = client{token: sha256.Sum256([]byte(key))}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter, ok := s.clients.Get(who)
	if !ok {
		limiter = s.requests.limiter()
		s.clients.Add(who, limiter)
	}
	return limiter
}

// failuresOf is nil for an address that never failed.
func (s *Rates) failuresOf(address netip.Addr) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter, _ := s.failing.Get(address)
	return limiter
}

// isGuess reports whether the key was seen neither as good nor as wrong.
func (s *Rates) isGuess(key string) bool {
	if key == "" || s.isGood(key) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.wrong.Contains(sha256.Sum256([]byte(key)))
}

// failed counts a wrong key, once.
func (s *Rates) failed(address netip.Addr, key string) {
	hash := keyHash(sha256.Sum256([]byte(key)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.wrong.Get(hash); known || s.failures.PerSecond <= 0 {
		return
	}
	s.wrong.Add(hash, struct{}{})
	limiter, ok := s.failing.Get(address)
	if !ok {
		limiter = s.failures.limiter()
		s.failing.Add(address, limiter)
	}
	limiter.AllowN(s.now(), 1)
}

func (s *Rates) refuse(w http.ResponseWriter, r *http.Request, limiter *rate.Limiter, refuse Refuse) {
	w.Header().Set("Retry-After", seconds((1-limiter.TokensAt(s.now()))/float64(limiter.Limit())))
	refuse(w, r, http.StatusTooManyRequests)
}

// seconds rounds up to whole ones, but for what floats leave over: a client
// that waits so long is let in.
func seconds(wait float64) string { return strconv.Itoa(max(1, int(math.Ceil(wait-1e-6)))) }
