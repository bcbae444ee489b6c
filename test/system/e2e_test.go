package system

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/internal/demo"
	"portfolio/internal/storage"
)

// TestClients runs the clients in e2e and the gallery against the server on each
// database. It opens the playground with GraphiQL of the server, if make
// playground has built it, or else with GraphiQL of the CDN, and as a form.
func TestClients(t *testing.T) {
	needPackages(t)
	built := t.Run("build", func(t *testing.T) {
		t.Chdir(t.TempDir())
		npm(t, "test/e2e", "lint")
		npm(t, "test/e2e", "build", "API_URL="+startServer(t).URL)
	})
	if !built {
		return
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		staff := loadDemo(t, dsn)
		t.Setenv("DATABASE_URL", dsn)
		t.Setenv("MEDIA_STORE", "file:data/media") // of loadDemo, for all servers
		runCommand(t, 0, "user", "create", "admin", "--admin")
		admin, _ := runCommand(t, 0, "token", "create", "admin")
		server := startServer(t)
		persisted := startServer(t, "--only-persisted", "--persisted-documents="+projectFile("test/e2e/src/gql"))
		live, control := startControlled(t, dsn, "--persisted-documents="+projectFile("test/e2e/src/gql"))
		npm(t, "test/e2e", "test", "API_URL="+server.URL, "PERSISTED_URL="+persisted.URL, "API_TOKEN="+staff, "ADMIN_TOKEN="+strings.TrimSpace(admin),
			"LIVE_URL="+live, "CONTROL_URL="+control)
		loadForeignURLs(t, dsn)
		npm(t, "examples/gallery", "test", "PORTFOLIO_URL="+server.URL, "PORTFOLIO_TOKEN="+staff, "FOREIGN_PORTFOLIO=Foreign")
	})
	t.Run("playground", func(t *testing.T) {
		t.Chdir(t.TempDir())
		npm(t, "test/e2e", "playground", "API_URL="+startServer(t).URL)
	})
}

// loadForeignURLs writes a portfolio whose links have URLs that the API refuses, as
// other programs do.
func loadForeignURLs(t *testing.T, dsn string) {
	t.Helper()
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1000, 'Foreign')")
	dbtest.Exec(t, dsn, `INSERT INTO portfolio_links (id, portfolio_id, name, url) VALUES (1000, 1000, 'scheme', 'example.com/a'),
		(1001, 1000, 'script', 'javascript:alert(1)'), (1002, 1000, 'mail', 'mailto:a@example.com'), (1003, 1000, 'port', 'http://example.com:x')`)
}

// startControlled starts a server that clients can restart by a request to the other URL,
// where they can also run statements of SQL.
func startControlled(t *testing.T, dsn string, args ...string) (url, control string) {
	t.Helper()
	server := startServer(t, args...)
	url = server.URL
	mux := http.NewServeMux()
	read := func(r *http.Request) string {
		statement, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		return string(statement)
	}
	mux.HandleFunc("POST /sql", func(_ http.ResponseWriter, r *http.Request) { dbtest.Exec(t, dsn, read(r)) })
	mux.HandleFunc("POST /restart", func(_ http.ResponseWriter, r *http.Request) {
		server.stop()
		dbtest.Exec(t, dsn, read(r))
		server = startServer(t, append(args, "--addr="+strings.TrimPrefix(url, "http://"))...)
	})
	controller := httptest.NewServer(mux)
	t.Cleanup(controller.Close)
	return url, controller.URL
}

// needPackages skips the test if npm packages or Chromium are not installed.
func needPackages(t *testing.T) {
	t.Helper()
	_, e2e := os.Stat(projectFile("test/e2e/node_modules"))
	_, gallery := os.Stat(projectFile("examples/gallery/node_modules"))
	_, chromium := exec.LookPath("chromium")
	if err := errors.Join(e2e, gallery, chromium); err != nil && os.Getenv("CI") == "" {
		t.Skipf("the clients are not tested: run make e2e\n%v", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// loadDemo writes the demo into a database and the media directory, and returns
// the key of its token.
func loadDemo(t *testing.T, dsn string) (key string) {
	t.Helper()
	store, err := storage.Open(t.Context(), "file:data/media")
	if err != nil {
		t.Fatal(err)
	}
	key, err = demo.Load(t.Context(), dbtest.Open(t, dsn), store, "data/demo-token")
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	return key
}

// npm runs a script of the package in a directory.
func npm(t *testing.T, directory, script string, environment ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "npm", "run", script)
	command.Dir, command.Env = filepath.Join(projectDirectory, directory), append(os.Environ(), environment...)
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Run(); err != nil {
		t.Fatalf("%s: npm run %s: %v", directory, script, err)
	}
}
