package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"portfolio/db"
)

const (
	// cacheTTL bounds how stale a cached viewer may be. A change made by another
	// process (revoked token, withdrawn permission) takes effect within it.
	cacheTTL = time.Second

	maxCached = 10_000
)

// Authenticator finds the viewer who holds a token. It caches viewers briefly
// and limits the failed logins of each address.
type Authenticator struct {
	db      *db.DB
	timeout time.Duration
	now     func() time.Time
	logins  *logins
	queries singleflight.Group

	hits, misses atomic.Int64

	mu         sync.RWMutex
	cache      map[tokenHash]*cacheEntry
	generation int // incremented by Invalidate
}

type cacheEntry struct {
	viewer  *db.User
	expires *db.Time
	read    time.Time // when the query started
}

// NewAuthenticator returns an Authenticator on database whose queries take at
// most timeout. An address may send maxFailures different invalid keys per
// minute, or any number if that is 0.
func NewAuthenticator(database *db.DB, timeout time.Duration, maxFailures int) *Authenticator {
	return &Authenticator{
		db: database, timeout: timeout, now: time.Now,
		logins: newLogins(maxFailures), cache: map[tokenHash]*cacheEntry{},
	}
}

// Viewer returns the active user who holds the key and must not be modified. The error is ErrInvalidToken if the key
// is unknown or expired, ErrInactiveUser, a *RateLimitError or an error of the
// database. The client's address is taken from the context.
func (a *Authenticator) Viewer(ctx context.Context, key string) (*db.User, error) {
	hash, now := HashKey(key), a.now()
	entry := a.cached(hash, now)
	if entry != nil {
		a.hits.Add(1)
	} else {
		a.misses.Add(1)
		address := AddressFrom(ctx)
		if err := a.logins.check(address, hash, now); err != nil {
			return nil, err
		}
		var err error
		if entry, err = a.load(ctx, hash, now); err != nil {
			if errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrInactiveUser) {
				a.logins.failed(address, hash, now)
			}
			return nil, err
		}
		a.logins.succeeded(hash)
	}
	if entry.expires != nil && !now.Before(entry.expires.Time) {
		a.logins.failed(AddressFrom(ctx), hash, now)
		return nil, ErrInvalidToken
	}
	return entry.viewer, nil
}

// Stats counts since the start, but for Cached.
type Stats struct {
	Cached       int   // viewers
	Hits, Misses int64 // of the cache
	Failed       int64 // requests with an invalid key
	Refused      int64 // requests of addresses with too many failures
}

// Stats returns the state of the cache and of the limit of failed logins.
func (a *Authenticator) Stats() Stats {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return Stats{len(a.cache), a.hits.Load(), a.misses.Load(), a.logins.failures.Load(), a.logins.refused.Load()}
}

// WasValid reports whether the key was valid when it was last used, which may
// be long ago.
func (a *Authenticator) WasValid(key string) bool { return a.logins.wasValid(HashKey(key)) }

// Invalidate discards all cached viewers, so that a change of users or tokens
// takes effect immediately.
func (a *Authenticator) Invalidate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.cache)
	a.generation++
}

// cached returns the cache entry of a token, nil if it is missing or stale.
func (a *Authenticator) cached(hash tokenHash, now time.Time) *cacheEntry {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if entry := a.cache[hash]; entry != nil && now.Sub(entry.read) < cacheTTL {
		return entry
	}
	return nil
}

// load shares one query among all requests that wait for the same token. It
// repeats a query that started too long before the request.
func (a *Authenticator) load(ctx context.Context, hash tokenHash, now time.Time) (*cacheEntry, error) {
	for {
		a.mu.RLock()
		generation := a.generation
		a.mu.RUnlock()
		result := a.queries.DoChan(strconv.Itoa(generation)+" "+string(hash[:]), func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
			defer cancel()
			return a.query(ctx, hash, a.now(), generation)
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case done := <-result:
			if done.Err != nil {
				return nil, done.Err
			}
			if entry := done.Val.(*cacheEntry); now.Sub(entry.read) < cacheTTL {
				return entry, nil
			}
		}
	}
}

// query reads a token's viewer from the database. It caches the viewer unless
// the cache was invalidated since generation.
func (a *Authenticator) query(ctx context.Context, hash tokenHash, now time.Time, generation int) (_ *cacheEntry, err error) {
	defer func() {
		if value := recover(); value != nil { // singleflight would exit the process
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	user, err := a.db.UserByToken(ctx, hash)
	if errors.Is(err, db.ErrNotFound) {
		return nil, ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	if !user.IsActive {
		return nil, ErrInactiveUser
	}
	entry := &cacheEntry{viewer: &user.User, expires: user.ExpiresAt, read: now}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= maxCached {
		clear(a.cache)
	}
	if a.generation == generation {
		a.cache[hash] = entry
	}
	return entry, nil
}
