package auth

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
)

// TestAuthenticator_ForgetsRefusalOfEarlierQuery checks that a request which starts after a
// change is not rejected by a query that started before the change.
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
					authenticator := New(database, changes, Options{Timeout: time.Minute, MaxAge: time.Minute})
					key, id := createToken(t, database, c.user, nil)
					hash := HashKey(key)
					if errors.Is(c.want, ErrInvalidToken) {
						dbtest.Exec(t, dsn, "UPDATE tokens SET key_hash = $1", []byte("another"))
					}
					read, release := make(chan struct{}), make(chan struct{})
					earlier := authenticator.queries.DoChan(string(hash[:]), func() (any, error) {
						entry, err := authenticator.query(t.Context(), hash, authenticator.wait(changes.NewBarrier()))
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
					if e := result.Val.(*entry); !errors.Is(e.refusal, c.want) || !result.Shared {
						t.Errorf("earlier query: got %v, shared %t, want %v, shared with the later request", e.refusal, result.Shared, c.want)
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
		authenticator := New(database, changefeedtest.Start(t, database), Options{Timeout: time.Minute, MaxAge: maxAge})
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
		session, err := authenticator.Authenticate(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		clock.now = clock.now.Add(maxAge)
		if err := database.Load(t.Context(), &db.UserPermission{UserID: session.entry.viewer.ID, Code: PortfolioLinkCode}); err != nil {
			t.Fatal(err)
		}
		if changed, err := session.revalidate(t.Context()); !changed || err != nil {
			t.Errorf("revalidated after the maximum age: changed %t, %v; want true", changed, err)
		}
	})
}

// TestSession_ServesCurrentUser checks that Do calls serve again if the user has changed since the
// session began, but not after Refresh. Refresh returns the current user.
func TestSession_ServesCurrentUser(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		authenticator := New(database, changefeedtest.Start(t, database), Options{Timeout: time.Minute, MaxAge: time.Minute})
		key, _ := createToken(t, database, db.User{Username: "staff", IsActive: true}, nil)
		grant := func(session *Session, code int) {
			t.Helper()
			if err := database.Load(t.Context(), &db.UserPermission{UserID: session.entry.viewer.ID, Code: code}); err != nil {
				t.Fatal(err)
			}
			authenticator.feed.Sync()
		}
		for i, step := range []struct {
			grant   int // code granted after Authenticate, 0 for none
			refresh int // code granted before Refresh in serve, 0 for no Refresh
			want    [][]int
		}{
			{0, 0, [][]int{nil}},
			{1, 0, [][]int{nil, {1}}},
			{2, 3, [][]int{{1}, {1, 2, 3}}},
			{0, 0, [][]int{{1, 2, 3, 1000}}},
		} {
			session, err := authenticator.Authenticate(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if step.grant != 0 {
				grant(session, step.grant)
			}
			var got [][]int
			err = session.Do(t.Context(), func(viewer *db.User) {
				got = append(got, viewer.Codes)
				if step.refresh != 0 {
					grant(session, step.refresh)
					viewer, err := session.Refresh(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, viewer.Codes)
					grant(session, 1000)
				}
			})
			if diff := cmp.Diff(step.want, got); diff != "" || err != nil {
				t.Errorf("step %d: %v, -want +got:\n%s", i, err, diff)
			}
		}
	})
}
