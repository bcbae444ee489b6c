// Package legacytest runs a legacy system: Django and Django REST framework on
// PostgreSQL, with models as its documentation describes them.
package legacytest

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"portfolio/db/dbtest"
)

// python is the interpreter of Debian, which has the packages of Debian.
const python = "/usr/bin/python3"

// System is a legacy system.
type System struct {
	DSN   string // of its database
	Media string // its directory of files
	URL   string // of its server, while the server runs

	t      testing.TB
	server *exec.Cmd
}

// New creates a system with links 1 to count. Each image has up to the given number of
// thumbnails. Without Django, New skips the test, or fails in CI.
func New(t testing.TB, count, thumbnails int) *System {
	t.Helper()
	for _, arguments := range [][]string{{python, "-c", "import django, rest_framework, psycopg2"}, {python, "/usr/bin/gunicorn", "--version"}} {
		if err := exec.Command(arguments[0], arguments[1:]...).Run(); err != nil {
			const message = "there is no Django REST framework (Debian: apt-get install python3-djangorestframework python3-psycopg2 gunicorn)"
			if os.Getenv("CI") != "" {
				t.Fatal(message)
			}
			t.Skip("skipped, as " + message)
		}
	}
	s := &System{t: t, DSN: dbtest.EmptyPostgres(t), Media: t.TempDir()}
	if output, err := s.command("seed.py", strconv.Itoa(count), strconv.Itoa(thumbnails)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return s
}

// command returns a command of Python in the directory of the project.
func (s *System) command(arguments ...string) *exec.Cmd {
	_, file, _, _ := runtime.Caller(0)
	command := exec.Command(python, arguments...)
	command.Dir = filepath.Join(filepath.Dir(file), "django")
	parsed, err := url.Parse(s.DSN)
	if err != nil {
		s.t.Fatal(err)
	}
	host := parsed.Query().Get("host")
	if host == "" {
		host = parsed.Hostname()
	}
	user := parsed.Query().Get("user")
	if user == "" {
		user = parsed.User.Username()
	}
	password, _ := parsed.User.Password()
	command.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+parsed.Port(), "PGUSER="+user, "PGPASSWORD="+password,
		"PGDATABASE="+strings.TrimPrefix(parsed.Path, "/"), "MEDIA_ROOT="+s.Media, "PYTHONDONTWRITEBYTECODE=1", "DJANGO_SETTINGS_MODULE=settings")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that Kill reaches the workers too
	return command
}

// Start starts the server. A restarted server has the same port.
func (s *System) Start() {
	s.t.Helper()
	address := strings.TrimPrefix(s.URL, "http://")
	if address == "" {
		address = "127.0.0.1:0"
	}
	s.server = s.command("/usr/bin/gunicorn", "--bind="+address, "--workers=4", "--worker-tmp-dir=/dev/shm", "django.core.wsgi:get_wsgi_application()")
	output, err := s.server.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Kill)
	listening := regexp.MustCompile(`Listening at: (http://\S+)`)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		s.t.Log(lines.Text())
		if match := listening.FindStringSubmatch(lines.Text()); match != nil {
			s.URL = match[1]
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return
		}
	}
	s.t.Fatal("the legacy server did not start")
}

// Kill kills the server and its workers, if it runs.
func (s *System) Kill() {
	if s.server == nil {
		return
	}
	_ = syscall.Kill(-s.server.Process.Pid, syscall.SIGKILL)
	_ = s.server.Wait()
	s.server = nil
}

// Exec runs SQL on the database.
func (s *System) Exec(statement string, args ...any) {
	s.t.Helper()
	dbtest.Exec(s.t, s.DSN, statement, args...)
}

// Change changes a link, an image, a thumbnail, a portfolio and a user, different ones for each
// n. It deletes a link, and creates a link with its image and files.
func (s *System) Change(n int) {
	s.t.Helper()
	created := 1_000_000 + n
	file := func(name string) string {
		path := "core_media/2026/02/02/" + strconv.Itoa(created) + name
		if err := os.MkdirAll(filepath.Join(s.Media, filepath.Dir(path)), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.Media, path), []byte("\x89PNG\r\n\x1a\n"+path), 0o600); err != nil {
			s.t.Fatal(err)
		}
		return path
	}
	s.Exec("UPDATE core_portfoliolink SET name = 'changed', description = NULL, updated_at = now() WHERE id = $1", 21+n)
	s.Exec("UPDATE core_media SET f = $2, mode = 'L' WHERE id = $1", 31+n, file("_changed.png"))
	s.Exec("DELETE FROM core_thumbnail WHERE media_id = $1", 41+n)
	s.Exec("INSERT INTO core_thumbnail (id, media_id, f, size) VALUES ($1, $2, $3, 512)", created, 41+n, file("_thumbnail_512x512.png"))
	s.Exec("UPDATE core_portfolio SET name = 'changed ' || $1, updated_at = now() WHERE id = 2", strconv.Itoa(n))
	s.Exec("UPDATE auth_user SET is_active = NOT is_active WHERE id = 5")
	s.Exec("DELETE FROM core_portfoliolink WHERE id = $1", 1+n)
	s.Exec("INSERT INTO core_media (id, type, name, f, size, created_at) VALUES ($1, 'image', 'new', $2, 5, now())", created, file("_new.png"))
	s.Exec("INSERT INTO core_portfoliolink (id, portfolio_id, image_id, name, created_at, updated_at) VALUES ($1, 2, $2, 'new', now(), now())", 2001+n, created)
}

// Requests returns the paths of the requests for links with IDs up to last.
func (s *System) Requests(last int) []string {
	s.t.Helper()
	connection, err := pgx.Connect(s.t.Context(), s.DSN)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = connection.Close(s.t.Context()) }()
	rows, err := connection.Query(s.t.Context(), "SELECT format('/api/portfolios/%s/links/%s', portfolio_id, id) FROM core_portfoliolink WHERE id <= $1 ORDER BY id", last)
	if err != nil {
		s.t.Fatal(err)
	}
	paths, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	return paths
}

// Key returns the key of the token of the user with this ID.
func Key(userID int) string {
	hex := strconv.FormatInt(int64(userID), 16)
	return strings.Repeat("0", 40-len(hex)) + hex
}
