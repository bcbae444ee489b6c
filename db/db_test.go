package db_test

import (
	"errors"
	"strings"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestOpen_ReturnsErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, dsn, want string }{
		{"empty", "", "not postgres://... or sqlite:PATH"},
		{"unknown scheme", "mysql://localhost/x", "not postgres://... or sqlite:PATH"},
		{"no path", "sqlite:", "needs a path"},
		{"directory", "sqlite:" + t.TempDir(), "is unavailable"},
		{"invalid URL", "postgres://secret@%zz", "not a PostgreSQL URL"},
		{"unreachable server", "postgres://nobody:secret@127.0.0.1:1/x", "is unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := db.Open(t.Context(), c.dsn)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestLoad_InsertsAllOrNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		user := &db.User{ID: 7, Username: "sara"}
		if err := database.Load(t.Context(), user, user); !errors.Is(err, db.ErrConflict) {
			t.Fatalf("error %v", err)
		}
		if empty, err := database.Empty(t.Context()); !empty || err != nil {
			t.Errorf("empty %v, %v", empty, err)
		}
		if err := database.Load(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		if empty, err := database.Empty(t.Context()); empty || err != nil {
			t.Errorf("empty %v, %v", empty, err)
		}
	})
}
