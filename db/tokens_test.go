package db_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestUserByToken_FindsOwner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		ctx := t.Context()
		user := db.User{Username: "sara", IsActive: true, IsStaff: true, Codes: []int{4242, 7, 7}}
		if err := database.CreateUser(ctx, &user); err != nil {
			t.Fatal(err)
		}
		if err := database.CreateUser(ctx, &db.User{Username: "sara"}); !errors.Is(err, db.ErrConflict) {
			t.Errorf("duplicate username: %v", err)
		}
		hash, expires, label := sha256.Sum256([]byte("key")), db.Now(), "CI"
		token := db.Token{KeyHash: hash[:], ExpiresAt: &expires, Label: &label}
		if err := database.CreateToken(ctx, "nobody", &token); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("token of an unknown user: %v", err)
		}
		if err := database.CreateToken(ctx, "sara", &token); err != nil {
			t.Fatal(err)
		}
		got, err := database.UserByToken(ctx, hash)
		if err != nil {
			t.Fatal(err)
		}
		want := &db.TokenOwner{User: user, TokenID: token.ID, ExpiresAt: &expires}
		want.Codes = []int{7, 4242}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
		user.Codes = nil // not read with tokens
		token.User = &user
		tokens, err := database.AllTokens(ctx)
		if diff := cmp.Diff([]*db.Token{&token}, tokens); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		revoked, err := database.RevokeToken(ctx, token.ID)
		if diff := cmp.Diff(&token, revoked); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if _, err := database.RevokeToken(ctx, token.ID); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		if _, err := database.UserByToken(ctx, hash); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("revoked token: %v", err)
		}
	})
}

func TestImportTokens_StoresAllOrNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		ctx := t.Context()
		for _, name := range []string{"sara", "omid"} {
			if err := database.CreateUser(ctx, &db.User{Username: name, IsActive: true}); err != nil {
				t.Fatal(err)
			}
		}
		key := func(i int) [32]byte { return sha256.Sum256([]byte{byte(i), byte(i >> 8)}) }
		var tokens []db.ImportedToken
		for i := range 1500 {
			tokens = append(tokens, db.ImportedToken{KeyHash: key(i), Username: "sara"})
		}
		for _, want := range []int{1500, 0} {
			added, err := database.ImportTokens(ctx, tokens)
			slices.Sort(added)
			if got := len(slices.Compact(added)); got != want || err != nil || slices.Contains(added, 0) {
				t.Errorf("added %d, %v; want %d", got, err, want)
			}
		}
		for name, bad := range map[string]db.ImportedToken{
			"unknown user":        {KeyHash: key(2000), Username: "nobody"},
			"key of another user": {KeyHash: key(3), Username: "omid"},
		} {
			added, err := database.ImportTokens(ctx, []db.ImportedToken{{KeyHash: key(1999), Username: "omid"}, bad})
			failed, ok := errors.AsType[*db.TokenImportError](err)
			if !ok || failed.Index != 1 || len(added) > 0 {
				t.Errorf("%s: added %d, %v", name, added, err)
			}
			if _, err := database.UserByToken(ctx, key(1999)); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: the token before it was stored", name)
			}
		}
	})
}
