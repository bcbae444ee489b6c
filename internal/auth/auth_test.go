package auth

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestAllowed(t *testing.T) {
	both, link, none := []Permission{PermissionPortfolioLink, PermissionAdmin}, []Permission{PermissionPortfolioLink}, []Permission{}
	for name, c := range map[string]struct {
		viewer *Viewer
		want   []Permission
	}{
		"anonymous":        {nil, none},
		"plain":            {&Viewer{}, none},
		"plain with 4242":  {&Viewer{codes: []int{4242}}, none},
		"staff":            {&Viewer{IsStaff: true}, none},
		"staff with other": {&Viewer{IsStaff: true, codes: []int{424, 4241, 42420}}, none},
		"staff with 4242":  {&Viewer{IsStaff: true, codes: []int{1, 4242}}, link},
		"admin":            {&Viewer{IsAdmin: true}, both},
	} {
		if diff := cmp.Diff(c.want, c.viewer.Permissions()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// clock stands still unless it is moved.
type clock struct{ now time.Time }

func newTestTokens(database *db.DB) (*Tokens, *clock) {
	tokens, stopped := NewTokens(database, time.Minute, 0), &clock{time.Now()}
	tokens.now = func() time.Time { return stopped.now }
	return tokens, stopped
}

func createToken(t *testing.T, database *db.DB, user db.User, expires *db.Time) (key string, id int64) {
	t.Helper()
	user.Codes = []int{PortfolioLinkCode}
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

func TestViewer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		tokens, clock := newTestTokens(database)
		soon := db.Time{Time: clock.now.Add(time.Millisecond).Truncate(time.Microsecond)}
		staff, _ := createToken(t, database, db.User{Username: "staff", IsActive: true, IsStaff: true}, nil)
		inactive, _ := createToken(t, database, db.User{Username: "inactive", IsAdmin: true}, nil)
		expiring, _ := createToken(t, database, db.User{Username: "expiring", IsActive: true}, &soon)

		viewer, err := tokens.Viewer(t.Context(), staff)
		if err != nil || viewer.Username != "staff" || !viewer.Allowed(PermissionPortfolioLink) || viewer.Allowed(PermissionAdmin) {
			t.Errorf("staff: %+v, %v", viewer, err)
		}
		if _, err := tokens.Viewer(t.Context(), inactive); !errors.Is(err, ErrInactiveUser) {
			t.Errorf("inactive: %v", err)
		}
		if _, err := tokens.Viewer(t.Context(), "unknown"); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("unknown: %v", err)
		}
		if _, err := tokens.Viewer(t.Context(), expiring); err != nil {
			t.Errorf("before it expires: %v", err)
		}
		clock.now = soon.Time // still in memory
		if _, err := tokens.Viewer(t.Context(), expiring); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("expired: %v", err)
		}
	})
}

// TestRevokedWithinASecond is the bound on what memory may hide.
func TestRevokedWithinASecond(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		tokens, clock := newTestTokens(database)
		key, id := createToken(t, database, db.User{Username: "staff", IsActive: true, IsStaff: true}, nil)
		look := func() (*Viewer, int64, error) {
			ctx, statements := db.WithCounter(t.Context())
			viewer, err := tokens.Viewer(ctx, key)
			return viewer, statements.Load(), err
		}
		for _, want := range []int64{1, 0, 0} {
			if _, statements, err := look(); statements != want || err != nil {
				t.Errorf("%d statements, %v; want %d", statements, err, want)
			}
		}
		dbtest.Exec(t, dsn, "DELETE FROM user_permissions")
		clock.now = clock.now.Add(freshness)
		if viewer, _, err := look(); err != nil || viewer.Allowed(PermissionPortfolioLink) {
			t.Errorf("a permission withdrawn a second ago: %+v, %v", viewer, err)
		}
		dbtest.Exec(t, dsn, "UPDATE users SET is_active = false")
		clock.now = clock.now.Add(freshness)
		if _, _, err := look(); !errors.Is(err, ErrInactiveUser) {
			t.Errorf("deactivated a second ago: %v", err)
		}
		if _, err := database.RevokeToken(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, _, err := look(); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("revoked: %v", err)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	database := dbtest.Open(t, dbtest.SQLite(t))
	tokens, _ := newTestTokens(database)
	for i := range maxCached {
		tokens.cached[[32]byte{byte(i), byte(i >> 8)}] = &entry{}
	}
	key, _ := createToken(t, database, db.User{Username: "one more", IsActive: true}, nil)
	if _, err := tokens.Viewer(t.Context(), key); err != nil || len(tokens.cached) > maxCached {
		t.Errorf("%d kept, %v", len(tokens.cached), err)
	}
}

func TestViewerFrom(t *testing.T) {
	if ViewerFrom(context.Background()) != nil {
		t.Error("there is a viewer in an empty context")
	}
	viewer := &Viewer{ID: 1}
	if ViewerFrom(WithViewer(context.Background(), viewer)) != viewer {
		t.Error("another viewer came out")
	}
}

// TestForget: what is known by then is read again, and what is being read by
// then does not become known.
func TestForget(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		tokens, clock := newTestTokens(database)
		key, _ := createToken(t, database, db.User{Username: "staff", IsActive: true, IsStaff: true}, nil)
		if _, err := tokens.Viewer(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		begun := tokens.forgotten
		tokens.Forget()
		if _, err := tokens.readNow(t.Context(), HashKey(key), clock.now, begun); err != nil {
			t.Fatal(err)
		}
		dbtest.Exec(t, dsn, "DELETE FROM user_permissions")
		if viewer, err := tokens.Viewer(t.Context(), key); err != nil || viewer.Allowed(PermissionPortfolioLink) {
			t.Errorf("%+v, %v", viewer, err)
		}
	})
}
