package db

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSQLiteFileIsCorrupt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "sqlite:"+path); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

// TestSQLiteSynchronous checks that committed transactions survive a loss of
// power.
func TestSQLiteSynchronous(t *testing.T) {
	t.Parallel()
	database, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	const full = 2
	var synchronous int
	if err := database.write.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != full {
		t.Errorf("synchronous is %d, %v", synchronous, err)
	}
}
