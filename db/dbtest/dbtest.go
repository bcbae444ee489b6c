// Package dbtest gives tests real databases: SQLite in a file, and a
// PostgreSQL server that lives as long as the test binary.
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

// Each runs a test as a subtest per kind of database, each time on a database
// of its own with the current schema.
func Each(t *testing.T, test func(t *testing.T, database *db.DB)) {
	t.Helper()
	EachURL(t, func(t *testing.T, dsn string) { test(t, Open(t, dsn)) })
}

// EachURL is Each for tests that open the database themselves.
func EachURL(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Open opens a database until the test ends.
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

// SQLite is the address of a new database with the current schema.
func SQLite(t testing.TB) string {
	t.Helper()
	dsn := EmptySQLite(t)
	migrate(t, dsn)
	return dsn
}

// EmptySQLite is the address of a new database without tables.
func EmptySQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "test.db")
}

// Postgres is the address of a new database with the current schema. Where
// there is no PostgreSQL the test is skipped, but in CI it fails.
func Postgres(t testing.TB) string {
	t.Helper()
	dsn := EmptyPostgres(t)
	migrate(t, dsn)
	return dsn
}

// EmptyPostgres is the address of a new database without tables.
func EmptyPostgres(t testing.TB) string {
	t.Helper()
	return postgres(t).create(t, "")
}

// PostgresLike is EmptyPostgres with options of CREATE DATABASE.
func PostgresLike(t testing.TB, options string) string {
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

// server is a PostgreSQL server in which databases may be created.
type server struct {
	address *url.URL
	created atomic.Int64 // databases
}

func postgres(t testing.TB) *server {
	t.Helper()
	server, err := start()
	switch {
	case errors.Is(err, errNoPostgres) && os.Getenv("CI") == "":
		t.Skip("PostgreSQL is not tested: install its programs (Debian: apt-get install postgresql) or set TEST_DATABASE_URL")
	case err != nil:
		t.Fatal(err)
	}
	return server
}

var errNoPostgres = errors.New("there is neither initdb nor TEST_DATABASE_URL")

// start finds or starts the server, once for the test binary.
var start = sync.OnceValues(func() (*server, error) {
	address := os.Getenv("TEST_DATABASE_URL")
	if address == "" {
		var err error
		if address, err = startServer(); err != nil {
			return nil, err
		}
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("TEST_DATABASE_URL is not an address")
	}
	return &server{address: parsed}, nil
})

// startServer makes a cluster in a folder of its own. A shell stops it and
// removes the folder when this process ends, however it ends: then its
// standard input does.
func startServer() (string, error) {
	initdb, err := program("initdb")
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "pg")
	if err != nil {
		return "", err
	}
	attributes, err := unprivileged(folder)
	if err != nil {
		return "", err
	}
	shell := func(script string) *exec.Cmd {
		command := exec.Command("sh", "-c", script, "sh", filepath.Dir(initdb), folder)
		command.Dir, command.SysProcAttr = folder, attributes
		return command
	}
	output, err := shell(`"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync &&
		"$1/pg_ctl" -D "$2/data" -w -l "$2/log" start \
			-o "-k '$2' -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"`).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("start PostgreSQL: %w\n%s", err, output)
	}
	watcher := shell(`read -r _; "$1/pg_ctl" -D "$2/data" -m immediate stop; rm -rf "$2"`)
	if _, err := watcher.StdinPipe(); err != nil { // never written to, closed with this process
		return "", err
	}
	if err := watcher.Start(); err != nil {
		return "", err
	}
	go func() { _ = watcher.Wait() }()
	return "postgres:///postgres?user=postgres&host=" + url.QueryEscape(folder), nil
}

func program(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // Debian's place, off the PATH
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errNoPostgres
	}
	return filepath.EvalSymlinks(path)
}

// unprivileged is how to run a program that refuses to run as root; the
// folder becomes its own.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
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
	if err := cmp.Or(uidErr, gidErr, os.Chown(folder, uid, gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// create makes a database, which is dropped when the test ends.
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
	address := *s.address
	address.Path = "/" + name
	return address.String()
}

func (s *server) exec(ctx context.Context, statement string) error {
	connection, err := pgx.Connect(ctx, s.address.String())
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, statement)
	return errors.Join(err, connection.Close(ctx))
}
