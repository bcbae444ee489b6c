package auth

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"portfolio/db"
	"portfolio/internal/changefeed"
)

const (
	// cacheTTL bounds how stale a cached viewer may be without a feed. A change made
	// by another process (revoked token, withdrawn permission) takes effect within it.
	cacheTTL = time.Second

	maxCached = 10_000
)

// Authenticator finds the viewer who holds a token. It caches viewers while the feed
// proves that they are current, or without a feed briefly, and limits the failed
// logins of each address.
type Authenticator struct {
	db      *db.DB
	feed    *changefeed.Feed // may be nil
	timeout time.Duration
	maxAge  time.Duration
	now     func() time.Time
	logins  *logins
	queries singleflight.Group

	hits, misses atomic.Int64

	mu         sync.RWMutex
	cache      map[tokenHash]*cacheEntry
	generation int // incremented by Invalidate
}

// cacheEntry is the result of a query.
type cacheEntry struct {
	viewer  *db.User
	expires *db.Time
	err     error           // ErrInvalidToken or ErrInactiveUser; such an entry is not cached
	read    time.Time       // when the query started
	mark    changefeed.Mark // that the query started at
}

func (e *cacheEntry) isExpired(now time.Time) bool {
	return e.expires != nil && !now.Before(e.expires.Time)
}

// Options configure an Authenticator.
type Options struct {
	Timeout     time.Duration // of a query
	MaxAge      time.Duration // of a cached viewer, whatever the feed proves
	MaxFailures int           // different invalid keys of an address per minute; 0 for any number
}

// NewAuthenticator returns an Authenticator on database. The feed may be nil.
func NewAuthenticator(database *db.DB, changes *changefeed.Feed, options Options) *Authenticator {
	return &Authenticator{
		db: database, feed: changes, timeout: options.Timeout, maxAge: options.MaxAge, now: time.Now,
		logins: newLogins(options.MaxFailures), cache: map[tokenHash]*cacheEntry{},
	}
}

// Login is the viewer of a request, as far as changes of users, permissions and tokens have
// been heard of. Nothing may be changed, and no response sent, before Confirm.
type Login struct {
	Viewer  *db.User         // must not be modified
	Expires *db.Time         // when the token expires, nil if it does not
	Proof   changefeed.Proof // that began when the request came

	authenticator *Authenticator
	key           string
	began         time.Time
	entry         *cacheEntry // nil if the viewer is known for certain
	final         bool        // whether ConfirmNow was called
}

// LogIn finds the active user who holds the key. The error is ErrInvalidToken if the key
// is unknown or expired, ErrInactiveUser, a *RateLimitError or an error of the database.
// The client's address is taken from the context.
func (a *Authenticator) LogIn(ctx context.Context, key string) (*Login, error) {
	login := &Login{Proof: a.feed.Begin(), authenticator: a, key: key, began: a.now()}
	if entry := a.cached(HashKey(key), login.Proof.Mark(), login.began); entry != nil {
		a.hits.Add(1)
		login.Viewer, login.Expires, login.entry = entry.viewer, entry.expires, entry
		return login, nil
	}
	a.misses.Add(1)
	return login, login.read(ctx)
}

// Confirm waits until it is known who the viewer was when the request came. It reports
// whether that is another one than before. The error is that of LogIn, or of ctx when the
// request has taken as long as queries may.
func (l *Login) Confirm(ctx context.Context) (changed bool, err error) {
	if l.final {
		return false, nil
	}
	return l.confirm(ctx)
}

// ConfirmNow reads the viewer as of now. Call it before what must not be repeated; later
// calls of Confirm do nothing.
func (l *Login) ConfirmNow(ctx context.Context) (changed bool, err error) {
	l.began = l.authenticator.now()
	l.Proof = l.authenticator.feed.Begin()
	l.final = true
	return l.confirm(ctx)
}

func (l *Login) confirm(ctx context.Context) (changed bool, err error) {
	a := l.authenticator
	if l.entry == nil || l.isCurrent() {
		return false, nil
	}
	ctx, cancel := context.WithDeadline(ctx, l.began.Add(a.timeout))
	defer cancel()
	before := *l.Viewer
	err = l.read(ctx)
	return err != nil || !reflect.DeepEqual(before, *l.Viewer), err
}

// isCurrent waits for the proof, and reports whether the viewer is current. Without a proof,
// a viewer who was read for this request is, up to the maximum age.
func (l *Login) isCurrent() bool {
	a, mark := l.authenticator, l.Proof.Wait()
	now := a.now()
	if mark != 0 {
		return a.isCurrent(l.entry, mark, now)
	}
	return (a.feed == nil || !l.entry.read.Before(l.began)) && now.Sub(l.entry.read) < a.maxAge
}

// read finds the viewer anew.
func (l *Login) read(ctx context.Context) error {
	a, address, hash, now := l.authenticator, AddressFrom(ctx), HashKey(l.key), l.authenticator.now()
	if err := a.logins.check(address, hash, now); err != nil {
		return err
	}
	entry, err := a.load(ctx, hash, l.Proof.Wait(), now)
	if err == nil {
		err = entry.err
	}
	if err == nil && entry.isExpired(now) {
		err = ErrInvalidToken
	}
	if err != nil {
		if errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrInactiveUser) {
			a.logins.failed(address, hash, now)
		}
		return err
	}
	a.logins.succeeded(hash)
	l.Viewer, l.Expires, l.entry = entry.viewer, entry.expires, entry
	return nil
}

// Viewer is LogIn and Confirm. It returns when the token expires too, nil if it does not.
func (a *Authenticator) Viewer(ctx context.Context, key string) (*db.User, *db.Time, error) {
	login, err := a.LogIn(ctx, key)
	if err == nil {
		_, err = login.Confirm(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return login.Viewer, login.Expires, nil
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

// isCurrent reports whether an entry is valid at a mark, as far as changes have been heard
// of, and now.
func (a *Authenticator) isCurrent(entry *cacheEntry, mark changefeed.Mark, now time.Time) bool {
	age := now.Sub(entry.read)
	if a.feed == nil {
		return age < cacheTTL
	}
	return age < a.maxAge && mark != 0 && a.feed.UsersCurrent(entry.mark)
}

// cached returns the cache entry of a token, nil if it is missing, stale or expired.
func (a *Authenticator) cached(hash tokenHash, mark changefeed.Mark, now time.Time) *cacheEntry {
	a.mu.RLock()
	entry := a.cache[hash]
	a.mu.RUnlock()
	if entry != nil && a.isCurrent(entry, mark, now) && !entry.isExpired(now) {
		return entry
	}
	return nil
}

// load shares one query among all requests that wait for the same token. It repeats a
// query whose result is not current for the request. Without a feed, it also repeats a query
// that began before the request and refused it: the user may have been activated in between.
// If the feed cannot prove what is current, the request has a query of its own.
func (a *Authenticator) load(ctx context.Context, hash tokenHash, mark changefeed.Mark, now time.Time) (*cacheEntry, error) {
	if a.feed != nil && mark == 0 {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		return a.query(ctx, hash, mark, now)
	}
	own := false // whether the result is that of a query for this request
	for {
		a.mu.RLock()
		generation := a.generation
		a.mu.RUnlock()
		result := a.queries.DoChan(strconv.Itoa(generation)+" "+string(hash[:]), func() (any, error) {
			own = true
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.timeout)
			defer cancel()
			entry, err := a.query(ctx, hash, mark, a.now())
			if err == nil && entry.err == nil {
				a.store(hash, entry, generation)
			}
			return entry, err
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case done := <-result:
			if done.Err != nil {
				return nil, done.Err
			}
			entry := done.Val.(*cacheEntry)
			earlierRefusal := a.feed == nil && entry.err != nil && entry.read.Before(now)
			if own || !earlierRefusal && a.isCurrent(entry, mark, now) {
				return entry, nil
			}
		}
	}
}

// query reads a token's viewer from the database.
func (a *Authenticator) query(ctx context.Context, hash tokenHash, mark changefeed.Mark, now time.Time) (_ *cacheEntry, err error) {
	defer func() {
		if value := recover(); value != nil { // singleflight would exit the process
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	user, err := a.db.UserByToken(ctx, hash)
	entry := &cacheEntry{read: now, mark: mark}
	switch {
	case errors.Is(err, db.ErrNotFound):
		entry.err = ErrInvalidToken
	case err != nil:
		return nil, err
	case !user.IsActive:
		entry.err = ErrInactiveUser
	default:
		entry.viewer, entry.expires = &user.User, user.ExpiresAt
	}
	return entry, nil
}

// store caches a viewer, unless the cache was invalidated since generation.
func (a *Authenticator) store(hash tokenHash, entry *cacheEntry, generation int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cache) >= maxCached {
		clear(a.cache)
	}
	if newer := a.cache[hash]; a.generation == generation && (newer == nil || !newer.read.After(entry.read)) {
		a.cache[hash] = entry
	}
}
