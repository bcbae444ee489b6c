package db_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestMigrate_RunsOnceInConcurrentProcesses migrates as replicas do that start together.
func TestMigrate_RunsOnceInConcurrentProcesses(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			var (
				processes sync.WaitGroup
				mu        sync.Mutex
				applied   []string
			)
			for range 4 {
				database := dbtest.Open(t, dsn)
				processes.Go(func() {
					names, err := database.Migrate(context.Background())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					applied = append(applied, names...)
				})
			}
			processes.Wait()
			if diff := cmp.Diff([]string{"20261123000000_portfolio", "20261124000000_search", "20261125000000_editing", "20261126000000_feed", "20261128000000_moved", "20261130000000_change_feed", "20261201000000_times"}, applied); diff != "" {
				t.Errorf("want each migration once: %s", diff)
			}
			if err := dbtest.Open(t, dsn).CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMigrate_StopsWaitingForLock checks that Migrate fails if another process migrates for
// too long, and that one connection is enough to migrate.
func TestMigrate_StopsWaitingForLock(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptyPostgres(t)
	release := dbtest.LockSchema(t, dsn)
	database := dbtest.Open(t, dsn+"&pool_max_conns=1&lock_timeout=20")
	if _, err := database.Migrate(t.Context()); !errors.Is(err, db.ErrMigrating) {
		t.Errorf("error %v, want %v", err, db.ErrSchemaBehind)
	}
	release()
	if names, err := database.Migrate(t.Context()); err != nil || len(names) != 7 {
		t.Errorf("%v, %v", names, err)
	}
}

// TestMigrate_ReturnsMigrationsBeforeFailure checks which migrations are reported if one fails.
func TestMigrate_ReturnsMigrationsBeforeFailure(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"sqlite": 0, "postgres": 1} { // SQLite rolls back all of them
		t.Run(name, func(t *testing.T) {
			dsn := dbtest.EmptySQLite(t)
			if name == "postgres" {
				dsn = dbtest.EmptyPostgres(t)
			}
			database := dbtest.Open(t, dsn)
			if _, err := database.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			down(t, dsn, editing)
			down(t, dsn, "20261124000000")
			dbtest.Exec(t, dsn, "ALTER TABLE images ADD COLUMN alt text") // which a migration adds
			if names, err := database.Migrate(t.Context()); err == nil || len(names) != want {
				t.Errorf("%v, %v", names, err)
			}
		})
	}
}

func TestCheckSchema_FailsWithoutTables(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			if err := dbtest.Open(t, dsn(t)).CheckSchema(t.Context()); !errors.Is(err, db.ErrSchemaBehind) {
				t.Errorf("error %v, want %v", err, db.ErrSchemaBehind)
			}
		})
	}
}

func TestMigrate_RollsBackOnFailure(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "DELETE FROM bun_migrations") // the tables exist already
		database := dbtest.Open(t, dsn)
		for range 2 { // the lock is released
			if _, err := database.Migrate(t.Context()); err == nil {
				t.Fatal("migrated twice")
			}
		}
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (name) VALUES ('still writable')")
	})
}

const (
	editing = "20261125000000" // changes rows, and has successors
	times   = "20261201000000" // is the last one
)

// TestMigrate_KeepsRows migrates a database of the previous version that has rows, back
// and forth. The positions of links are then in the order of their ids.
func TestMigrate_KeepsRows(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		down(t, dsn, editing)
		dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
		database := dbtest.Open(t, dsn)
		for range 2 {
			if names, err := database.Migrate(t.Context()); err != nil || len(names) != 5 || !strings.HasPrefix(names[0], editing) {
				t.Fatal(names, err)
			}
			byPosition := db.NewOrderBy(db.Order{Field: db.OrderByPosition, Direction: db.Ascending})
			page, err := database.PortfolioLinks(t.Context(), new(int64(1)), db.List{Order: byPosition, Limit: 200, WithRows: true})
			ascending := slices.IsSortedFunc(page.Rows, func(a, b *db.PortfolioLink) int { return int(a.ID - b.ID) })
			if err != nil || len(page.Rows) != 111 || !ascending || page.Rows[0].Position() != 4 {
				t.Errorf("%d links, ascending %t, %v", len(page.Rows), ascending, err)
			}
			down(t, dsn, editing)
		}
	})
}

// down reverts a migration. Before editing, it reverts the successors of editing.
func down(t *testing.T, dsn, name string) {
	t.Helper()
	if name == editing {
		down(t, dsn, times)
		down(t, dsn, "20261130000000")
		down(t, dsn, "20261128000000")
		down(t, dsn, "20261126000000")
	}
	directory, _, _ := strings.Cut(dsn, ":")
	files, err := filepath.Glob("migrations/" + directory + "/" + name + "_*.down.sql")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	exec := dbtest.Session(t, dsn)
	for statement := range strings.SplitSeq(string(text), "--bun:split") {
		exec(statement)
	}
	exec("DELETE FROM bun_migrations WHERE name = $1", name)
}

// TestMigrate_KeepsImages migrates the images of a database of the previous version, and
// compares the schemas.
func TestMigrate_KeepsImages(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		schema := func() []string {
			lines, err := database.Schema(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return lines
		}
		current := schema()
		down(t, dsn, editing)
		if diff := cmp.Diff(previousSchema(t, database.Postgres()), schema()); diff != "" {
			t.Errorf("previous version: %s", diff)
		}
		for _, statement := range []string{
			"INSERT INTO portfolios (id, name) VALUES (1, 'p')",
			"INSERT INTO images (id, type, name, path, size, created_at) VALUES (1, 'image', 'a', 'a.png', 1, '2026-01-13 13:35:43.29627+03:30'), (2, 'image', 'B', 'B.png', 2, '2026-01-13 10:05:42')",
			"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (1, 1, 2, 'link')",
		} {
			dbtest.Exec(t, dsn, statement)
		}
		if !database.Postgres() {
			dbtest.Exec(t, dsn, "INSERT INTO images (id, type, name, path, size, created_at) VALUES (3, 'image', 'c', 'c.png', 3, 'no time')")
		}
		if names, err := database.Migrate(t.Context()); err != nil || len(names) != 5 {
			t.Fatalf("migrated %q: %v", names, err)
		}
		dbtest.Exec(t, dsn, "DELETE FROM images WHERE id = 3") // no version can read it
		if diff := cmp.Diff(current, schema()); diff != "" {
			t.Errorf("current version: %s", diff)
		}
		checkUpgradedImages(t, database)
	})
}

// previousSchema returns the schema before the migration editing.
func previousSchema(t *testing.T, postgres bool) []string {
	t.Helper()
	directory, dsn := "sqlite", dbtest.EmptySQLite(t)
	if postgres {
		directory, dsn = "postgres", dbtest.EmptyPostgres(t)
	}
	files, err := filepath.Glob("migrations/" + directory + "/*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) >= editing {
			break
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(string(text), "--bun:split") {
			dbtest.Exec(t, dsn, statement)
		}
	}
	schema, err := dbtest.Open(t, dsn).Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func checkUpgradedImages(t *testing.T, database *db.DB) {
	t.Helper()
	for _, c := range []struct {
		filter db.Filter
		field  db.OrderField
		want   []string
	}{
		{db.Filter{}, db.OrderByName, []string{"B", "a"}},
		{db.Filter{}, db.OrderByCreatedAt, []string{"B", "a"}},
		{db.Filter{CreatedFrom: sql.Null[db.Time]{V: db.Time{Time: time.Date(2026, 1, 13, 10, 5, 43, 296270000, time.UTC)}, Valid: true}}, db.OrderByID, []string{"a"}},
		{db.Filter{Search: "b"}, db.OrderByID, []string{"B"}},
		{db.Filter{Unused: sql.Null[bool]{V: true, Valid: true}}, db.OrderByID, []string{"a"}},
	} {
		page, err := database.Images(t.Context(), db.List{Filter: c.filter, Order: db.NewOrderBy(db.Order{Field: c.field, Direction: db.Ascending}), Limit: 10, WithRows: true})
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, image := range page.Rows {
			names = append(names, image.Name)
		}
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Errorf("%+v: %s", c, diff)
		}
	}
}
