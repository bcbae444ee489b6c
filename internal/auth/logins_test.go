package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestParseHeader(t *testing.T) {
	for header, want := range map[string]string{
		"":                    `"" "" <nil>`,
		" \t":                 `"" "" <nil>`,
		"Token key":           `"token" "key" <nil>`,
		"Token\tkey":          `"token" "key" <nil>`,
		"\vBEARER \n\f key\r": `"bearer" "key" <nil>`,
		"Token":               `"token" "" the header has no key`,
		"Token a b":           `"token" "a" the key has spaces`,
		"Token \xff":          `"token" "\xff" the key is not UTF-8`,
		"Token a\xa0b":        `"token" "a\xa0b" the key is not UTF-8`,
		"To\u212aen key":      "\"to\u212aen\" \"key\" <nil>",
	} {
		scheme, key, err := ParseHeader(header)
		if got := fmt.Sprintf("%q %q %v", scheme, key, err); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// TestFailedLogins counts different wrong keys of an address, in whatever way
// they are sent, and goes on answering the keys that were seen before.
func TestFailedLogins(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		good, _ := createToken(t, database, db.User{Username: "good", IsActive: true}, nil)
		inactive, _ := createToken(t, database, db.User{Username: "inactive"}, nil)
		clock := &clock{time.Now()}
		tokens := NewTokens(database, time.Minute, 2)
		tokens.now = func() time.Time { return clock.now }
		here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for i, step := range []struct {
			after   time.Duration
			address netip.Addr
			key     string
			want    error
			wait    time.Duration
		}{
			{0, here, good, nil, 0},
			{0, here, inactive, ErrInactiveUser, 0},
			{0, here, "wrong", ErrInvalidToken, 0},
			{0, here, "wronger", nil, 30 * time.Second},
			{0, here, good, nil, 0},
			{0, here, "wrong", ErrInvalidToken, 0},
			{0, there, "wronger", ErrInvalidToken, 0},
			{29 * time.Second, here, "wrongest", nil, time.Second},
			{time.Second, here, "wrongest", ErrInvalidToken, 0},
			{0, here, "another", nil, 30 * time.Second},
		} {
			clock.now = clock.now.Add(step.after)
			_, err := tokens.Viewer(WithAddress(t.Context(), step.address), step.key)
			limited, isLimited := errors.AsType[*RateLimitError](err)
			if isLimited != (step.wait > 0) || !isLimited && !errors.Is(err, step.want) || isLimited && limited.RetryAfter.Round(time.Millisecond) != step.wait {
				t.Errorf("step %d: %v", i, err)
			}
		}
	})
}

// TestGoodKeysStayKnown: a change of users makes nobody's good key a guess.
func TestGoodKeysStayKnown(t *testing.T) {
	database := dbtest.Open(t, dbtest.SQLite(t))
	good, id := createToken(t, database, db.User{Username: "good", IsActive: true}, nil)
	tokens := NewTokens(database, time.Minute, 1)
	ctx := WithAddress(t.Context(), netip.MustParseAddr("192.0.2.1"))
	viewer := func(key string, want error) {
		t.Helper()
		if _, err := tokens.Viewer(ctx, key); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	viewer(good, nil)
	viewer("wrong", ErrInvalidToken)
	tokens.Forget()
	viewer(good, nil)
	if _, err := database.RevokeToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	tokens.Forget()
	viewer(good, ErrInvalidToken)
	if tokens.Known(good) {
		t.Error("a revoked key is known as good")
	}
}
