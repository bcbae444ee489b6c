// Package auth says who sends a request and what they may do: one rule for
// GraphQL and for the legacy endpoint.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"portfolio/db"
)

// PortfolioLinkCode is the permission code of the legacy system that lets
// staff read and edit portfolio links.
const PortfolioLinkCode = 4242

// Why a key is refused.
var (
	ErrInvalidToken = errors.New("invalid token")
	ErrInactiveUser = errors.New("user inactive")
)

// Permission names what a field asks of the viewer.
type Permission string

// The permissions there are.
const (
	PermissionPortfolioLink Permission = "PORTFOLIO_LINK"
	PermissionAdmin         Permission = "ADMIN"
)

// Viewer is the active user behind a request.
type Viewer struct {
	ID       int64
	Username string
	IsStaff  bool
	IsAdmin  bool
	codes    []int
}

// Allowed reports whether the viewer has the permission: an admin has every
// one, PORTFOLIO_LINK is also had by staff who hold its code. A nil viewer
// has none.
func (v *Viewer) Allowed(permission Permission) bool {
	switch {
	case v == nil:
		return false
	case v.IsAdmin:
		return true
	case permission == PermissionPortfolioLink:
		return v.IsStaff && slices.Contains(v.codes, PortfolioLinkCode)
	}
	return false
}

// Permissions lists what the viewer is allowed.
func (v *Viewer) Permissions() []Permission {
	allowed := []Permission{}
	for _, permission := range []Permission{PermissionPortfolioLink, PermissionAdmin} {
		if v.Allowed(permission) {
			allowed = append(allowed, permission)
		}
	}
	return allowed
}

// NewKey makes a key for a new token, in the legacy system's form: 40
// hexadecimal digits.
func NewKey() string {
	var key [20]byte
	_, _ = rand.Read(key[:]) // never fails
	return hex.EncodeToString(key[:])
}

// HashKey is the only form in which a key is kept.
func HashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// freshness is how long a viewer is answered from memory. It bounds how long
// a change made elsewhere (revoked token, withdrawn permission) goes
// unnoticed, on every replica.
const freshness = time.Second

const maxCached = 10_000

// Tokens finds the viewer behind a key.
type Tokens struct {
	db      *db.DB
	timeout time.Duration
	now     func() time.Time
	logins  *logins
	reads   singleflight.Group

	mu        sync.RWMutex
	cached    map[keyHash]*entry
	forgotten int // times; a statement begun before the last one is not kept
}

type entry struct {
	viewer  *Viewer
	expires *db.Time
	read    time.Time // when its statement was begun
}

// NewTokens finds viewers in the database, each within timeout. One address
// may send so many different wrong keys a minute, 0 meaning any number.
func NewTokens(database *db.DB, timeout time.Duration, failuresPerMinute uint) *Tokens {
	return &Tokens{
		db: database, timeout: timeout, now: time.Now,
		logins: newLogins(failuresPerMinute), cached: map[keyHash]*entry{},
	}
}

// Viewer returns who holds the key. The error is ErrInvalidToken for a key
// that is unknown or expired, ErrInactiveUser, a RateLimitError, or the
// database's. The client's address is that of the context.
func (t *Tokens) Viewer(ctx context.Context, key string) (*Viewer, error) {
	hash, now := HashKey(key), t.now()
	known := t.fresh(hash, now)
	if known == nil {
		address := AddressFrom(ctx)
		if err := t.logins.check(address, hash, now); err != nil {
			return nil, err
		}
		var err error
		if known, err = t.read(ctx, hash, now); err != nil {
			if errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrInactiveUser) {
				t.logins.failed(address, hash, now)
			}
			return nil, err
		}
		t.logins.succeeded(hash)
	}
	if known.expires != nil && !now.Before(known.expires.Time) {
		t.logins.failed(AddressFrom(ctx), hash, now)
		return nil, ErrInvalidToken
	}
	return known.viewer, nil
}

// fresh returns what memory says of a key, nil if that is too old.
func (t *Tokens) fresh(hash keyHash, now time.Time) *entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if known := t.cached[hash]; known != nil && now.Sub(known.read) < freshness {
		return known
	}
	return nil
}

// Known reports whether the key worked when it was last looked up, which may
// be long ago.
func (t *Tokens) Known(key string) bool { return t.logins.known(HashKey(key)) }

// Forget makes a change of users or tokens count at once.
func (t *Tokens) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.cached)
	t.forgotten++
}

// read runs one statement for all requests that wait for the same key. A
// statement that was begun too long before a request is not for it.
func (t *Tokens) read(ctx context.Context, hash keyHash, now time.Time) (*entry, error) {
	for {
		t.mu.RLock()
		forgotten := t.forgotten
		t.mu.RUnlock()
		result := t.reads.DoChan(strconv.Itoa(forgotten)+" "+string(hash[:]), func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout)
			defer cancel()
			return t.readNow(ctx, hash, t.now(), forgotten)
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case done := <-result:
			if done.Err != nil {
				return nil, done.Err
			}
			if known := done.Val.(*entry); now.Sub(known.read) < freshness {
				return known, nil
			}
		}
	}
}

func (t *Tokens) readNow(ctx context.Context, hash keyHash, now time.Time, forgotten int) (_ *entry, err error) {
	defer func() {
		if value := recover(); value != nil { // singleflight would end the process
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	user, err := t.db.UserByToken(ctx, hash)
	if errors.Is(err, db.ErrNotFound) {
		return nil, ErrInvalidToken
	}
	if err != nil {
		return nil, err
	}
	if !user.IsActive {
		return nil, ErrInactiveUser
	}
	known := &entry{
		viewer:  &Viewer{ID: user.ID, Username: user.Username, IsStaff: user.IsStaff, IsAdmin: user.IsAdmin, codes: user.Codes},
		expires: user.ExpiresAt,
		read:    now,
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.cached) >= maxCached {
		clear(t.cached)
	}
	if t.forgotten == forgotten {
		t.cached[hash] = known
	}
	return known, nil
}

type viewerKey struct{}

// WithViewer returns a context that carries the viewer; nil is anonymous.
func WithViewer(ctx context.Context, viewer *Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, viewer)
}

// ViewerFrom is the viewer in the context, nil if the request is anonymous.
func ViewerFrom(ctx context.Context) *Viewer {
	viewer, _ := ctx.Value(viewerKey{}).(*Viewer)
	return viewer
}
