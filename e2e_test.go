package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/internal/demo"
	"portfolio/internal/storage"
)

// TestClients runs the clients in e2e against the server on each database.
func TestClients(t *testing.T) {
	needPackages(t)
	built := t.Run("build", func(t *testing.T) {
		t.Chdir(t.TempDir())
		npm(t, "lint")
		npm(t, "build", "API_URL="+startServer(t).url)
	})
	if !built {
		return
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		staff := loadDemo(t, dsn)
		t.Setenv("DATABASE_URL", dsn)
		runCommand(t, 0, "user", "create", "admin", "--admin")
		admin, _ := runCommand(t, 0, "token", "create", "admin")
		server := startServer(t)
		persisted := startServer(t, "--only-persisted", "--persisted-documents="+filepath.Join(projectDirectory, "e2e/src/gql"))
		npm(t, "test", "API_URL="+server.url, "PERSISTED_URL="+persisted.url, "API_TOKEN="+staff, "ADMIN_TOKEN="+strings.TrimSpace(admin))
	})
}

// TestPlayground opens the playground in a browser: with GraphiQL of the server, if
// make playground has built it, or else with that of the CDN, and as a form.
func TestPlayground(t *testing.T) {
	needPackages(t)
	t.Chdir(t.TempDir())
	npm(t, "playground", "API_URL="+startServer(t).url)
}

// needPackages skips the test if the npm packages of e2e are not installed.
func needPackages(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("e2e/node_modules"); errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skip("skipped without the npm packages of e2e: run make e2e")
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

// npm runs a script of e2e/package.json.
func npm(t *testing.T, script string, environment ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "npm", "run", script)
	command.Dir, command.Env = filepath.Join(projectDirectory, "e2e"), append(os.Environ(), environment...)
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Run(); err != nil {
		t.Fatalf("npm run %s: %v", script, err)
	}
}
