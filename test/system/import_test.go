package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/auth"
	"portfolio/internal/legacyimport"
	"portfolio/internal/legacyimport/legacytest"
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
		{name: "database to sqlite", dsn: dbtest.SQLite(t), source: []string{"--database=" + old.DSN, "--media=" + old.Media}, last: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &c
			m.t, m.old, m.store = t, old, t.TempDir()
			if i < 2 {
				m.interrupt()
			}
			old.Change(i)
			report := m.run("--delete")
			if i < 2 && (report.Links.Imported == 0 || report.Links.Unchanged == 0 || report.Links.Deleted == 0) {
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
func (m *moving) run(more ...string) *legacyimport.Report {
	m.t.Helper()
	name := filepath.Join(m.t.TempDir(), "report.json")
	if output, err := m.command(append(more, "--report="+name)...).CombinedOutput(); err != nil {
		m.t.Errorf("%v %s", err, output)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		m.t.Fatal(err)
	}
	report := new(legacyimport.Report)
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
	if again.Links.Imported+again.Images.Imported+again.Portfolios.Imported+again.Users.Imported+again.Tokens.Imported+again.Files.Imported > 0 {
		m.t.Errorf("moved again: %+v", again)
	}
}

// interrupt kills the command after some links, and if it reads the endpoint, the
// legacy server after some more.
func (m *moving) interrupt() {
	m.t.Helper()
	database := dbtest.Open(m.t, m.dsn)
	release := m.stopAt(legacyLinks - 10)
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
	release()
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

// stopAt makes the command wait at an image until release is called, if it reads the
// database, which is fast.
func (m *moving) stopAt(imageID int) (release func()) {
	m.t.Helper()
	if m.fromEndpoint {
		return func() {}
	}
	connection, err := pgx.Connect(m.t.Context(), m.dsn)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN", fmt.Sprintf("INSERT INTO images (id, type, name, path, size) VALUES (%d, '', '', '', 0)", imageID)} {
		if _, err := connection.Exec(m.t.Context(), statement); err != nil {
			m.t.Fatal(err)
		}
	}
	return func() { _ = connection.Close(m.t.Context()) }
}

// waitForLinks waits until links were moved.
func (m *moving) waitForLinks(database *db.DB, count int) {
	m.t.Helper()
	for {
		keys, err := database.ImportedKeys(m.t.Context(), db.LinkRow, "", int64(legacyLinks))
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

// TestImportFlags checks the errors of command lines, and what needs no legacy system.
func TestImportFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	stdout, _ := runCommand(t, 0, "import", "legacy", "--print-mapping")
	if err := os.WriteFile("mapping.txt", []byte(stdout+"\nnothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "--url=http://127.0.0.1:1"
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "where is the legacy system? Give --database or --url"},
		{url, "--url needs --token"},
		{"--database=postgres://h/d --token=k", "--token needs --url"},
		{url + " --token=k", "--url needs --portfolio, unless there is --database"},
		{url + " --token=k --portfolio=1", "--url needs --links, unless there is --database"},
		{url + " --token=k --portfolio=1 --links=5-1", `--links: must be ranges of IDs, such as 1-5000,7000, not "5-1"`},
		{url + " --token=k --portfolio=0 --links=1", "--portfolio: must be positive"},
		{url + " --token=k --portfolio=1 --links=1 --rate=-1", "--rate: must not be negative"},
		{url + " --token=k --portfolio=1 --links=1 --rate=nan", "--rate: must not be negative"},
		{url + " --token=k --portfolio=1 --links=1 --timeout=0s", "--timeout: must be positive"},
		{url + " --token=k --portfolio=1 --links=1 --max-file=0", "--max-file: must be positive"},
		{url + " --token=k --portfolio=1 --links=1 --media=nothing", "--media: stat nothing: no such file or directory"},
		{"--database=postgres://h/d --links=1", "--portfolio and --links are not for --database, which has all links"},
		{"--url=example.org", "LEGACY_URL: not an absolute http or https URL"},
		{"--database=mysql://u:secret@h/d", "LEGACY_DATABASE_URL: only PostgreSQL can be read, not mysql: read the endpoint instead, with --url"},
		{"--database=postgres://h/d --mapping=mapping.txt", fmt.Sprintf("--mapping: line %d: not NAME = VALUE", strings.Count(stdout, "\n")+2)},
	} {
		if _, stderr := runCommand(t, 1, append([]string{"import", "legacy"}, strings.Fields(c.args)...)...); stderr != "portfolio: "+c.want+"\n" {
			t.Errorf("%s: %s", c.args, stderr)
		}
	}
}

// TestImportCompare compares servers that differ.
func TestImportCompare(t *testing.T) {
	t.Parallel()
	respond := func(bodies map[string]string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, found := bodies[r.RequestURI]
			switch {
			case r.Header.Get("Authorization") != "Token key":
				w.WriteHeader(http.StatusUnauthorized)
			case !found:
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, r.Host)
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, strings.ReplaceAll(body, "HOST", r.Host))
			}
		}))
		t.Cleanup(server.Close)
		return server
	}
	const equal = `{"f":"http://HOST/media/a.png"}`
	old := respond(map[string]string{"/api/portfolios/1/links/1": equal, "/api/portfolios/1/links/2": `{"name":"old"}`, "/api/portfolios/1/links/4?format=json": equal})
	here := respond(map[string]string{"/api/portfolios/1/links/1": equal, "/api/portfolios/1/links/2": `{"name":"new"}`, "/api/portfolios/1/links/4?format=json": "{}"})
	log := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(log, []byte(`/api/portfolios/1/links/1
10.0.0.1 - - [13/Jan/2026:10:05:43 +0000] "GET /api/portfolios/1/links/2 HTTP/1.1" 200 5 "-" "client/1.0"
10.0.0.1 - - [13/Jan/2026:10:05:43 +0000] "POST /api/portfolios/1/links/3 HTTP/1.1" 405 5 "-" "client/1.0"
10.0.0.1 - - [13/Jan/2026:10:05:43 +0000] "GET /api/portfolios/1/links/none HTTP/1.1" 404 5 "-" "client/1.0"
{"msg":"request","path":"GET /api/portfolios/1/links/4?format=json"}
10.0.0.1 - - [13/Jan/2026:10:05:43 +0000] "GET /media/a.png HTTP/1.1" 200 5 "-" "client/1.0"
`), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := runCommand(t, 1, "import", "compare", "--rate=0", "--token=key", old.URL, here.URL, log)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	slices.Sort(lines) // concurrent requests
	want := []string{
		`  f: legacy "a.png", here nothing`, `  name: legacy "old", here "new"`,
		"/api/portfolios/1/links/2", "/api/portfolios/1/links/4?format=json",
	}
	if diff := cmp.Diff(want, lines); diff != "" || stderr != "portfolio: 2 of 3 responses differ\n" {
		t.Errorf("%s%s", diff, stderr)
	}
	old.Close()
	if _, stderr := runCommand(t, 1, "import", "compare", "--token=key", old.URL, here.URL, log); !strings.HasPrefix(stderr, "portfolio: the legacy system does not respond: ") {
		t.Error(stderr)
	}
}

// TestImportReport checks the report and the exit code of a run that is not equal.
func TestImportReport(t *testing.T) {
	old := legacytest.Documented(t)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		t.Setenv("DATABASE_URL", dsn)
		t.Setenv("LEGACY_DATABASE_URL", old)
		for _, args := range [][]string{{"--dry-run"}, {"--report=report.json"}, {}} {
			stdout, stderr := runCommand(t, 1, append([]string{"import", "legacy", "--media-store=file:media"}, args...)...)
			records := auditLines(stderr)
			if !strings.HasSuffix(stdout, "Not everything is equal.\n") || !strings.HasSuffix(stderr, "portfolio: not everything is equal\n") {
				t.Errorf("%s%s", stdout, stderr)
			}
			if changes := len(args) > 0 && args[0] != "--dry-run"; changes != strings.Contains(records, `"action":"import legacy","outcome":"ok","actor":"cli"`) {
				t.Errorf("%s: %s", args, records)
			}
		}
		text, err := os.ReadFile("report.json")
		if err != nil {
			t.Fatal(err)
		}
		var report legacyimport.Report
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		want := legacyimport.Report{
			Source: "database", Compared: "rows of the database", Started: report.Started, Finished: report.Finished, Complete: true,
			Users: legacyimport.Counts{Imported: 1}, Tokens: legacyimport.Counts{Imported: 1}, Portfolios: legacyimport.Counts{Imported: 1},
			Images: legacyimport.Counts{Imported: 1}, Links: legacyimport.Counts{Imported: 1}, Files: legacyimport.Counts{Missing: 5}, Problems: report.Problems,
		}
		if diff := cmp.Diff(want, report); diff != "" || len(report.Problems) != 5 {
			t.Error(diff)
		}
	})
}
