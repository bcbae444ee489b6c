package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"portfolio/db"
)

// server is a PostgreSQL server on which databases can be created.
type server struct {
	url         *url.URL
	isTemporary bool // it ends with this process, so templates may be left on it

	mu        sync.Mutex
	session   *pgx.Conn
	created   int               // databases
	templates map[string]string // names of databases, by the file whose rows they have
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
	dsn, isTemporary := os.Getenv("TEST_DATABASE_URL"), false
	if dsn == "" {
		// Without autovacuum, which would visit every database in turn.
		c, err := startCluster(initCluster, "-c synchronous_commit=off -c max_connections=200 -c autovacuum=off -c jit=off")
		if err != nil {
			return nil, err
		}
		dsn, isTemporary = c.url("postgres"), true
	}
	parsed, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("TEST_DATABASE_URL is not a URL")
	}
	return &server{url: parsed, isTemporary: isTemporary, templates: map[string]string{}}, nil
})

// template returns the name of a database with the current schema and the rows of a file.
func (s *server) template(t testing.TB, file string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.templates[file]; ok {
		return name
	}
	name := fmt.Sprintf("template_%d", len(s.templates)+1)
	if err := s.exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	fill(t, s.database(name), file)
	s.templates[file] = name
	return name
}

var (
	sqliteMu        sync.Mutex
	sqliteTemplates = map[string][]byte{} // by the file whose rows they have
)

// sqliteTemplate returns a database with the current schema and the rows of a file.
func sqliteTemplate(t testing.TB, file string) []byte {
	t.Helper()
	sqliteMu.Lock()
	defer sqliteMu.Unlock()
	if content, ok := sqliteTemplates[file]; ok {
		return content
	}
	dsn := EmptySQLite(t)
	fill(t, dsn, file)
	content, err := os.ReadFile(strings.TrimPrefix(dsn, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	sqliteTemplates[file] = content
	return content
}

// fill migrates a database to the current schema and loads a file, unless it is "".
func fill(t testing.TB, dsn, file string) {
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
	if file != "" {
		LoadFile(t, dsn, file)
	}
}

// create creates a database. When the test ends, it drops the database, unless the server is
// temporary: DROP DATABASE waits until no session is left, and all tests wait with it.
func (s *server) create(t testing.TB, options string) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created++
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), s.created)
	if err := s.exec("CREATE DATABASE " + name + " " + options); err != nil {
		t.Fatal(err)
	}
	if s.isTemporary {
		return s.database(name)
	}
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.database(name)
}

// database returns the URL of a database of the server.
func (s *server) database(name string) string {
	database := *s.url
	database.Path = "/" + name
	return database.String()
}

// exec runs a statement in a session that stays open, because a new one costs more.
func (s *server) exec(statement string) (err error) {
	if s.session == nil || s.session.IsClosed() {
		if s.session, err = pgx.Connect(context.Background(), s.url.String()); err != nil {
			return err
		}
	}
	_, err = s.session.Exec(context.Background(), statement)
	return err
}
