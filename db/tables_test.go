package db_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestTables_NamesForeignTables checks and migrates databases in which other programs have
// created tables, before the first migration and after it.
func TestTables_NamesForeignTables(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range []struct {
				migrated bool
				changes  []string
				want     string
			}{
				{false, []string{"CREATE TABLE users (id integer PRIMARY KEY, email text)"}, "users lacks the columns username, is_active, is_staff, is_admin, created_at"},
				{false, []string{"CREATE VIEW images AS SELECT 1 AS id"}, "images lacks the columns type, "},
				{false, []string{"CREATE TABLE user_permissions (user_id integer, code integer)"}, "user_permissions exists, and no migration has created it"},
				{true, []string{"DROP TABLE thumbnails"}, "thumbnails does not exist"},
				{true, []string{"DROP TABLE moved_rows", "CREATE TABLE moved_rows (id integer)"}, "moved_rows lacks the columns kind, key, hash"},
				{true, []string{"ALTER TABLE tokens RENAME COLUMN label TO name"}, "tokens lacks the columns label"},
			} {
				dsn := empty(t)
				database := dbtest.Open(t, dsn)
				if c.migrated {
					if _, err := database.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := database.CheckTables(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, change := range c.changes {
					dbtest.Exec(t, dsn, change)
				}
				if err := database.CheckTables(t.Context()); !errors.Is(err, db.ErrForeignTable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: check: got %v, want %s", c.changes, err, c.want)
				}
				if _, err := database.Migrate(t.Context()); !errors.Is(err, db.ErrForeignTable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: migrate: got %v, want %s", c.changes, err, c.want)
				}
			}
		})
	}
}

// TestTables_ExplainForeignOwner checks that tables which another role owns are not taken for
// tables of another program.
func TestTables_ExplainForeignOwner(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	role := "reader_" + strings.ToLower(rand.Text())
	dbtest.Exec(t, dsn, "CREATE ROLE "+role)
	defer dbtest.Exec(t, dsn, "DROP ROLE "+role)
	database := dbtest.Open(t, dsn+"&role="+role)
	const want = "the tables belong to another role: make the role of DATABASE_URL their owner, or grant it all privileges"
	if err := database.CheckTables(t.Context()); errors.Is(err, db.ErrForeignTable) || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
