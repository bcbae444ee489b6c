package system

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// TestImportCompare_SendsLinksOnly checks that the token is sent for links alone, whatever
// clients have written into an access log.
func TestImportCompare_SendsLinksOnly(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r.RequestURI)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	const prefix = `10.0.0.1 - - [13/Jan/2026:10:05:43 +0000] `
	log := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(log, []byte(strings.Join([]string{
		prefix + `"GET /api/portfolios/1/links/1 HTTP/1.1" 200 5 "-" "client/1.0"`,
		prefix + `"GET /api/portfolios/links/2?format=json HTTP/1.0" 200 5`,
		"/api/portfolios/1/links/3", "GET /api/portfolios/1/links/4",
		`{"method":"GET","path":"/api/portfolios/1/links/5"}`,
		`{"request":"GET /api/portfolios/1/links/6 HTTP/1.1","agent":"GET /api/portfolios/1/links/96"}`,
		`example.org:443 ` + prefix + `"GET /api/portfolios/1/links/%37 HTTP/1.1" 200 5`,
		// None of these is a request for a link.
		prefix + `"GET /api/portfolios/../../admin/users HTTP/1.1" 200 5`,
		prefix + `"GET /api/portfolios/1/links/4/../../../../admin HTTP/1.1" 200 5`,
		prefix + `"GET /api/portfolios/%2e%2e/links/4 HTTP/1.1" 200 5`,
		prefix + `"GET /api/portfolios/1/links/none HTTP/1.1" 404 5`,
		prefix + `"GET /api/portfolios/ HTTP/1.1" 404 5`,
		prefix + `"GET //evil.example/api/portfolios/1/links/91 HTTP/1.1" 404 5`,
		prefix + `"GET @evil.example/api/portfolios/1/links/91 HTTP/1.1" 400 5`,
		prefix + `"GET http://evil.example/api/portfolios/1/links/92 HTTP/1.1" 404 5`,
		prefix + `"GET /?next=GET /api/portfolios/1/links/93 HTTP/1.1" 404 5`,
		prefix + `"POST /api/portfolios/1/links/94 HTTP/1.1" 405 5`,
		prefix + `"GET / HTTP/1.1" 200 5 "GET /api/portfolios/1/links/95 HTTP/1.1" "GET /api/portfolios/1/links/95 HTTP/1.1"`,
		`GET /media/a.png HTTP/1.1" 200 5 "GET /api/portfolios/1/links/97 HTTP/1.1"`,
		`{"method":"DELETE","path":"/api/portfolios/1/links/98"}`,
		`{"path":"/","agent":"GET /api/portfolios/1/links/99"}`,
	}, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t, 0, "import", "compare", "--rate=0", "--token=secret", server.URL, server.URL, log)
	slices.Sort(sent)
	want := []string{
		"/api/portfolios/1/links/%37", "/api/portfolios/1/links/1", "/api/portfolios/1/links/3", "/api/portfolios/1/links/4", "/api/portfolios/1/links/5",
		"/api/portfolios/1/links/6", "/api/portfolios/links/2?format=json",
	}
	if diff := cmp.Diff(want, slices.Compact(sent)); diff != "" || len(sent) != 2*len(want) {
		t.Errorf("%d requests: %s", len(sent), diff)
	}
}

// foreign has everything that a terminal could take for something else than text.
const foreign = "a\x1b[31m\u009b31m\u2028\u2029\u202e\u2066\x7f\x9bz"

// checkPlain checks that an output has lines of plain text only.
func checkPlain(t *testing.T, what, output string) {
	t.Helper()
	for i, r := range output {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) || strings.HasPrefix(output[i:], "\x9b") {
			t.Errorf("%s has %U: %q", what, r, output)
			return
		}
	}
}

// TestCommands_EscapeForeignText runs every command that shows names of files, texts of
// errors and settings.
func TestCommands_EscapeForeignText(t *testing.T) {
	t.Chdir(t.TempDir())
	dsn := dbtest.SQLite(t)
	t.Setenv("DATABASE_URL", dsn)
	t.Setenv("MEDIA_STORE", "file:media")
	image := photograph(t, 30, 20)
	named := strings.ToValidUTF8(foreign, "") // arguments must be UTF-8
	name := named + "\n.jpg"
	if err := errors.Join(os.MkdirAll("media/"+foreign, 0o700), os.WriteFile("media/"+foreign+"/"+name, image, 0o600), os.WriteFile(name, image, 0o600),
		os.WriteFile("again"+name, image, 0o600), os.WriteFile("bad"+name, []byte("<html>"), 0o600), os.WriteFile("tokens.csv", []byte(strings.Repeat("k", 32)+","+strings.ToValidUTF8(foreign, "")+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, dsn, "INSERT INTO images (type, name, path, size) VALUES ('image', 'x', 'a'||char(27, 155, 8232, 8238, 10)||'z.png', 5)")
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"images", "create", name, "again" + name}},
		{1, []string{"images", "create", "bad" + name, "none" + name}},
		{0, []string{"media", "sweep", "--grace=0s"}},
		{0, []string{"backup", named + ".tar"}},
		{0, []string{"restore", "--check", named + ".tar"}},
		{1, []string{"restore", "--check", "none" + named}},
		{1, []string{"restore", named + ".tar"}},
		{1, []string{"token", "import", "tokens.csv"}},
		{1, []string{"token", "import", "none" + named}},
		{1, []string{"user", "set", named, "--staff"}},
		{1, []string{named}},
		{1, []string{foreign}},
		{1, []string{"serve", "--addr=" + named}},
		{1, []string{"check", "--persisted-documents=" + named}},
		{0, []string{"check", "--database-url=sqlite:new/" + named}},
		{0, []string{"config", "--persisted-documents=" + named, "--media-store=file:" + named}},
		{1, []string{"import", "legacy", "--mapping=" + named}},
		{1, []string{"healthcheck", "--url=" + named}},
	} {
		stdout, stderr := runCommand(t, c.code, c.args...)
		checkPlain(t, strings.Join(c.args[:1], " ")+" on stdout", stdout)
		checkPlain(t, strings.Join(c.args[:1], " ")+" on stderr", stderr)
		if stdout+stderr == "" {
			t.Errorf("%q printed nothing", c.args)
		}
	}
}

// TestLogs_EscapeForeignText checks both formats of the log, for requests and other records.
func TestLogs_EscapeForeignText(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		server := startServer(t, "--database-url="+dbtest.EmptySQLite(t), "--log-format="+format)
		server.get("/%1b%5b31m%c2%9b31m%e2%80%a8%e2%80%ae%7f%9b")
		server.stop()
		checkPlain(t, format, server.logs.String())
		if !strings.Contains(server.logs.String(), "path") {
			t.Errorf("%s: logged %s", format, server.logs)
		}
		media := t.TempDir()
		if err := os.WriteFile(filepath.Join(media, foreign), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr := runCommand(t, 0, "media", "sweep", "--delete", "--grace=0s", "--log-format="+format, "--database-url="+dbtest.SQLite(t), "--media-store=file:"+media)
		checkPlain(t, format+" of a command", stderr)
		if !strings.Contains(stderr, "media sweep") {
			t.Errorf("%s: logged %s", format, stderr)
		}
	}
}

// TestCommands_NeedExistingDatabase checks that no command but serve creates a database that
// no setting names, and that those which use it say so.
func TestCommands_NeedExistingDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", "") // as an unquoted & leaves it
	const missing = "DATABASE_URL: is not set, and the default, data/portfolio.db, does not exist: only \"portfolio serve\" creates it"
	archive := filepath.Join(t.TempDir(), "backup.tar")
	source := dbtest.SQLite(t)
	if err := os.Mkdir("media", 0o700); err != nil {
		t.Fatal(err)
	}
	runCommand(t, 0, "backup", "--database-url="+source, "--media-store=file:media", archive)
	for _, command := range []string{
		"migrate", "user create bob", "user list", "user set bob --staff", "user delete bob", "token create bob", "token list", "token revoke 1",
		"images create x.png", "media sweep --delete", "import legacy --url=http://127.0.0.1:1 --token=x --portfolio=1 --links=1", "backup x.tar", "restore " + archive,
	} {
		checkFails(t, missing, strings.Fields(command)...)
	}
	if _, err := os.Stat("data"); err == nil {
		t.Error("a command created data")
	}
	startServer(t, "--data-dir=data").stop()
	const says = "portfolio: DATABASE_URL is not set: the database is sqlite:data/portfolio.db\n"
	for _, command := range []string{"migrate", "user create bob", "user list", "token list", "media sweep", "backup x.tar", "restore --force x.tar"} {
		if _, stderr := runCommand(t, 0, strings.Fields(command)...); strings.Count(stderr, says) != 1 {
			t.Errorf("%s: said %s, want once %s", command, stderr, says)
		}
		if _, stderr := runCommand(t, 0, "user", "list", "--database-url="+source); strings.Contains(stderr, says) {
			t.Errorf("with DATABASE_URL: said %s", stderr)
		}
	}
}

// serveFails runs a server that must not start, and returns what it says.
func serveFails(t *testing.T, args ...string) (stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var logs logBuffer
	if code := run(ctx, append([]string{"serve", "--addr=127.0.0.1:0"}, args...), io.Discard, &logs); code != 1 {
		t.Errorf("serve %q: exit code %d, want 1", args, code)
	}
	return logs.String()
}

// TestCheck_FailsWhereServeFails checks settings with which serve cannot start.
func TestCheck_FailsWhereServeFails(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("file", nil, 0o600), os.MkdirAll("directory/x.db", 0o700), os.WriteFile("text.db", bytes.Repeat([]byte("text "), 1000), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{"sqlite:file/x.db", "sqlite:/proc/data/x.db", "sqlite:directory/x.db", "sqlite:text.db", "sqlite:/" + t.TempDir() + "/p.db", "sqlite:/proc/x.db"} {
		stdout, _ := runCommand(t, 1, "check", "--media-store=file:media", "--database-url="+dsn)
		if !regexp.MustCompile(`(?m)^failed  (database|DATABASE_URL): `).MatchString(stdout) {
			t.Errorf("%s: check printed %s", dsn, stdout)
		}
		serveFails(t, "--media-store=file:media", "--database-url="+dsn)
	}
	if err := os.MkdirAll("data/demo-token", 0o700); err != nil {
		t.Fatal(err)
	}
	runCommand(t, 1, "check", "--media-store=file:media")
	serveFails(t, "--media-store=file:media")
	runCommand(t, 0, "check", "--media-store=file:media", "--database-url=sqlite:new/nested/x.db")
	if left, err := os.ReadDir("new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("check left %v, %v", left, err)
	}
}

// TestCheck_TriesAddresses checks addresses at which serve cannot listen, and that check passes
// beside a running server.
func TestCheck_TriesAddresses(t *testing.T) {
	t.Chdir(t.TempDir())
	settings := []string{"--database-url=sqlite:x.db", "--media-store=file:media"}
	server := startServer(t, append(settings, "--admin-addr=127.0.0.1:0")...)
	foreign := httptest.NewServer(http.NotFoundHandler())
	defer foreign.Close()
	used, inUse := foreign.Listener.Addr().String(), " is in use, and no server responds there: serve cannot start while another program has it\n"
	for _, c := range []struct {
		addr, admin string
		code        int
		want        string
	}{
		{"127.0.0.1:0", "127.0.0.1:0", 0, ""},
		{strings.TrimPrefix(server.URL, "http://"), "127.0.0.1:0", 0, ""},
		{used, "127.0.0.1:0", 0, "warning ADDR: " + used + inUse},
		{"127.0.0.1:0", used, 0, "warning ADMIN_ADDR: " + used + inUse},
		{"192.0.2.1:0", "127.0.0.1:0", 1, "failed  ADDR: listen tcp 192.0.2.1:0: bind: cannot assign requested address\n"},
		{"127.0.0.1:0", "192.0.2.1:0", 1, "failed  ADMIN_ADDR: listen tcp 192.0.2.1:0: bind: cannot assign requested address\n"},
		{"0.0.0.0:47111", "127.0.0.9:47111", 1, "failed  ADMIN_ADDR: listen tcp 127.0.0.9:47111: bind: address already in use\n"},
	} {
		args := append(slices.Clone(settings), "--addr="+c.addr, "--admin-addr="+c.admin)
		stdout, _ := runCommand(t, c.code, append([]string{"check"}, args...)...)
		if _, got, _ := strings.Cut(stdout, "read and deleted\n"); got != c.want {
			t.Errorf("%s, %s: check printed %q, want %q", c.addr, c.admin, got, c.want)
		}
		if c.want != "" {
			serveFails(t, args...)
		}
	}
}

// TestSQLite_RefusesDanglingLink checks that each command names a link that leads to no file,
// and that none creates one.
func TestSQLite_RefusesDanglingLink(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.Symlink("gone.db", "link.db"), os.Symlink("away/gone.db", "far.db"), os.Symlink("link.db", "chain.db"), os.Symlink("loop.db", "loop.db")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"link.db":  "link.db is a link to gone.db, which does not exist",
		"far.db":   "far.db is a link to away/gone.db, which does not exist",
		"chain.db": "chain.db is a link to link.db, which does not exist",
		"loop.db":  "stat loop.db: too many levels of symbolic links",
	} {
		dsn := "--database-url=sqlite:" + name
		if stdout, _ := runCommand(t, 1, "check", "--media-store=file:media", dsn); !strings.Contains(stdout, "failed  database: "+want+"\n") {
			t.Errorf("check printed %s, want %s", stdout, want)
		}
		checkFails(t, "DATABASE_URL: "+want, "migrate", dsn)
		if stderr := serveFails(t, "--media-store=file:media", dsn); !strings.Contains(stderr, want) {
			t.Errorf("serve said %s, want %s", stderr, want)
		}
	}
	if found, err := filepath.Glob("*gone*"); err != nil || len(found) > 0 {
		t.Errorf("left %v, %v", found, err)
	}
}

// TestAdmin_ChecksHost checks which hosts a request to the admin listener may name.
func TestAdmin_ChecksHost(t *testing.T) {
	t.Parallel()
	admin := startServer(t, "--database-url="+dbtest.EmptySQLite(t), "--admin-addr=127.0.0.1:0", "--admin-hosts=metrics.example.org,192.0.2.1,2001:DB8::1").admin()
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:9100": 200, "localhost": 200, "LOCALHOST.:9100": 200, "127.0.0.2": 200, "[::1]:9100": 200, "[::ffff:127.0.0.1]": 200,
		"metrics.example.org": 200, "Metrics.Example.org.:9100": 200, "192.0.2.1:1": 200, "[2001:db8:0::1]:9100": 200,
		"evil.example": 403, "evil.example:9100": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "a.metrics.example.org": 403,
		"192.0.2.2": 403, "[2001:db8::2]": 403, "0.0.0.0": 403, "metrics.example.org@evil.example": 400, "2130706433": 403,
	} {
		for _, path := range []string{"/debug/pprof/cmdline", "/metrics", "/readyz", "/none"} {
			if want == 200 && path == "/none" {
				continue
			}
			request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-Host: localhost\r\n\r\n"
			if status, body := admin.raw(request); status != want {
				t.Errorf("%s %s: %d %.80q, want %d", host, path, status, body, want)
			}
		}
	}
	if status, body := admin.raw("GET /version HTTP/1.0\r\n\r\n"); status != 200 { // which no browser sends
		t.Errorf("without a host: %d %s", status, body)
	}
}
