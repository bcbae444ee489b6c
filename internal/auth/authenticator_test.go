package auth

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/changefeed"
)

// fakeClock stands still until a test sets it.
type fakeClock struct{ now time.Time }

func newTestAuthenticator(database *db.DB, maxFailures int) (*Authenticator, *fakeClock) {
	authenticator, clock := New(database, nil, Options{Timeout: time.Minute, MaxAge: time.Minute, MaxFailures: maxFailures}), &fakeClock{time.Now()}
	authenticator.now = func() time.Time { return clock.now }
	return authenticator, clock
}

func createToken(t *testing.T, database *db.DB, user db.User, expires *db.Time) (key string, id int64) {
	t.Helper()
	if user.IsStaff {
		user.Codes = []int{PortfolioLinkCode}
	}
	if err := database.CreateUser(t.Context(), &user); err != nil {
		t.Fatal(err)
	}
	key = NewKey()
	hash := HashKey(key)
	token := db.Token{KeyHash: hash[:], ExpiresAt: expires}
	if err := database.CreateToken(t.Context(), user.Username, &token); err != nil {
		t.Fatal(err)
	}
	return key, token.ID
}

func TestAuthenticator_AcceptsActiveUsers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		authenticator, clock := newTestAuthenticator(database, 0)
		soon := db.Time{Time: clock.now.Add(time.Millisecond).Truncate(time.Microsecond)}
		staff, _ := createToken(t, database, db.User{Username: "staff", IsActive: true, IsStaff: true}, nil)
		inactive, _ := createToken(t, database, db.User{Username: "inactive", IsAdmin: true}, nil)
		expiring, _ := createToken(t, database, db.User{Username: "expiring", IsActive: true}, &soon)

		viewer, _, err := authenticator.Viewer(t.Context(), staff)
		if err != nil || viewer.Username != "staff" || !Allowed(viewer, PermissionPortfolioLink) || Allowed(viewer, PermissionAdmin) {
			t.Errorf("staff: %+v, %v", viewer, err)
		}
		if _, _, err := authenticator.Viewer(t.Context(), inactive); !errors.Is(err, ErrInactiveUser) {
			t.Errorf("inactive: %v", err)
		}
		if _, _, err := authenticator.Viewer(t.Context(), "unknown"); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("unknown: %v", err)
		}
		if _, _, err := authenticator.Viewer(t.Context(), expiring); err != nil {
			t.Errorf("before expiry: %v", err)
		}
		clock.now = soon.Time // still cached
		if _, _, err := authenticator.Viewer(t.Context(), expiring); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("expired: %v", err)
		}
	})
}

// TestAuthenticator_ReadsUsersAgainAfterTTL checks when changes by other processes take effect
// without a feed.
func TestAuthenticator_ReadsUsersAgainAfterTTL(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		authenticator, clock := newTestAuthenticator(database, 0)
		key, id := createToken(t, database, db.User{Username: "staff", IsActive: true, IsStaff: true}, nil)
		view := func() (*db.User, int64, error) {
			var statements atomic.Int64
			ctx := db.WithQueryCounter(t.Context(), &statements)
			viewer, _, err := authenticator.Viewer(ctx, key)
			return viewer, statements.Load(), err
		}
		for _, want := range []int64{1, 0, 0} {
			if _, statements, err := view(); statements != want || err != nil {
				t.Errorf("%d statements, %v; want %d", statements, err, want)
			}
		}
		dbtest.Exec(t, dsn, "DELETE FROM user_permissions")
		clock.now = clock.now.Add(cacheTTL)
		if viewer, _, err := view(); err != nil || Allowed(viewer, PermissionPortfolioLink) {
			t.Errorf("permission withdrawn: %+v, %v", viewer, err)
		}
		dbtest.Exec(t, dsn, "UPDATE users SET is_active = false")
		clock.now = clock.now.Add(cacheTTL)
		if _, _, err := view(); !errors.Is(err, ErrInactiveUser) {
			t.Errorf("deactivated: %v", err)
		}
		if _, err := database.RevokeToken(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, _, err := view(); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("revoked: %v", err)
		}
	})
}

func TestAuthenticator_CachesLimitedUsers(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t, dbtest.SQLite(t))
	authenticator, _ := newTestAuthenticator(database, 0)
	for i := range maxCached {
		authenticator.cache[[32]byte{byte(i), byte(i >> 8)}] = &entry{}
	}
	key, _ := createToken(t, database, db.User{Username: "one more", IsActive: true}, nil)
	if _, _, err := authenticator.Viewer(t.Context(), key); err != nil || len(authenticator.cache) > maxCached {
		t.Errorf("%d cached, %v", len(authenticator.cache), err)
	}
}

// TestAuthenticator_ForgetsUsersWhenInvalidated checks that cached users are read again, and
// that the result of a query that started before Invalidate is not used.
func TestAuthenticator_ForgetsUsersWhenInvalidated(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		authenticator, _ := newTestAuthenticator(database, 0)
		key, _ := createToken(t, database, db.User{Username: "staff", IsActive: true, IsStaff: true}, nil)
		if _, _, err := authenticator.Viewer(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		e, err := authenticator.query(t.Context(), HashKey(key), authenticator.wait(changefeed.Barrier{}))
		if err != nil {
			t.Fatal(err)
		}
		authenticator.Invalidate()
		authenticator.store(HashKey(key), e)
		dbtest.Exec(t, dsn, "DELETE FROM user_permissions")
		if viewer, _, err := authenticator.Viewer(t.Context(), key); err != nil || Allowed(viewer, PermissionPortfolioLink) {
			t.Errorf("got %+v, %v, want a user without the permission", viewer, err)
		}
	})
}
