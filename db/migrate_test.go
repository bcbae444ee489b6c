package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestMigrateConcurrently migrates as replicas do that start together.
func TestMigrateConcurrently(t *testing.T) {
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
			if diff := cmp.Diff([]string{"20261123000000_portfolio", "20261124000000_search", "20261125000000_editing"}, applied); diff != "" {
				t.Errorf("want each migration once: %s", diff)
			}
			if err := dbtest.Open(t, dsn).CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemaBehind(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			if err := dbtest.Open(t, dsn(t)).CheckSchema(t.Context()); !errors.Is(err, db.ErrSchemaBehind) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMigrationRollsBack(t *testing.T) {
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

// TestMigrateRows migrates a database of the previous version that has rows, back
// and forth.
func TestMigrateRows(t *testing.T) {
	t.Parallel()
	const latest = "20261125000000"
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		down(t, dsn, latest)
		dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
		database := dbtest.Open(t, dsn)
		for range 2 {
			if names, err := database.Migrate(t.Context()); err != nil || len(names) != 1 || !strings.HasPrefix(names[0], latest) {
				t.Fatal(names, err)
			}
			page, err := database.PortfolioLinks(t.Context(), nil, db.List{Order: db.NewOrderBy(), Limit: 100, WithRows: true, WithTotal: true})
			if err != nil || page.Total != 113 {
				t.Errorf("%d links, %v", page.Total, err)
			}
			down(t, dsn, latest)
		}
	})
}

// down reverts a migration.
func down(t *testing.T, dsn, name string) {
	t.Helper()
	directory, _, _ := strings.Cut(dsn, ":")
	files, err := filepath.Glob("migrations/" + directory + "/" + name + "_*.down.sql")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for statement := range strings.SplitSeq(string(text), "--bun:split") {
		dbtest.Exec(t, dsn, statement)
	}
	dbtest.Exec(t, dsn, "DELETE FROM bun_migrations WHERE name = $1", name)
}
