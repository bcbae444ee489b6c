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
	"strings"
	"sync"
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
	content, err := migratedSQLite()
	if err == nil {
		err = os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// migratedSQLite returns the file of a database with the current schema.
var migratedSQLite = sync.OnceValues(func() ([]byte, error) {
	directory, err := os.MkdirTemp(memory(), "sqlite")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	path := filepath.Join(directory, "test.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

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
// directory of temporary files. A new PostgreSQL database has hundreds of files.
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
	server := postgres(t)
	dsn := server.create(t, server.migrated)
	if server.migrated == "" {
		if err := migrate(dsn); err != nil {
			t.Fatal(err)
		}
	}
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

// migrate migrates a database to the current schema.
func migrate(dsn string) error {
	database, err := db.Open(context.Background(), dsn)
	if err != nil {
		return err
	}
	_, err = database.Migrate(context.Background())
	return errors.Join(err, database.Close())
}

// server is a PostgreSQL server on which databases can be created.
type server struct {
	url      *url.URL
	migrated string // options to copy a database with the current schema, if there is one

	mu      sync.Mutex
	session *pgx.Conn
	created int // databases
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

// start finds or starts the server once for the test binary. It leaves no database on the
// server at TEST_DATABASE_URL.
var start = sync.OnceValues(func() (*server, error) {
	if dsn := os.Getenv("TEST_DATABASE_URL"); dsn != "" {
		parsed, err := url.Parse(dsn)
		if err != nil {
			return nil, errors.New("TEST_DATABASE_URL is not a URL")
		}
		return &server{url: parsed}, nil
	}
	return startServer()
})

// startServer starts a server that runs until this process ends.
func startServer() (*server, error) {
	c, err := startCluster(initCluster, "-c synchronous_commit=off -c max_connections=200")
	if err != nil {
		return nil, err
	}
	parsed, err := url.Parse(c.url("postgres"))
	if err != nil {
		return nil, err
	}
	s := &server{url: parsed, migrated: "TEMPLATE migrated STRATEGY file_copy"}
	return s, errors.Join(s.exec("CREATE DATABASE migrated"), migrate(c.url("migrated")))
}

// Programs returns the directory of PostgreSQL's programs: TEST_POSTGRES_BIN, or
// where they are installed.
func Programs() (string, error) {
	if directory := os.Getenv("TEST_POSTGRES_BIN"); directory != "" {
		return directory, nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian's directory, not in PATH
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
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
	s.mu.Lock()
	s.created++
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), s.created)
	s.mu.Unlock()
	if err := s.exec("CREATE DATABASE " + name + " " + options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	database := *s.url
	database.Path = "/" + name
	return database.String()
}

// exec runs a statement in a session that stays open, because a new one costs more.
func (s *server) exec(statement string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil || s.session.IsClosed() {
		if s.session, err = pgx.Connect(context.Background(), s.url.String()); err != nil {
			return err
		}
	}
	_, err = s.session.Exec(context.Background(), statement)
	return err
}
