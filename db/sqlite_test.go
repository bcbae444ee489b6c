package db

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSQLite_RefusesCorruptFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), "sqlite:"+path); !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

// TestSQLite_IsDurable checks that committed transactions survive a loss of
// power.
func TestSQLite_IsDurable(t *testing.T) {
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

// TestDB_CloseStopsReplacement closes databases whose file was removed. Goroutines that are
// left would keep the test from ending.
func TestDB_CloseStopsReplacement(t *testing.T) {
	t.Parallel()
	for _, inUse := range []bool{false, true} {
		t.Run(fmt.Sprintf("connection in use %t", inUse), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "test.db")
			synctest.Test(t, func(t *testing.T) {
				database, err := Open(t.Context(), "sqlite:"+path)
				if err != nil {
					t.Fatal(err)
				}
				if inUse {
					connection, err := database.read.Conn(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = connection.Close() }()
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := database.file.check(); !errors.Is(err, ErrReplaced) {
					t.Fatalf("the file was removed: got %v", err)
				}
				time.Sleep(2 * quiescence) // now it waits for the connection or the new file
				if err := database.Close(); err != nil {
					t.Error(err)
				}
				if err := database.file.check(); !errors.Is(err, ErrReplaced) {
					t.Errorf("closed: got %v", err)
				}
			})
		})
	}
}
