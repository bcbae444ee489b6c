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
	"slices"
	"strconv"
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

// legacyLinks is the number of links of the legacy system, which TEST_LINKS sets.
var legacyLinks = func() int {
	if number, err := strconv.Atoi(os.Getenv("TEST_LINKS")); err == nil {
		return number
	}
	return 250
}()

// TestImport_ContinuesAfterKills imports a real legacy system. Meanwhile it kills the command and
// the legacy server, and changes rows.
func TestImport_ContinuesAfterKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	legacy := legacytest.New(t, legacyLinks, 1)
	legacy.Start()
	endpoint := []string{"--url=" + legacy.URL, "--token=" + legacytest.Key(2), "--portfolio=1,2,3", "--media=" + legacy.URL + "/media"}
	for i, c := range []migration{
		{name: "endpoint to sqlite", dsn: dbtest.SQLite(t), source: append(endpoint, fmt.Sprintf("--links=1-%d,2001", legacyLinks)), fromEndpoint: true, last: 200},
		{name: "database to postgres", dsn: dbtest.Postgres(t), source: []string{"--database=" + legacy.DSN, "--media=" + legacy.Media}, last: 3000},
		{name: "endpoint to postgres", dsn: dbtest.Postgres(t), source: append(endpoint[:3:3], "--media="+legacy.Media, "--links=1-200,400"), fromEndpoint: true, last: 200},
		{name: "database to sqlite", dsn: dbtest.SQLite(t), source: []string{"--database=" + legacy.DSN, "--media=" + legacy.Media}, last: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &c
			m.t, m.legacy, m.store = t, legacy, t.TempDir()
			if i < 2 {
				m.interrupt()
			}
			legacy.Change(i)
			report := m.run("--delete")
			if i < 2 && (report.Links.Imported == 0 || report.Links.Unchanged == 0 || report.Links.Deleted == 0) {
				t.Errorf("got the links %+v in a resumed run, want imported, unchanged and deleted ones", report.Links)
			}
			if i < 2 {
				m.runAgain()
			}
			m.checkFiles()
			m.checkResponses()
		})
	}
}

// migration imports a legacy system into a database and a directory.
type migration struct {
	name         string
	dsn          string
	source       []string
	fromEndpoint bool
	last         int // the id of the last link whose response is compared

	t      *testing.T
	legacy *legacytest.System
	store  string
}

// command returns the program with the arguments of the import.
func (m *migration) command(more ...string) *exec.Cmd {
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
func (m *migration) run(more ...string) *legacyimport.Report {
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

// runAgain checks that the command imports nothing twice.
func (m *migration) runAgain() {
	m.t.Helper()
	var part []string // reading the endpoint takes long
	if m.fromEndpoint {
		part = []string{"--links=1-200,400"}
	}
	report := m.run(part...)
	if report.Links.Imported+report.Images.Imported+report.Portfolios.Imported+report.Users.Imported+report.Tokens.Imported+report.Files.Imported > 0 {
		m.t.Errorf("got the report %+v of a repeated run, want nothing imported", report)
	}
}

// interrupt kills the command after some links, and if it reads the endpoint, the
// legacy server after some more.
func (m *migration) interrupt() {
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
	m.legacy.Kill()
	if err := command.Wait(); err == nil || !strings.Contains(output.String(), "portfolio: the legacy system does not respond: ") || !strings.Contains(output.String(), "Run the same command again to continue.") {
		m.t.Errorf("got %v and %s, want that the legacy system does not respond", err, output.String())
	}
	m.legacy.Start()
}

// stopAt makes the command wait at an image until release is called, if it reads the
// database, which is fast.
func (m *migration) stopAt(imageID int) (release func()) {
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

// waitForLinks waits until the command has imported links.
func (m *migration) waitForLinks(database *db.DB, count int) {
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

// checkFiles checks that the store has the files of all rows, and no other files.
func (m *migration) checkFiles() {
	m.t.Helper()
	missing := map[string]bool{}
	for ref, err := range dbtest.Open(m.t, m.dsn).FileRefs(m.t.Context()) {
		if err != nil {
			m.t.Fatal(err)
		}
		missing[string(ref.Path)] = true
	}
	if len(missing) < min(m.last, legacyLinks) {
		m.t.Errorf("got rows that refer to %d files, want at least %d", len(missing), min(m.last, legacyLinks))
	}
	err := filepath.WalkDir(m.store, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".new-") { // which a killed process leaves
			return err
		}
		path, err := filepath.Rel(m.store, name)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(filepath.Join(m.legacy.Media, path))
		if err == nil && !bytes.Equal(got, want) {
			m.t.Errorf("%s: got %d bytes, want the %d bytes of the legacy file", path, len(got), len(want))
		}
		delete(missing, path)
		return err
	})
	if err != nil || len(missing) > 0 {
		m.t.Errorf("got %v and the missing files %v, want none", err, missing)
	}
}

// checkResponses compares the responses of both servers. If the import had no tokens, it creates
// one with the same key.
func (m *migration) checkResponses() {
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
	paths := m.legacy.Requests(m.last)
	log := filepath.Join(m.t.TempDir(), "access.log")
	if err := os.WriteFile(log, []byte("10.0.0.1 - - \"GET "+strings.Join(paths, " HTTP/1.1\" 200\nGET ")), 0o600); err != nil {
		m.t.Fatal(err)
	}
	server := startServer(m.t, "--database-url="+m.dsn, "--media-store=file:"+m.store)
	stdout, _ := runCommand(m.t, 0, "import", "compare", "--rate=0", "--token="+key, m.legacy.URL, server.URL, log)
	if diff := cmp.Diff(fmt.Sprintf("%d responses are equal.\n", len(paths)), stdout); diff != "" || m.last > legacyLinks && len(paths) != legacyLinks {
		m.t.Errorf("%d links: output (-want +got):\n%s", len(paths), diff)
	}
	status, body := server.get(paths[0], "Authorization: Token "+key)
	if status != 200 || !strings.Contains(body, `"id":`) {
		m.t.Errorf("got %d %s, want 200 and a link", status, body)
	}
}

// TestImport_RefusesInvalidFlags checks the errors of command lines.
func TestImport_RefusesInvalidFlags(t *testing.T) {
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
		{"", "--database or --url is required"},
		{url, "--url needs --token"},
		{"--database=postgres://h/d --token=k", "--token needs --url"},
		{url + " --token=k", "--url needs --portfolio, unless --database is set"},
		{url + " --token=k --portfolio=1", "--url needs --links, unless --database is set"},
		{url + " --token=k --portfolio=1 --links=5-1", `--links: must be ranges of IDs, such as 1-5000,7000, not "5-1"`},
		{url + " --token=k --portfolio=0 --links=1", "--portfolio: must be positive"},
		{url + " --token=k --portfolio=1 --links=1 --rate=-1", "--rate: must not be negative"},
		{url + " --token=k --portfolio=1 --links=1 --rate=nan", "--rate: must not be negative"},
		{url + " --token=k --portfolio=1 --links=1 --timeout=0s", "--timeout: must be positive"},
		{url + " --token=k --portfolio=1 --links=1 --max-file=0", "--max-file: must be positive"},
		{url + " --token=k --portfolio=1 --links=1 --media=nothing", "--media: stat nothing: no such file or directory"},
		{"--database=postgres://h/d --links=1", "--portfolio and --links exclude --database, which has all links"},
		{"--url=example.org", "LEGACY_URL: not an absolute http or https URL"},
		{"--database=mysql://u:secret@h/d", "LEGACY_DATABASE_URL: only PostgreSQL can be read, not mysql: read the endpoint instead, with --url"},
		{"--database=postgres://h/d --mapping=mapping.txt", fmt.Sprintf("--mapping: line %d: not NAME = VALUE", strings.Count(stdout, "\n")+2)},
	} {
		if _, stderr := runCommand(t, 1, append([]string{"import", "legacy"}, strings.Fields(c.args)...)...); stderr != "portfolio: "+c.want+"\n" {
			t.Errorf("%s: got %s, want %s", c.args, stderr, c.want)
		}
	}
}

// TestImport_ComparesServers compares servers that differ.
func TestImport_ComparesServers(t *testing.T) {
	t.Parallel()
	respond := func(bodies map[string]string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, exists := bodies[r.RequestURI]
			switch {
			case r.Header.Get("Authorization") != "Token key":
				w.WriteHeader(http.StatusUnauthorized)
			case !exists:
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
	legacy := respond(map[string]string{"/api/portfolios/1/links/1": equal, "/api/portfolios/1/links/2": `{"name":"old"}`, "/api/portfolios/1/links/4?format=json": equal})
	local := respond(map[string]string{"/api/portfolios/1/links/1": equal, "/api/portfolios/1/links/2": `{"name":"new"}`, "/api/portfolios/1/links/4?format=json": "{}"})
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
	stdout, stderr := runCommand(t, 1, "import", "compare", "--rate=0", "--token=key", legacy.URL, local.URL, log)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	slices.Sort(lines) // concurrent requests
	want := []string{
		`  f: legacy "a.png", local nothing`, `  name: legacy "old", local "new"`,
		"/api/portfolios/1/links/2", "/api/portfolios/1/links/4?format=json",
	}
	if diff := cmp.Diff(want, lines); diff != "" || stderr != "portfolio: 2 of 3 responses differ\n" {
		t.Errorf("output (-want +got):\n%s, errors: %s", diff, stderr)
	}
	legacy.Close()
	if _, stderr := runCommand(t, 1, "import", "compare", "--token=key", legacy.URL, local.URL, log); !strings.HasPrefix(stderr, "portfolio: the legacy system does not respond: ") {
		t.Error(stderr)
	}
}

// TestImport_FailsIfFilesAreMissing checks the report and the exit code of an incomplete import.
func TestImport_FailsIfFilesAreMissing(t *testing.T) {
	legacy := legacytest.Documented(t)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		t.Setenv("DATABASE_URL", dsn)
		t.Setenv("LEGACY_DATABASE_URL", legacy)
		for _, args := range [][]string{{"--dry-run"}, {"--report=report.json"}, {}} {
			stdout, stderr := runCommand(t, 1, append([]string{"import", "legacy", "--media-store=file:media"}, args...)...)
			records := auditLines(stderr)
			if !strings.HasSuffix(stdout, "Some rows or files differ.\n") || !strings.HasSuffix(stderr, "portfolio: some rows or files differ: see the report\n") {
				t.Errorf("got %s and %s, want that some rows or files differ", stdout, stderr)
			}
			if changes := len(args) > 0 && args[0] != "--dry-run"; changes != strings.Contains(records, `"action":"import legacy","outcome":"ok","actor":"cli"`) {
				t.Errorf("%s: got the records %s, want one if the command imports: %t", args, records, changes)
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
			t.Errorf("got %d problems, want 5, and the report (-want +got):\n%s", len(report.Problems), diff)
		}
	})
}
