//go:build ops

package ops

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
	_ "modernc.org/sqlite"             // the driver named "sqlite"

	"portfolio/test/servertest"
)

// server is a server in its own process, which always has the same addresses.
type server struct {
	t              *testing.T
	address, admin string
	directory      string
	env            []string
	*program
}

// newServer starts a server. The settings are environment variables.
func newServer(t *testing.T, dsn string, settings ...string) *server {
	t.Helper()
	s := &server{t: t, address: address(freePort(t)), admin: address(freePort(t)), directory: t.TempDir()}
	s.env = append(os.Environ(), "DATABASE_URL="+dsn, "ADDR="+s.address, "ADMIN_ADDR="+s.admin, "TMPDIR="+s.directory,
		"MEDIA_STORE=file:"+filepath.Join(s.directory, "media"), "LOG_LEVEL=warn")
	s.env = append(s.env, settings...)
	s.start()
	return s
}

// start starts the process and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	command := newCommand(s.t, filepath.Join(s.directory, "server.log"), binary, "serve")
	command.Env = s.env
	s.run(command)
}

// run is start with a command.
func (s *server) run(command *exec.Cmd) {
	s.t.Helper()
	command.Stdout = nil
	output, err := command.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.program = start(s.t, command)
	if _, err := servertest.AwaitReady(output); err != nil {
		s.t.Fatal(err)
	}
}

// metrics returns a function that returns the sum of the current metrics whose lines
// begin with a text.
func (s *server) metrics() (sum func(prefix string) float64) {
	s.t.Helper()
	response, body := do(s.t, http.DefaultClient, newRequest(s.t, "http://"+s.admin+"/metrics"))
	if response.StatusCode != http.StatusOK {
		s.t.Fatalf("metrics: %d %s", response.StatusCode, body)
	}
	return func(prefix string) (sum float64) {
		s.t.Helper()
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, prefix) {
				value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:len(line)-1], 64)
				if err != nil {
					s.t.Fatal(err)
				}
				sum += value
			}
		}
		return sum
	}
}

// requests returns how many requests of GraphQL the process has served.
func (s *server) requests() float64 {
	return s.metrics()(`portfolio_request_duration_seconds_count{api="graphql"`)
}

// checkRunning checks that the process has not ended.
func (s *server) checkRunning() {
	s.t.Helper()
	select {
	case <-s.ended:
		s.t.Error("the server has ended")
	default:
	}
}

// portfolio runs a command of the program and returns its output.
func portfolio(t *testing.T, dsn string, args ...string) string {
	t.Helper()
	command := exec.Command(binary, args...)
	var stdout, stderr bytes.Buffer
	command.Env, command.Dir, command.Stdout, command.Stderr = append(os.Environ(), "DATABASE_URL="+dsn), t.TempDir(), &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%q: %v: %s", args, err, stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// fixedFiles are files of the image that no test changes.
var fixedFiles = []string{"one.png", "one_64.png", "one_128.png"}

// newMedia returns the directory of a media store with the fixed files.
func newMedia(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	for _, name := range fixedFiles {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// checkFiles checks that every file that rows name is in the media store, and
// returns how many those are.
func checkFiles(t *testing.T, dsn, media string) int {
	t.Helper()
	paths := column(t, dsn, "SELECT path FROM images UNION ALL SELECT path FROM thumbnails")
	for _, path := range paths {
		if _, err := os.Stat(filepath.Join(media, path)); err != nil {
			t.Errorf("a row without its file: %v", err)
		}
	}
	return len(paths)
}

// countFiles returns the number of files below a directory that are not empty.
func countFiles(t *testing.T, directory string) (n int) {
	t.Helper()
	err := filepath.WalkDir(directory, func(_ string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Size() > 0 {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// prepare migrates a database, fills a portfolio that no test changes, another for
// writers, and returns the key of an admin.
func prepare(t *testing.T, dsn string) (key string) {
	t.Helper()
	portfolio(t, dsn, "migrate")
	portfolio(t, dsn, "user", "create", "operator", "--admin")
	key = portfolio(t, dsn, "token", "create", "operator")
	database := openSQL(t, dsn)
	for _, statement := range []string{
		fmt.Sprintf("INSERT INTO portfolios (id, name) VALUES (%d, 'fixed'), (%d, 'written')", fixedPortfolio, writtenPortfolio),
		"INSERT INTO images (id, type, name, path, size, width, height, mode) VALUES (1, 'image', 'one', 'one.png', 5123, 225, 225, 'P')",
		"INSERT INTO thumbnails (image_id, path, size) VALUES (1, 'one_64.png', 64), (1, 'one_128.png', 128)",
		fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, image_id, name) WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < 50) SELECT i, %d, 1, 'fixed ' || i FROM series", fixedPortfolio),
	} {
		if _, err := database.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	fixedPortfolio   = 1
	writtenPortfolio = 2
)

func openSQL(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_busy_timeout=10000"
	}
	database, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	return database
}
