// Package dbtest provides real databases for tests: SQLite in a file, and a
// PostgreSQL server that runs as long as the test binary.
package dbtest

import (
	"cmp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"portfolio/db"
)

// Each runs a test as one subtest for each kind of database, on a new database
// with the current schema.
func Each(t *testing.T, test func(t *testing.T, database *db.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, dsn string) { test(t, Open(t, dsn)) })
}

// EachURL is like Each for tests that open the database themselves.
func EachURL(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// EachLoaded is EachURL with the rows of a file for LoadFile.
func EachLoaded(t *testing.T, file string, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, LoadedSQLite(t, file)) })
	t.Run("postgres", func(t *testing.T) { test(t, LoadedPostgres(t, file)) })
}

// Open opens a database and closes it when the test ends.
func Open(t testing.TB, dsn string) *db.DB {
	t.Helper()
	database, err := db.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := database.Close(); err != nil {
			t.Error(err)
		}
	})
	return database
}

// SQLite returns the URL of a new database with the current schema.
func SQLite(t testing.TB) string {
	t.Helper()
	return LoadedSQLite(t, "")
}

// LoadedSQLite is SQLite with the rows of a file for LoadFile.
func LoadedSQLite(t testing.TB, file string) string {
	t.Helper()
	dsn := EmptySQLite(t)
	if err := os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), sqliteTemplate(t, file), 0o600); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// EmptySQLite returns the URL of a new database without tables.
func EmptySQLite(t testing.TB) string {
	t.Helper()
	directory, err := os.MkdirTemp(memory(), "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	return "sqlite:" + filepath.Join(directory, "test.db")
}

// memory returns a directory in memory with room for databases, or "" for the default
// directory of temporary files. Each new PostgreSQL database has hundreds of files, 8 MB in all.
func memory() string {
	const directory, enough = "/dev/shm", 4 << 30
	var system syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(directory, &system) != nil || system.Bavail*uint64(system.Bsize) < enough {
		return ""
	}
	return directory
}

// Postgres returns the URL of a new database with the current schema. Without
// PostgreSQL the test is skipped; in CI it fails.
func Postgres(t testing.TB) string {
	t.Helper()
	return LoadedPostgres(t, "")
}

// LoadedPostgres is Postgres with the rows of a file for LoadFile.
func LoadedPostgres(t testing.TB, file string) string {
	t.Helper()
	server := postgres(t)
	if server.isTemporary {
		return server.create(t, "TEMPLATE "+server.template(t, file)+" STRATEGY file_copy")
	}
	dsn := server.create(t, "")
	fill(t, dsn, file)
	return dsn
}

// EmptyPostgres returns the URL of a new database without tables.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return postgres(t).create(t, "")
}

// EmptyPostgresWith is like EmptyPostgres with options of CREATE DATABASE.
func EmptyPostgresWith(t testing.TB, options string) string {
	t.Helper()
	return postgres(t).create(t, options)
}

// Programs returns the directory of PostgreSQL's programs: TEST_POSTGRES_BIN, or
// where they are installed.
func Programs() (string, error) {
	if directory := os.Getenv("TEST_POSTGRES_BIN"); directory != "" {
		return directory, nil
	}
	matches, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian's directory, not in PATH
	if len(matches) > 0 {
		return filepath.Dir(matches[len(matches)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errNoPostgres
	}
	path, err = filepath.EvalSymlinks(path)
	return filepath.Dir(path), err
}

// unprivileged returns the attributes to run a program that refuses to run as
// root, and makes it the owner of the directory.
func unprivileged(directory string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nothing to change
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := cmp.Or(uidErr, gidErr, os.Chown(directory, uid, gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
