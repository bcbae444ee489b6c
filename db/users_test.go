package db_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestUpdateUser_ChangesGivenFields(t *testing.T) {
	t.Parallel()
	on, off := true, false
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		user := db.User{Username: "sara", IsActive: true, IsStaff: true, Codes: []int{7, 4242}}
		if err := database.CreateUser(t.Context(), &user); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			update db.UserUpdate
			err    error
			want   func(*db.User)
		}{
			{"nothing", db.UserUpdate{}, nil, func(*db.User) {}},
			{"grant and withdraw", db.UserUpdate{Codes: map[int]bool{9: true, 7: false, 1: false}}, nil, func(u *db.User) { u.Codes = []int{9, 4242} }},
			{"replace", db.UserUpdate{Codes: map[int]bool{5: true, 9: true}, OnlyCodes: true}, nil, func(u *db.User) { u.Codes = []int{5, 9} }},
			{"no longer staff", db.UserUpdate{IsStaff: &off}, nil, func(u *db.User) { u.IsStaff = false }},
			{"grant to a user who is not staff", db.UserUpdate{Codes: map[int]bool{5: true}, IsAdmin: &on}, db.ErrNotStaff, func(*db.User) {}},
			{"withdraw from a user who is not staff", db.UserUpdate{Codes: map[int]bool{5: false}}, nil, func(u *db.User) { u.Codes = []int{9} }},
			{"withdraw all", db.UserUpdate{OnlyCodes: true}, nil, func(u *db.User) { u.Codes = nil }},
			{"grant with being staff", db.UserUpdate{Codes: map[int]bool{4242: true}, IsStaff: &on}, nil, func(u *db.User) { u.IsStaff, u.Codes = true, []int{4242} }},
			{"deactivate", db.UserUpdate{IsActive: &off}, nil, func(u *db.User) { u.IsActive = false }},
			{"make an admin who is inactive", db.UserUpdate{IsAdmin: &on}, nil, func(u *db.User) { u.IsAdmin = true }},
			{"demote an admin who is inactive", db.UserUpdate{IsAdmin: &off}, nil, func(u *db.User) { u.IsAdmin = false }},
		} {
			if _, err := database.UpdateUser(t.Context(), "sara", c.update); !errors.Is(err, c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			c.want(&user)
			users, err := database.AllUsers(t.Context())
			if diff := cmp.Diff([]*db.User{&user}, users); err != nil || diff != "" {
				t.Errorf("%s: %v %s", c.name, err, diff)
			}
		}
		if err := database.CreateUser(t.Context(), &db.User{Username: "omid", Codes: []int{1}}); !errors.Is(err, db.ErrNotStaff) {
			t.Errorf("create: %v", err)
		}
	})
}

func TestDeleteUser_DeletesTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		user := db.User{Username: "sara", IsActive: true, IsStaff: true, Codes: []int{4242}}
		if err := database.CreateUser(t.Context(), &user); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"one", "two"} {
			hash := sha256.Sum256([]byte(key))
			if err := database.CreateToken(t.Context(), "sara", &db.Token{KeyHash: hash[:]}); err != nil {
				t.Fatal(err)
			}
		}
		deleted, tokens, err := database.DeleteUser(t.Context(), "sara")
		if err != nil || deleted.ID != user.ID || len(tokens) != 2 || tokens[0] == tokens[1] {
			t.Errorf("%+v, tokens %d, %v", deleted, tokens, err)
		}
		if _, err := database.UserByToken(t.Context(), sha256.Sum256([]byte("one"))); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("token: %v", err)
		}
		if _, _, err := database.DeleteUser(t.Context(), "sara"); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
	})
}

// TestUpdateUser_KeepsLastAdmin lets two admins take away each other's rights at the same time, in
// every way: one of them succeeds, and the other stays the last active admin.
func TestUpdateUser_KeepsLastAdmin(t *testing.T) {
	t.Parallel()
	off := false
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database, exec := dbtest.Open(t, dsn), dbtest.Session(t, dsn)
		update := func(name string, update db.UserUpdate) error {
			_, err := database.UpdateUser(context.Background(), name, update)
			return err
		}
		ways := []func(name string) error{
			func(name string) error { return update(name, db.UserUpdate{IsAdmin: &off}) },
			func(name string) error { return update(name, db.UserUpdate{IsActive: &off}) },
			func(name string) error { _, _, err := database.DeleteUser(context.Background(), name); return err },
		}
		for _, first := range ways {
			for _, second := range ways {
				for range 10 {
					exec("DELETE FROM users")
					exec("INSERT INTO users (username, is_active, is_admin) VALUES ('a', true, true), ('b', true, true), ('inactive', false, true), ('other', true, false)")
					errs := make([]error, 2)
					var both sync.WaitGroup
					both.Go(func() { errs[0] = first("a") })
					both.Go(func() { errs[1] = second("b") })
					both.Wait()
					if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), db.ErrLastAdmin) {
						t.Errorf("%v", errs)
					}
				}
			}
		}
		for _, way := range ways { // are no active admins
			if err := errors.Join(way("inactive"), way("other")); err != nil {
				t.Error(err)
			}
		}
	})
}
