package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/compat/compattest"
	"portfolio/db/dbtest"
)

// started is a server that runs as the program does.
type started struct {
	t      *testing.T
	url    string
	output string // what it printed at the start
	logs   *log
	stop   func() int
}

// log is standard error, which a server writes to from many goroutines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start serves until the test ends or stop is called, which returns the exit
// code.
func start(t *testing.T, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	s, exited := &started{t: t, logs: &log{}}, make(chan int, 1)
	go func() {
		exited <- run(ctx, append([]string{"serve", "--addr=127.0.0.1:0"}, args...), write, s.logs)
		_ = write.Close()
	}()
	s.stop = sync.OnceValue(func() int { cancel(); return <-exited })
	t.Cleanup(func() { s.stop() })
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		s.output += lines.Text() + "\n"
		if found := regexp.MustCompile(`GraphQL: +(\S+)/graphql`).FindStringSubmatch(lines.Text()); found != nil {
			s.url = found[1]
		}
		if strings.HasPrefix(lines.Text(), "Ready.") {
			go func() { _, _ = io.Copy(io.Discard, read) }()
			return s
		}
	}
	t.Fatalf("exit code %d: %s%s", s.stop(), s.output, s.logs)
	return nil
}

// get returns the status and the body, in which the server's address is HOST.
func (s *started) get(path string, fields ...string) (int, string) {
	s.t.Helper()
	header := http.Header{}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		header.Set(name, value)
	}
	status, _, body := s.exchange(http.MethodGet, path, header, nil)
	return status, strings.ReplaceAll(body, s.url, "HOST")
}

// documented is the answer that the legacy documentation shows.
const documented = `{"id":4,"name":"دمو پروژه","url":"https://moeinsoft.com/demo","image_data":{"id":6,"type":"image","name":"technology","size":5123,"human_readable_size":"5.00 KB","f":"HOST/media/core_media/2025/12/02/technology.png","width":225,"height":225,"mode":"P","thumbnails":[{"id":213,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_64x64.jpg","size":64},{"id":214,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_128x128.jpg","size":128},{"id":215,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_512x512.jpg","size":512},{"id":216,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_1080x1080.jpg","size":1080}]},"description":"لینک مشاهده دمو","created_at":"2026-01-13T10:05:43.296270Z","updated_at":"2026-01-13T10:05:43.296310Z"}`

// TestDemo runs what the program prints, on a first and on a later start.
func TestDemo(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"first", "later"} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			line := regexp.MustCompile(`(?m)^Try: +(curl .*)$`).FindStringSubmatch(server.output)
			if line == nil {
				t.Fatalf("no curl line in %s", server.output)
			}
			output, err := exec.Command("sh", "-c", "exec "+strings.Replace(line[1], "curl ", "curl -sS ", 1)).Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(documented, strings.ReplaceAll(string(output), server.url, "HOST")); diff != "" {
				t.Error(diff)
			}
			if _, page := server.get("/", "Accept: text/html"); !strings.Contains(page, "GraphiQL") {
				t.Errorf("the playground is %s", page)
			}
			if code := server.stop(); code != 0 {
				t.Errorf("exit code %d: %s", code, server.logs)
			}
		})
	}
}

// TestDemoIsTrue holds the documented fields against the files.
func TestDemoIsTrue(t *testing.T) {
	t.Chdir(t.TempDir())
	server := start(t)
	var link struct {
		ImageData struct {
			Size, Width, Height int
			F                   string
			Thumbnails          []struct {
				F    string
				Size int
			}
		} `json:"image_data"`
	}
	if err := json.Unmarshal([]byte(documented), &link); err != nil {
		t.Fatal(err)
	}
	decode := func(address string) (image.Config, string, int) {
		_, body := server.get(strings.TrimPrefix(address, "HOST"))
		config, format, err := image.DecodeConfig(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return config, format, len(body)
	}
	config, format, size := decode(link.ImageData.F)
	if _, paletted := config.ColorModel.(color.Palette); !paletted {
		t.Error("the image is not of mode P")
	}
	if format != "png" || size != link.ImageData.Size || config.Width != link.ImageData.Width || config.Height != link.ImageData.Height {
		t.Errorf("the image is %s of %d bytes, %dx%d", format, size, config.Width, config.Height)
	}
	for _, thumbnail := range link.ImageData.Thumbnails {
		if config, format, _ := decode(thumbnail.F); format != "jpeg" || max(config.Width, config.Height) != thumbnail.Size {
			t.Errorf("%s is %s, %dx%d", thumbnail.F, format, config.Width, config.Height)
		}
	}
}

// TestDemoKeyIsRevoked: a start must not print a line that does not work.
func TestDemoKeyIsRevoked(t *testing.T) {
	t.Chdir(t.TempDir())
	start(t).stop()
	command(t, 0, "token", "revoke", "1")
	if server := start(t); strings.Contains(server.output, "curl") {
		t.Errorf("printed %s", server.output)
	}
}

// command runs a sub-command and returns what it printed.
func command(t *testing.T, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, &out, &errs); code != wantCode {
		t.Errorf("%q: exit code %d: %s", args, code, errs.String())
	}
	return out.String(), errs.String()
}

// TestNamedDatabase goes the way of an operator: migrate, users, tokens, rows
// by plain SQL. There is never a demo.
func TestNamedDatabase(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dsn := dsn(t)
			t.Setenv("DATABASE_URL", dsn)
			if name == "postgres" {
				_, stderr := command(t, 1, "serve", "--addr=127.0.0.1:0")
				if want := "portfolio: the database's schema is behind: run \"portfolio migrate\" first\n"; stderr != want {
					t.Errorf("said %q", stderr)
				}
			}
			for range 2 {
				if stdout, _ := command(t, 0, "migrate"); stdout != "The schema is up to date.\n" {
					t.Errorf("printed %q", stdout)
				}
			}
			command(t, 0, "user", "create", "sara", "--staff", "--permission", "4242", "--permission", "7")
			_, stderr := command(t, 1, "user", "create", "sara")
			if want := "portfolio: the user \"sara\" already exists\n"; stderr != want {
				t.Errorf("said %q", stderr)
			}
			key, _ := command(t, 0, "token", "create", "sara", "--label", "CI", "--expires", "720h")
			if !regexp.MustCompile(`^[0-9a-f]{40}\n$`).MatchString(key) {
				t.Errorf("printed %q", key)
			}
			authorization := "Authorization: Token " + strings.TrimSpace(key)
			for _, statement := range []string{
				`INSERT INTO portfolios (id, name) VALUES (1, 'دمو')`,
				`INSERT INTO images (id, type, name, path, size, width, height, mode) VALUES (6, 'image', 'technology', 'core_media/2025/12/02/technology.png', 5123, 225, 225, 'P')`,
				`INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, description, created_at, updated_at) VALUES (4, 1, 6, 'دمو پروژه', 'https://moeinsoft.com/demo', 'لینک مشاهده دمو', '2026-01-13T10:05:43.296270Z', '2026-01-13T10:05:43.296310Z')`,
			} {
				dbtest.Exec(t, dsn, statement)
			}
			for i, size := range []int{64, 128, 512, 1080} {
				dbtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO thumbnails (id, image_id, path, size) VALUES (%d, 6, 'core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_%dx%d.jpg', %d)`, 213+i, size, size, size))
			}
			server := start(t)
			if strings.Contains(server.output, "curl") {
				t.Errorf("a demo in %s", server.output)
			}
			for _, path := range []string{"/api/portfolios/1/links/4", "/api/portfolios/links/4"} {
				if status, body := server.get(path, authorization); status != http.StatusOK || body != documented {
					t.Errorf("%s: %d %s", path, status, cmp.Diff(documented, body))
				}
			}
			list, _ := command(t, 0, "token", "list")
			if !regexp.MustCompile(`^ID +USER +CREATED +EXPIRES +LABEL\n1 +sara +\S+Z +\S+Z +CI\n$`).MatchString(list) {
				t.Errorf("listed %s", list)
			}
			command(t, 0, "token", "revoke", "1")
			_, stderr = command(t, 1, "token", "revoke", "1")
			if want := "portfolio: the token 1 does not exist\n"; stderr != want {
				t.Errorf("said %q", stderr)
			}
			if code := server.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestServeMigratesIfAsked(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", dbtest.EmptyPostgres(t))
	if status, body := start(t, "--migrate").get("/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %s", status, body)
	}
}

// TestStartRefuses: one clear line, and exit code 1.
func TestStartRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	sqlite := dbtest.EmptySQLite(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--addr=" + taken.Addr().String()}, "portfolio: ADDR: listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		{[]string{"--addr=nonsense"}, "portfolio: ADDR: listen tcp: address nonsense: missing port in address"},
		{[]string{"--database-url=postgres://me:secret@127.0.0.1:1/x"}, "portfolio: DATABASE_URL: the database does not answer"},
		{[]string{"--database-url=mysql://me:secret@h/x"}, "portfolio: DATABASE_URL: not postgres://... or sqlite:PATH"},
		{[]string{"--media-store=ftp://x"}, "portfolio: MEDIA_STORE: not file:PATH"},
		{[]string{"--media-url=cdn.example"}, "portfolio: MEDIA_URL: not an absolute http or https URL"},
		{[]string{"--playground=maybe"}, "portfolio: --playground must be one of \"on\",\"off\" but got \"maybe\""},
		{[]string{"--trusted-proxies=proxy.example"}, "portfolio: TRUSTED_PROXIES: \"proxy.example\" is neither an address nor a network"},
		{[]string{"--persisted-documents=none.json"}, "portfolio: PERSISTED_DOCUMENTS: stat none.json: no such file or directory"},
		{[]string{"--only-persisted"}, "portfolio: --only-persisted: needs PERSISTED_DOCUMENTS"},
		{[]string{"--max-concurrent=0"}, "portfolio: MAX_CONCURRENT: must be at least 1"},
		{[]string{"--introspection=maybe"}, "portfolio: --introspection must be one of \"on\",\"authenticated\",\"off\" but got \"maybe\""},
		{[]string{"--max-depth=deep"}, "portfolio: --max-depth: "},
		{[]string{"--no-such-flag"}, "portfolio: unknown flag --no-such-flag"},
		{[]string{"nonsense"}, "portfolio: unexpected argument nonsense"},
	} {
		args := append([]string{"serve", "--database-url=" + sqlite}, c.args...)
		_, stderr := command(t, 1, args...)
		if line, rest, _ := strings.Cut(stderr, "\n"); !strings.HasPrefix(line, c.want) || rest != "" || strings.Contains(stderr, "secret") {
			t.Errorf("%q said %q", c.args, stderr)
		}
	}
	if stdout, _ := command(t, 0, "--help"); !strings.Contains(stdout, "token create") || !strings.Contains(stdout, "$DATABASE_URL") {
		t.Errorf("--help printed %s", stdout)
	}
}

// TestRoutes goes over the paths that are no GraphQL.
func TestRoutes(t *testing.T) {
	t.Chdir(t.TempDir())
	server := start(t, "--database-url="+dbtest.EmptySQLite(t))
	quiet := start(t, "--database-url="+dbtest.EmptySQLite(t), "--playground=off", "--introspection=off", "--log-level=debug")
	for _, c := range []struct {
		server *started
		path   string
		status int
		want   string
	}{
		{server, "/", 200, "GraphiQL"},
		{quiet, "/", 404, "Not Found"},
		{server, "/healthz", 200, "ok\n"},
		{server, "/readyz", 200, "ok\n"},
		{server, "/api/openapi.json", 200, `"openapi": "3.1.0"`},
		{server, "/graphql?query={viewer{id}}", 200, `{"data":{"viewer":null}}`},
		{server, "/graphql/schema.graphql", 200, "type Query {"},
		{quiet, "/graphql/schema.graphql", 404, "Not Found"},
		{server, "//graphql", 404, "Not Found"},
		{server, "/graphql/", 404, "Not Found"},
		{server, "/media/none.png", 404, "not found"},
		{server, "/api/portfolios/1/links/4", 401, "Authentication credentials were not provided."},
		{server, "/debug/pprof/", 404, "Not Found"},
	} {
		if status, body := c.server.get(c.path, "Accept: */*"); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
	}
	quiet.get("/healthz", "Authorization: Token secret")
	quiet.stop()
	if logs := quiet.logs.String(); !strings.Contains(logs, `"path":"/healthz","status":200`) || !strings.Contains(logs, `"request_id":"`) || strings.Contains(logs, "secret") {
		t.Errorf("logged %s", logs)
	}
}

// TestRecorded: nothing around the legacy endpoint changes its answers.
func TestRecorded(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, "compat/testdata/fixtures.json")
		cases := compattest.Cases(t, "compat/testdata/golden.jsonl")
		t.Chdir(t.TempDir())
		server := start(t, "--database-url="+dsn)
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { compattest.Replay(t, strings.TrimPrefix(server.url, "http://"), c) })
		}
	})
}

// TestReadyWithoutDatabase: alive, but not ready.
func TestReadyWithoutDatabase(t *testing.T) {
	dsn := dbtest.Postgres(t)
	t.Chdir(t.TempDir())
	server := start(t, "--database-url="+dsn)
	dbtest.Exec(t, dsn, "DELETE FROM bun_migrations")
	if status, body := server.get("/readyz"); status != http.StatusServiceUnavailable || body != "the database's schema is behind\n" {
		t.Errorf("%d %s", status, body)
	}
	dbtest.Exec(t, dsn, "DROP TABLE bun_migrations")
	if status, body := server.get("/readyz"); status != http.StatusServiceUnavailable || body != "the database's schema is behind\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := server.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
}

// TestDatabaseGoesAway: clear answers while it is gone, and well again
// without a restart.
func TestDatabaseGoesAway(t *testing.T) {
	dsn := dbtest.Postgres(t)
	dbtest.LoadFile(t, dsn, "compat/testdata/fixtures.json")
	line, through := dbtest.NewProxy(t, dsn)
	t.Chdir(t.TempDir())
	server := start(t, "--database-url="+through)
	const (
		known   = "Authorization: Token be995b582c8bf952546d3819251020d1ad1b2eb1"
		unknown = "Authorization: Token unknown"
		rest    = "/api/portfolios/1/links/4"
		graphql = "/graphql?query={portfolioLink(id:4){name}}"
		gone    = `"message":"The database is unavailable. Try again later."`
	)
	requests := []struct {
		path, authorization string
		well, away          int
		wellBody, awayBody  string
	}{
		{rest, known, 200, 503, documented, `{"detail":"Service temporarily unavailable, try again later."}`},
		{rest, unknown, 401, 503, `{"detail":"Invalid token."}`, `{"detail":"Service temporarily unavailable, try again later."}`},
		{graphql, known, 200, 503, `{"data":{"portfolioLink":{"name":"دمو پروژه"}}}`, `{"errors":[{` + gone + `,"path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"UNAVAILABLE"}}],"data":{"portfolioLink":null}}`},
		{graphql, unknown, 401, 503, `{"errors":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}`, `{"errors":[{` + gone + `,"extensions":{"code":"UNAVAILABLE"}}]}`},
		{"/readyz", known, 200, 503, "ok\n", "the database does not answer\n"},
		{"/healthz", known, 200, 200, "ok\n", "ok\n"},
	}
	for _, away := range []bool{false, true, false} {
		if away {
			line.Disconnect()
		} else {
			line.Reconnect()
		}
		for _, r := range requests {
			wantStatus, want := r.well, r.wellBody
			if away {
				wantStatus, want = r.away, r.awayBody
			}
			status, body := server.get(r.path, r.authorization)
			if away && r.path == graphql && body == requests[3].awayBody { // the viewer's second in memory was over
				want = body
			}
			if status != wantStatus || body != want {
				t.Errorf("away %v: %s: %d %s", away, r.path, status, body)
			}
		}
	}
	if logs := server.logs.String(); !strings.Contains(logs, "request failed") || strings.Contains(logs, "be995b58") {
		t.Errorf("logged %s", logs)
	}
}

// TestDrain: a request under way is answered after the signal to stop.
func TestDrain(t *testing.T) {
	t.Chdir(t.TempDir())
	server := start(t, "--database-url="+dbtest.EmptySQLite(t))
	connection, err := net.Dial("tcp", strings.TrimPrefix(server.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	const body = `{"query":"{viewer{id}}"}`
	if _, err := fmt.Fprintf(connection, "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100") { // the handler reads the body
		t.Fatalf("%s %v", line, err)
	}
	stopped := make(chan int)
	go func() { stopped <- server.stop() }()
	for { // until it no longer listens
		other, err := net.Dial("tcp", connection.RemoteAddr().String())
		if err != nil {
			break
		}
		_ = other.Close()
	}
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(reader)
	if err != nil || !strings.Contains(string(rest), `{"data":{"viewer":null}}`) {
		t.Errorf("%v %s", err, rest)
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d: %s", code, server.logs)
	}
}

func TestTokenImport(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dsn := dsn(t)
			t.Setenv("DATABASE_URL", dsn)
			command(t, 0, "user", "create", "sara", "--admin")
			file := func(content string) string {
				if err := os.WriteFile("tokens.csv", []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				return "tokens.csv"
			}
			for _, c := range []struct{ content, want string }{
				{"", "Imported 0 tokens; 0 were there already.\n"},
				{"\ufeffold-key,sara\r\n\"other\"\"key\",\"sara\"\n", "Imported 2 tokens; 0 were there already.\n"},
				{"old-key,sara\nnew-key,sara\nnew-key,sara\n", "Imported 1 tokens; 2 were there already.\n"},
			} {
				if stdout, _ := command(t, 0, "token", "import", file(c.content)); stdout != c.want {
					t.Errorf("%q: printed %q", c.content, stdout)
				}
			}
			for content, want := range map[string]string{
				"fine,sara\nbad\n":            "line 2: not key,username",
				"fine,sara\n\n,sara\n":        "line 3: not key,username",
				"fine,sara\nkey,\n":           "line 2: not key,username",
				"fine,sara\na b,sara\n":       "line 2: not key,username",
				"fine,sara\n\xff,sara\n":      "line 2: not key,username",
				"fine,sara\na,sara,x\n":       "line 2: not key,username",
				"fine,sara\na\"b,sara\n":      "line 2: bare \" in non-quoted-field",
				"fine,sara\nkey,nobody\n":     `line 2: there is no user "nobody"`,
				"fine,sara\n\n\nkey,nobody\n": `line 4: there is no user "nobody"`,
			} {
				_, stderr := command(t, 1, "token", "import", file(content))
				if stderr != "portfolio: "+want+"; nothing was imported\n" {
					t.Errorf("%q: said %q", content, stderr)
				}
			}
			command(t, 1, "token", "import", "no such file")
			server := start(t)
			for key, want := range map[string]int{"old-key": 404, `other"key`: 404, "new-key": 404, "fine": 401} {
				if status, body := server.get("/api/portfolios/1/links/4", "Authorization: Token "+key); status != want {
					t.Errorf("%s: %d %s", key, status, body)
				}
			}
		})
	}
}
