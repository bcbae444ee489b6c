package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/auth"
	"portfolio/internal/legacy"
	"portfolio/internal/legacy/legacytest"
)

// legacyLinks is the number of links of the legacy system, which with the race detector
// are fewer, as that makes the command slow.
var legacyLinks = func() int {
	if build, ok := debug.ReadBuildInfo(); ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 1200
	}
	return 2000
}()

// TestImportLegacy moves a real legacy system. Meanwhile the command is killed, the
// legacy server too, and rows change.
func TestImportLegacy(t *testing.T) {
	t.Parallel()
	old := legacytest.New(t, legacyLinks, 1)
	old.Start()
	endpoint := []string{"--url=" + old.URL, "--token=" + legacytest.Key(2), "--portfolio=1,2,3", "--media=" + old.URL + "/media"}
	for i, c := range []moving{
		{name: "endpoint to sqlite", dsn: dbtest.SQLite(t), source: append(endpoint, fmt.Sprintf("--links=1-%d,2001", legacyLinks)), fromEndpoint: true, last: 200},
		{name: "database to postgres", dsn: dbtest.Postgres(t), source: []string{"--database=" + old.DSN, "--media=" + old.Media}, last: 3000},
		{name: "endpoint to postgres", dsn: dbtest.Postgres(t), source: append(endpoint[:3:3], "--media="+old.Media, "--links=1-200,400"), fromEndpoint: true, last: 200},
		{name: "database to sqlite", dsn: dbtest.SQLite(t), source: append(endpoint[:2:2], "--database="+old.DSN, "--media="+old.Media), last: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &c
			m.t, m.old, m.store = t, old, t.TempDir()
			if i < 2 {
				m.interrupt()
			}
			old.Change(i)
			report := m.run("--delete")
			if i < 2 && (report.Links.Moved == 0 || report.Links.Unchanged == 0 || report.Links.Deleted == 0) {
				t.Errorf("a resumed run: %+v", report.Links)
			}
			if i < 2 {
				m.runAgain()
			}
			m.checkFiles()
			m.checkResponses()
		})
	}
}

// moving is a legacy system that is moved to a database and a directory.
type moving struct {
	name         string
	dsn          string
	source       []string
	fromEndpoint bool
	last         int // the id of the last link whose response is compared

	t     *testing.T
	old   *legacytest.System
	store string
}

// command returns the program with the arguments of the import.
func (m *moving) command(more ...string) *exec.Cmd {
	m.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	arguments := append([]string{"import", "legacy", "--media-store=file:" + m.store}, m.source...)
	command := exec.Command(binary, append(arguments, more...)...)
	command.Env = append(os.Environ(), "TEST_RUN_PROGRAM=1", "DATABASE_URL="+m.dsn, "TMPDIR="+m.t.TempDir())
	return command
}

// run runs the command to its end, which must be successful, and returns its report.
func (m *moving) run(more ...string) *legacy.Report {
	m.t.Helper()
	name := filepath.Join(m.t.TempDir(), "report.json")
	if output, err := m.command(append(more, "--report="+name)...).CombinedOutput(); err != nil {
		m.t.Errorf("%v %s", err, output)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		m.t.Fatal(err)
	}
	report := new(legacy.Report)
	if err := json.Unmarshal(text, report); err != nil {
		m.t.Fatal(err)
	}
	return report
}

// runAgain checks that nothing is moved twice.
func (m *moving) runAgain() {
	m.t.Helper()
	var part []string // reading the endpoint takes long
	if m.fromEndpoint {
		part = []string{"--links=1-200,400"}
	}
	again := m.run(part...)
	if again.Links.Moved+again.Images.Moved+again.Portfolios.Moved+again.Users.Moved+again.Tokens.Moved+again.Files.Moved > 0 {
		m.t.Errorf("moved again: %+v", again)
	}
}

// interrupt kills the command after some links, and if it reads the endpoint, the
// legacy server after some more.
func (m *moving) interrupt() {
	m.t.Helper()
	database := dbtest.Open(m.t, m.dsn)
	command := m.command()
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.waitForLinks(database, 1)
	if err := command.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	if err := command.Wait(); err == nil {
		m.t.Fatal("the command ended before it was killed")
	}
	if !m.fromEndpoint {
		return
	}
	var output bytes.Buffer
	command = m.command()
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.waitForLinks(database, legacyLinks/4)
	m.old.Kill()
	if err := command.Wait(); err == nil || !strings.Contains(output.String(), "portfolio: the legacy system does not respond: ") || !strings.Contains(output.String(), "Run the same command again to go on.") {
		m.t.Errorf("%v %s", err, output.String())
	}
	m.old.Start()
}

// waitForLinks waits until links were moved.
func (m *moving) waitForLinks(database *db.DB, count int) {
	m.t.Helper()
	for {
		keys, err := database.MovedKeys(m.t.Context(), db.LinkRow, "", int64(legacyLinks))
		if err != nil {
			m.t.Fatal(err)
		}
		if len(keys) >= count {
			return
		}
	}
}

// checkFiles checks that each file to which a row refers is here, and no other.
func (m *moving) checkFiles() {
	m.t.Helper()
	want := map[string]bool{}
	for ref, err := range dbtest.Open(m.t, m.dsn).FileRefs(m.t.Context()) {
		if err != nil {
			m.t.Fatal(err)
		}
		want[string(ref.Path)] = true
	}
	if len(want) < min(m.last, legacyLinks) {
		m.t.Errorf("rows refer to %d files", len(want))
	}
	err := filepath.WalkDir(m.store, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".new-") { // which a killed process leaves
			return err
		}
		path, err := filepath.Rel(m.store, name)
		if err != nil {
			return err
		}
		here, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		old, err := os.ReadFile(filepath.Join(m.old.Media, path))
		if err == nil && !bytes.Equal(old, here) {
			m.t.Errorf("%s differs", path)
		}
		delete(want, path)
		return err
	})
	if err != nil || len(want) > 0 {
		m.t.Errorf("%v, missing %v", err, want)
	}
}

// checkResponses compares the responses of both servers. If the tokens did not come
// along, both get one with the same key.
func (m *moving) checkResponses() {
	m.t.Helper()
	key := legacytest.Key(2)
	if m.fromEndpoint {
		database := dbtest.Open(m.t, m.dsn)
		if err := database.CreateUser(m.t.Context(), &db.User{Username: "admin", IsActive: true, IsAdmin: true}); err != nil {
			m.t.Fatal(err)
		}
		if _, err := database.ImportTokens(m.t.Context(), []db.ImportedToken{{KeyHash: auth.HashKey(key), Username: "admin"}}); err != nil {
			m.t.Fatal(err)
		}
	}
	paths := m.old.Requests(m.last)
	log := filepath.Join(m.t.TempDir(), "access.log")
	if err := os.WriteFile(log, []byte("10.0.0.1 - - \"GET "+strings.Join(paths, " HTTP/1.1\" 200\nGET ")), 0o600); err != nil {
		m.t.Fatal(err)
	}
	server := startServer(m.t, "--database-url="+m.dsn, "--media-store=file:"+m.store)
	stdout, _ := runCommand(m.t, 0, "import", "compare", "--rate=0", "--token="+key, m.old.URL, server.url, log)
	if diff := cmp.Diff(fmt.Sprintf("%d responses are equal.\n", len(paths)), stdout); diff != "" || m.last > legacyLinks && len(paths) != legacyLinks {
		m.t.Errorf("%d links: %s", len(paths), diff)
	}
	status, body := server.get(paths[0], "Authorization: Token "+key)
	if status != 200 || !strings.Contains(body, `"id":`) {
		m.t.Errorf("%d %s", status, body)
	}
}
