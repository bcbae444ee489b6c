// Package auth authenticates the sender of a request and checks permissions, by the same rules for
// GraphQL and for the legacy endpoint.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"

	"portfolio/db"
)

// PortfolioLinkCode is the legacy system's permission code for staff who may
// read and edit portfolio links.
const PortfolioLinkCode = 4242

// Errors of a token that is not accepted.
var (
	ErrInvalidToken = errors.New("invalid token")
	ErrInactiveUser = errors.New("user inactive")
)

// Permission names a permission that a field requires of the viewer.
type Permission string

// The permissions.
const (
	PermissionPortfolioLink Permission = "PORTFOLIO_LINK"
	PermissionAdmin         Permission = "ADMIN"
)

var permissions = [...]Permission{PermissionPortfolioLink, PermissionAdmin}

// Allowed reports whether a user has the permission. Admins have every
// permission, staff with the code PortfolioLinkCode have PORTFOLIO_LINK, and a
// nil user has none.
func Allowed(user *db.User, permission Permission) bool {
	switch {
	case user == nil:
		return false
	case user.IsAdmin:
		return true
	case permission == PermissionPortfolioLink:
		return user.IsStaff && slices.Contains(user.Codes, PortfolioLinkCode)
	}
	return false
}

// Permissions lists the permissions of a user.
func Permissions(user *db.User) []Permission {
	allowed := []Permission{}
	for _, permission := range permissions {
		if Allowed(user, permission) {
			allowed = append(allowed, permission)
		}
	}
	return allowed
}

// Rights encodes the permissions of a user. Two users have equal rights if and only if they have
// equal permissions.
func Rights(user *db.User) string {
	rights := 0
	for i, permission := range permissions {
		if Allowed(user, permission) {
			rights |= 1 << i
		}
	}
	return strconv.Itoa(rights)
}

type viewerKey struct{}

type identity struct {
	viewer    *db.User
	isPrivate atomic.Bool
}

// WithViewer returns a context that carries the user who sent the request, or nil if
// the request is anonymous.
func WithViewer(ctx context.Context, viewer *db.User) context.Context {
	return context.WithValue(ctx, viewerKey{}, &identity{viewer: viewer})
}

// Identify returns the user who sent the request, or nil if the request is anonymous. It makes
// the response private to the user. Use HasPermission for responses that users with the same
// permissions can share.
func Identify(ctx context.Context) *db.User {
	i := identityFrom(ctx)
	i.isPrivate.Store(true)
	return i.viewer
}

// IsPrivate reports whether Identify was called, so that users with the same permissions
// may get different responses.
func IsPrivate(ctx context.Context) bool { return identityFrom(ctx).isPrivate.Load() }

// HasPermission reports whether the user who sent the request has the permission.
func HasPermission(ctx context.Context, permission Permission) bool {
	return Allowed(identityFrom(ctx).viewer, permission)
}

// IsAnonymous reports whether the request has no user.
func IsAnonymous(ctx context.Context) bool { return identityFrom(ctx).viewer == nil }

func identityFrom(ctx context.Context) *identity {
	if i, ok := ctx.Value(viewerKey{}).(*identity); ok {
		return i
	}
	return new(identity)
}

// NewKey returns a random key for a new token. It has the form of the legacy system: 40
// hexadecimal digits.
func NewKey() string {
	var key [20]byte
	_, _ = rand.Read(key[:]) // never fails
	return hex.EncodeToString(key[:])
}

// tokenHash is the SHA-256 hash of a token's key.
type tokenHash = [sha256.Size]byte

// HashKey returns the hash of a key. The database stores the hash instead of the key.
func HashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }
