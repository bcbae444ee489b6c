package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"portfolio/db"
	"portfolio/internal/changefeed"
)

const (
	// cacheTTL bounds the age of a cached user without a feed. If another process revokes a
	// token or withdraws a permission, the change takes effect within this time.
	cacheTTL = time.Second

	maxCached = 10_000
)

// Authenticator finds the user who holds a token. It caches a user while the feed proves the
// user current, or for cacheTTL without a feed. It limits the failed logins of each address.
type Authenticator struct {
	db       *db.DB
	feed     *changefeed.Feed // may be nil
	timeout  time.Duration
	maxAge   time.Duration
	now      func() time.Time
	attempts *attempts
	queries  singleflight.Group

	hits, misses atomic.Int64
	revision     atomic.Uint64 // without a feed: number of calls of Invalidate, from 1

	mu    sync.RWMutex
	cache map[tokenHash]*entry
}

// entry is the result of a query for a token.
type entry struct {
	viewer   *db.User // must not be modified
	expires  *db.Time
	refusal  error               // ErrInvalidToken or ErrInactiveUser; such an entry is not cached
	start    time.Time           // of the query
	revision changefeed.Revision // at the start
}

func (e *entry) isExpired(now time.Time) bool {
	return e.expires != nil && !now.Before(e.expires.Time)
}

// IsRefusal reports whether an error says that a token is not accepted.
func IsRefusal(err error) bool {
	return errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrInactiveUser)
}

// Options configure an Authenticator.
type Options struct {
	Timeout     time.Duration // of the query for a token
	MaxAge      time.Duration // of a cached user, even if the feed proves it current
	MaxFailures int           // different invalid keys of an address per minute; 0 for any number
}

// New returns an Authenticator. The feed may be nil.
func New(database *db.DB, changes *changefeed.Feed, options Options) *Authenticator {
	a := &Authenticator{
		db: database, feed: changes, timeout: options.Timeout, maxAge: options.MaxAge, now: time.Now,
		attempts: newAttempts(options.MaxFailures), cache: map[tokenHash]*entry{},
	}
	a.revision.Store(1)
	return a
}

// Viewer returns the active user who holds the key, and the expiry of the token. The expiry is
// nil if the token does not expire. It returns the errors of Authenticate.
func (a *Authenticator) Viewer(ctx context.Context, key string) (*db.User, *db.Time, error) {
	session, err := a.Authenticate(ctx, key)
	if err == nil {
		_, err = session.revalidate(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return session.entry.viewer, session.entry.expires, nil
}

// Stats is the state of an Authenticator. All fields but Cached count since the start.
type Stats struct {
	Cached       int   // users
	Hits, Misses int64 // of the cache
	Failed       int64 // requests with an invalid key
	Refused      int64 // requests of addresses with too many failures
}

// Stats returns the state of the cache and of the limit of failed logins.
func (a *Authenticator) Stats() Stats {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return Stats{len(a.cache), a.hits.Load(), a.misses.Load(), a.attempts.failures.Load(), a.attempts.rejections.Load()}
}

// WasValid reports whether the key was valid when it was last used, which may
// be long ago.
func (a *Authenticator) WasValid(key string) bool { return a.attempts.wasValid(HashKey(key)) }

// Invalidate discards all cached users, so that a change of users or tokens takes effect
// immediately.
func (a *Authenticator) Invalidate() {
	a.revision.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.cache)
}

// latest returns the revision at the start of a barrier, or 0 if there is no barrier. Without a
// feed, the Authenticator counts revisions itself.
func (a *Authenticator) latest(barrier changefeed.Barrier) changefeed.Revision {
	if a.feed == nil {
		return changefeed.Revision(a.revision.Load())
	}
	return barrier.Revision()
}

// wait waits for the barrier and returns the latest revision.
func (a *Authenticator) wait(barrier changefeed.Barrier) changefeed.Revision {
	if a.feed == nil {
		return a.latest(barrier)
	}
	return barrier.Wait()
}

// isCurrent reports whether an entry is current at the latest revision.
func (a *Authenticator) isCurrent(e *entry, latest changefeed.Revision, now time.Time) bool {
	age := now.Sub(e.start)
	if a.feed == nil {
		return age < cacheTTL && e.revision == latest
	}
	return age < a.maxAge && latest != 0 && a.feed.AreUsersCurrent(e.revision)
}

// cached returns the entry of a token, nil if it is missing, stale or expired. It does not
// wait for the barrier.
func (a *Authenticator) cached(hash tokenHash, barrier changefeed.Barrier, now time.Time) *entry {
	a.mu.RLock()
	e := a.cache[hash]
	a.mu.RUnlock()
	if e != nil && a.isCurrent(e, a.latest(barrier), now) && !e.isExpired(now) {
		return e
	}
	return nil
}

// load shares one query among all requests that wait for the same token. It repeats a query
// whose result is stale for the request. Without a feed, it also repeats a query that rejected
// the token, if the query started before the request. The user may have been activated in
// between. If the barrier fails, the request executes a query of its own.
func (a *Authenticator) load(ctx context.Context, hash tokenHash, barrier changefeed.Barrier, now time.Time) (*entry, error) {
	latest := a.wait(barrier)
	if latest == 0 {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		return a.query(ctx, hash, latest)
	}
	leads := false // whether the query runs for this request
	for {
		result := a.queries.DoChan(string(hash[:]), func() (any, error) {
			leads = true
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
			defer cancel()
			e, err := a.query(ctx, hash, a.wait(barrier))
			if err == nil && e.refusal == nil {
				a.store(hash, e)
			}
			return e, err
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case done := <-result:
			if done.Err != nil {
				return nil, done.Err
			}
			e := done.Val.(*entry)
			earlierRefusal := a.feed == nil && e.refusal != nil && e.start.Before(now)
			if leads || !earlierRefusal && a.isCurrent(e, a.wait(barrier), now) {
				return e, nil
			}
		}
	}
}

// query reads a token's user from the database.
func (a *Authenticator) query(ctx context.Context, hash tokenHash, revision changefeed.Revision) (_ *entry, err error) {
	defer func() {
		if value := recover(); value != nil { // singleflight would exit the process
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	e := &entry{start: a.now(), revision: revision}
	user, err := a.db.UserByToken(ctx, hash)
	switch {
	case errors.Is(err, db.ErrNotFound):
		e.refusal = ErrInvalidToken
	case err != nil:
		return nil, err
	case !user.IsActive:
		e.refusal = ErrInactiveUser
	default:
		e.viewer, e.expires = &user.User, user.ExpiresAt
	}
	return e, nil
}

// store caches an entry unless the cached entry is newer.
func (a *Authenticator) store(hash tokenHash, e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= maxCached {
		clear(a.cache)
	}
	if current := a.cache[hash]; current == nil || !current.start.After(e.start) {
		a.cache[hash] = e
	}
}
