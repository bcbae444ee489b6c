package db_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// TestProblems_NamesOrphans stores rows of SQLite that refer to rows which do not exist.
func TestProblems_NamesOrphans(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	database, exec := dbtest.Open(t, dsn), dbtest.Session(t, dsn)
	exec("PRAGMA foreign_keys = OFF")
	exec("INSERT INTO portfolios (id, name) VALUES (1, 'p')")
	exec("INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (3, 1, 777, 'l')")
	exec("INSERT INTO user_permissions (user_id, code) VALUES (779, 4242)")
	problems, err := database.Problems(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the row of portfolio_links with the rowid 3 refers to a row of images that does not exist",
		"the row of user_permissions with the rowid 1 refers to a row of users that does not exist",
	}
	less := cmp.Transformer("set", func(problems []string) map[string]bool {
		set := map[string]bool{}
		for _, problem := range problems {
			set[problem] = true
		}
		return set
	})
	if diff := cmp.Diff(want, problems, less); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
	exec("WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i+1 FROM n WHERE i < 40) INSERT INTO thumbnails (id, image_id, path) SELECT i, 777, '' FROM n")
	if problems, err := database.Problems(t.Context()); err != nil || len(problems) != 10 {
		t.Errorf("%d problems, %v, want 10", len(problems), err)
	}
}
