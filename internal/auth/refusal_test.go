package auth

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
)

// TestAuthenticator_ForgetsRefusalOfEarlierQuery checks that a request which began after a
// change is not refused because of a query that began before.
func TestAuthenticator_ForgetsRefusalOfEarlierQuery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user db.User
		want error // of the earlier query
	}{
		"user activated": {db.User{Username: "u"}, ErrInactiveUser},
		"token created":  {db.User{Username: "u", IsActive: true}, ErrInvalidToken},
	} {
		for _, withFeed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, feed %t", name, withFeed), func(t *testing.T) {
				t.Parallel()
				dbtest.EachURL(t, func(t *testing.T, dsn string) {
					database := dbtest.Open(t, dsn)
					var changes *changefeed.Feed
					if withFeed {
						changes = changefeedtest.Start(t, database)
					}
					authenticator := NewAuthenticator(database, changes, Options{Timeout: time.Minute, MaxAge: time.Minute})
					key, id := createToken(t, database, c.user, nil)
					hash := HashKey(key)
					if errors.Is(c.want, ErrInvalidToken) {
						dbtest.Exec(t, dsn, "UPDATE tokens SET key_hash = $1", []byte("another"))
					}
					read, release := make(chan struct{}), make(chan struct{})
					earlier := authenticator.queries.DoChan("0 "+string(hash[:]), func() (any, error) {
						entry, err := authenticator.query(t.Context(), hash, changes.Mark(), time.Now())
						close(read)
						<-release
						return entry, err
					})
					<-read
					dbtest.Exec(t, dsn, "UPDATE tokens SET key_hash = $1 WHERE id = $2", hash[:], id)
					dbtest.Exec(t, dsn, "UPDATE users SET is_active = true")
					later, goroutine := make(chan error, 1), make(chan string, 1)
					go func() {
						goroutine <- goroutineID()
						_, _, err := authenticator.Viewer(t.Context(), key)
						later <- err
					}()
					deadline := time.Now().Add(20 * time.Second)
					for id := <-goroutine; len(later) == 0 && !waitsForQuery(id) && time.Now().Before(deadline); {
						time.Sleep(time.Millisecond)
					}
					close(release)
					result := <-earlier
					if entry := result.Val.(*cacheEntry); !errors.Is(entry.err, c.want) || !result.Shared {
						t.Errorf("earlier query: got %v, shared %t, want %v, shared with the later request", entry.err, result.Shared, c.want)
					}
					if err := <-later; err != nil {
						t.Errorf("later request: got %v, want no error", err)
					}
				})
			})
		}
	}
}

// goroutineID returns the number of the calling goroutine.
func goroutineID() string {
	stack := make([]byte, 64)
	return strings.Fields(string(stack[:runtime.Stack(stack, false)]))[1]
}

// waitsForQuery reports whether a goroutine waits for the result of a query that requests
// share. Then it has joined the query.
func waitsForQuery(goroutine string) bool {
	stacks := make([]byte, 4<<20)
	waiting := regexp.MustCompile(`goroutine ` + goroutine + ` \[select[^]]*\]:\n[^\n]*\.\(\*Authenticator\)\.load\(`)
	return waiting.Match(stacks[:runtime.Stack(stacks, true)])
}

// TestAuthenticator_ReadsAgainAtMaxAge checks that a viewer is read again at the maximum age
// though no change was noticed.
func TestAuthenticator_ReadsAgainAtMaxAge(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		const maxAge = 5 * time.Second
		clock := &fakeClock{time.Now()}
		authenticator := NewAuthenticator(database, changefeedtest.Start(t, database), Options{Timeout: time.Minute, MaxAge: maxAge})
		authenticator.now = func() time.Time { return clock.now }
		key, _ := createToken(t, database, db.User{Username: "staff", IsActive: true}, nil)
		for _, step := range []struct {
			later  time.Duration
			misses int64
		}{{0, 1}, {maxAge - 1, 1}, {1, 2}, {maxAge - 1, 2}, {maxAge, 3}} {
			clock.now = clock.now.Add(step.later)
			if _, _, err := authenticator.Viewer(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if got := authenticator.Stats().Misses; got != step.misses {
				t.Errorf("%s later: %d misses, want %d", step.later, got, step.misses)
			}
		}
		session, err := authenticator.LogIn(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		clock.now = clock.now.Add(maxAge)
		if err := database.Load(t.Context(), &db.UserPermission{UserID: session.Viewer.ID, Code: PortfolioLinkCode}); err != nil {
			t.Fatal(err)
		}
		if changed, err := session.Confirm(t.Context()); !changed || err != nil {
			t.Errorf("confirmed after the maximum age: changed %t, %v; want true", changed, err)
		}
	})
}

// TestLogin_IsFinalAfterConfirmNow checks that ConfirmNow reads the viewer anew each time, and
// that Confirm does not afterwards.
func TestLogin_IsFinalAfterConfirmNow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		authenticator := NewAuthenticator(database, changefeedtest.Start(t, database), Options{Timeout: time.Minute, MaxAge: time.Minute})
		key, _ := createToken(t, database, db.User{Username: "staff", IsActive: true}, nil)
		login, err := authenticator.LogIn(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range []struct {
			confirm func(context.Context) (bool, error)
			code    int // that the viewer gets first, 0 for none
			changed bool
		}{
			{login.ConfirmNow, 1, true}, {login.Confirm, 2, false}, {login.ConfirmNow, 0, true}, {login.ConfirmNow, 0, false},
		} {
			if step.code != 0 {
				if err := database.Load(t.Context(), &db.UserPermission{UserID: login.Viewer.ID, Code: step.code}); err != nil {
					t.Fatal(err)
				}
			}
			if changed, err := step.confirm(t.Context()); changed != step.changed || err != nil {
				t.Errorf("step %d: changed %t, %v, want %t", i, changed, err, step.changed)
			}
		}
	})
}
