package auth

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestAuthenticator_LimitsInvalidKeys checks that each address may send only so many different invalid
// keys, and that repeated keys are never limited.
func TestAuthenticator_LimitsInvalidKeys(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		valid, _ := createToken(t, database, db.User{Username: "valid", IsActive: true}, nil)
		inactive, _ := createToken(t, database, db.User{Username: "inactive"}, nil)
		authenticator, clock := newTestAuthenticator(database, 2)
		home, away := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for i, step := range []struct {
			after   time.Duration
			address netip.Addr
			key     string
			want    error
			wait    time.Duration
		}{
			{0, home, valid, nil, 0},
			{0, home, inactive, ErrInactiveUser, 0},
			{0, home, "wrong", ErrInvalidToken, 0},
			{0, home, "wronger", nil, 30 * time.Second},
			{0, home, valid, nil, 0},
			{0, home, "wrong", ErrInvalidToken, 0},
			{0, away, "wronger", ErrInvalidToken, 0},
			{29 * time.Second, home, "wrongest", nil, time.Second},
			{time.Second, home, "wrongest", ErrInvalidToken, 0},
			{0, home, "another", nil, 30 * time.Second},
		} {
			clock.now = clock.now.Add(step.after)
			_, _, err := authenticator.Viewer(WithAddress(t.Context(), step.address), step.key)
			limited, isLimited := errors.AsType[*RateLimitError](err)
			if isLimited != (step.wait > 0) || !isLimited && !errors.Is(err, step.want) || isLimited && limited.RetryAfter.Round(time.Millisecond) != step.wait {
				t.Errorf("step %d: got %v, want %v or a wait of %s", i, err, step.want, step.wait)
			}
		}
	})
}

// TestAuthenticator_InvalidateKeepsValidKeys checks that a change of users does not make a
// valid key count as a guess.
func TestAuthenticator_InvalidateKeepsValidKeys(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t, dbtest.SQLite(t))
	valid, id := createToken(t, database, db.User{Username: "valid", IsActive: true}, nil)
	authenticator, _ := newTestAuthenticator(database, 1)
	ctx := WithAddress(t.Context(), netip.MustParseAddr("192.0.2.1"))
	viewer := func(key string, want error) {
		t.Helper()
		if _, _, err := authenticator.Viewer(ctx, key); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	viewer(valid, nil)
	viewer("wrong", ErrInvalidToken)
	authenticator.Invalidate()
	viewer(valid, nil)
	if _, err := database.RevokeToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	authenticator.Invalidate()
	viewer(valid, ErrInvalidToken)
	if authenticator.WasValid(valid) {
		t.Error("a revoked key counts as valid")
	}
}
