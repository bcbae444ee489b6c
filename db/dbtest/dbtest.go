// Package dbtest provides real databases for tests: SQLite in a file, and a
// PostgreSQL server that runs as long as the test binary.
package dbtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

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
	dsn := EmptySQLite(t)
	migrate(t, dsn)
	return dsn
}

// EmptySQLite returns the URL of a new database without tables.
func EmptySQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// Postgres returns the URL of a new database with the current schema. Without
// PostgreSQL the test is skipped; in CI it fails.
func Postgres(t testing.TB) string {
	t.Helper()
	dsn := EmptyPostgres(t)
	migrate(t, dsn)
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

func migrate(t testing.TB, dsn string) {
	t.Helper()
	database, err := db.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
}

// server is a PostgreSQL server on which databases can be created.
type server struct {
	url     *url.URL
	created atomic.Int64 // databases
}

func postgres(t testing.TB) *server {
	t.Helper()
	server, err := start()
	switch {
	case errors.Is(err, errNoPostgres) && os.Getenv("CI") == "":
		t.Skip("skipped without PostgreSQL: install its programs (Debian: apt-get install postgresql) or set TEST_DATABASE_URL")
	case err != nil:
		t.Fatal(err)
	}
	return server
}

var errNoPostgres = errors.New("there is neither initdb nor TEST_DATABASE_URL")

// start finds or starts the server once for the test binary.
var start = sync.OnceValues(func() (*server, error) {
	dsn := os.Getenv("TEST_DATABASE_URL")
	if dsn == "" {
		var err error
		if dsn, err = startServer(); err != nil {
			return nil, err
		}
	}
	parsed, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("TEST_DATABASE_URL is not a URL")
	}
	return &server{url: parsed}, nil
})

// startServer starts a server that runs until this process ends.
func startServer() (string, error) {
	c, err := startCluster(initCluster, "-c synchronous_commit=off -c max_connections=200")
	if err != nil {
		return "", err
	}
	return c.url("postgres"), nil
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

// create creates a database and drops it when the test ends.
func (s *server) create(t testing.TB, options string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), s.created.Add(1))
	if err := s.exec(t.Context(), "CREATE DATABASE "+name+" "+options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	database := *s.url
	database.Path = "/" + name
	return database.String()
}

func (s *server) exec(ctx context.Context, statement string) error {
	connection, err := pgx.Connect(ctx, s.url.String())
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement)
	return errors.Join(err, connection.Close(ctx))
}
