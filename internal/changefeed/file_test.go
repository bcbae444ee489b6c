package changefeed_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"portfolio/db"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
)

// replacements are the ways in which other programs replace a file.
var replacements = map[string]func(t *testing.T, old, replacement string){
	"renamed": func(t *testing.T, old, replacement string) {
		t.Helper()
		if err := os.Rename(replacement, old); err != nil {
			t.Fatal(err)
		}
	},
	"removed, then created": func(t *testing.T, old, replacement string) {
		t.Helper()
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(replacement)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(old+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(old+".new", old); err != nil {
			t.Fatal(err)
		}
	},
}

// TestFeed_OpensReplacedFile checks that SQLite reads a file which is renamed over its own file in
// the end, and that no request reads both files.
func TestFeed_OpensReplacedFile(t *testing.T) {
	t.Parallel()
	for name, replace := range replacements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, replacement := newFile(t, "old"), newFile(t, "new")
			database, err := db.Open(t.Context(), "sqlite:"+old)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = database.Close() })
			changes := start(t, database, "", slog.New(slog.DiscardHandler))
			changefeedtest.Await(t, changes)
			if _, err := database.CreatePortfolio(t.Context(), "in the log of the old file"); err != nil {
				t.Fatal(err)
			}
			revision := changes.Sync()
			replace(t, old, replacement)
			waitFor(t, "the new file is read", func() bool {
				canceled, cancel := context.WithCancel(t.Context())
				go cancel()
				_, _ = database.Portfolios(canceled, list) // may close its connection
				first, firstErr := database.Portfolio(t.Context(), 1)
				second, secondErr := database.Portfolio(t.Context(), 2)
				if firstErr != nil || secondErr != nil {
					return false
				}
				if first.Name != second.Name {
					t.Errorf("read %q and %q", first.Name, second.Name)
				}
				return second.Name == "new"
			})
			changefeedtest.Await(t, changes)
			if changes.IsCurrent(revision, changefeed.ReadSet{}) {
				t.Error("a read of the old file is current")
			}
			if page, err := database.Portfolios(t.Context(), list); err != nil || len(page.Rows) != 2 {
				t.Errorf("%d portfolios in the new file, %v; want 2", len(page.Rows), err)
			}
		})
	}
}

// newFile returns the path of a database, all of whose portfolios have a name.
func newFile(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	database, err := db.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id := range int64(2) {
		if err := database.Load(t.Context(), &db.Portfolio{ID: id + 1, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
