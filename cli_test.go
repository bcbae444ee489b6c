package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// checkFails runs a command that must fail with one line of error.
func checkFails(t *testing.T, want string, args ...string) {
	t.Helper()
	if _, stderr := runCommand(t, 1, args...); stderr != "portfolio: "+want+"\n" {
		t.Errorf("%s: %q", strings.Join(args, " "), stderr)
	}
}

// insertDocumented inserts the documented rows by plain SQL.
func insertDocumented(t *testing.T, dsn string) {
	t.Helper()
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
}

// TestNamedDatabase sets up a database as an operator does: migrations, users,
// tokens, rows by plain SQL. It gets no demo.
func TestNamedDatabase(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dsn := dsn(t)
			t.Setenv("DATABASE_URL", dsn)
			if name == "postgres" {
				checkFails(t, "the database's schema is behind: run \"portfolio migrate\" first", "serve", "--addr=127.0.0.1:0")
			}
			for range 2 {
				if stdout, _ := runCommand(t, 0, "migrate"); stdout != "The schema is up to date.\n" {
					t.Errorf("printed %q", stdout)
				}
			}
			runCommand(t, 0, "user", "create", "sara", "--staff", "--permission", "4242", "--permission", "7")
			checkFails(t, `the user "sara" already exists`, "user", "create", "sara")
			key, _ := runCommand(t, 0, "token", "create", "sara", "--label", "CI", "--expires", "720h")
			if !regexp.MustCompile(`^[0-9a-f]{40}\n$`).MatchString(key) {
				t.Errorf("printed %q", key)
			}
			authorization := "Authorization: Token " + strings.TrimSpace(key)
			insertDocumented(t, dsn)
			server := startServer(t)
			if strings.Contains(server.output, "curl") {
				t.Errorf("a demo in %s", server.output)
			}
			for _, path := range []string{"/api/portfolios/1/links/4", "/api/portfolios/links/4"} {
				if status, body := server.get(path, authorization); status != http.StatusOK || body != documented {
					t.Errorf("%s: %d %s", path, status, cmp.Diff(documented, body))
				}
			}
			list, _ := runCommand(t, 0, "token", "list")
			if !regexp.MustCompile(`^ID +USER +CREATED +EXPIRES +LABEL\n1 +sara +\S+Z +\S+Z +CI\n$`).MatchString(list) {
				t.Errorf("listed %s", list)
			}
			runCommand(t, 0, "token", "revoke", "1")
			checkFails(t, "the token 1 does not exist", "token", "revoke", "1")
			if code := server.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestServeMigratesIfAsked(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", dbtest.EmptyPostgres(t))
	if status, body := startServer(t, "--migrate").get("/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %s", status, body)
	}
}

func TestTokenImport(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dsn := dsn(t)
			t.Setenv("DATABASE_URL", dsn)
			runCommand(t, 0, "user", "create", "sara", "--admin")
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
				if stdout, _ := runCommand(t, 0, "token", "import", file(c.content)); stdout != c.want {
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
				_, stderr := runCommand(t, 1, "token", "import", file(content))
				if stderr != "portfolio: "+want+"; nothing was imported\n" {
					t.Errorf("%q: said %q", content, stderr)
				}
			}
			runCommand(t, 1, "token", "import", "no such file")
			server := startServer(t)
			for key, want := range map[string]int{"old-key": 404, `other"key`: 404, "new-key": 404, "fine": 401} {
				if status, body := server.get("/api/portfolios/1/links/4", "Authorization: Token "+key); status != want {
					t.Errorf("%s: %d %s", key, status, body)
				}
			}
		})
	}
}

// TestStartRefuses checks that invalid settings end the server with exit code 1
// and one line of error.
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
		{[]string{"--database-url=postgres://me:secret@127.0.0.1:1/x"}, "portfolio: DATABASE_URL: the database is unavailable"},
		{[]string{"--database-url=mysql://me:secret@h/x"}, "portfolio: DATABASE_URL: not postgres://... or sqlite:PATH"},
		{[]string{"--media-store=ftp://x"}, "portfolio: MEDIA_STORE: not file:PATH"},
		{[]string{"--media-url=cdn.example"}, "portfolio: MEDIA_URL: not an absolute http or https URL"},
		{[]string{"--playground=maybe"}, "portfolio: --playground must be one of \"on\",\"off\" but got \"maybe\""},
		{[]string{"--trusted-proxies=proxy.example"}, "portfolio: TRUSTED_PROXIES: \"proxy.example\" is neither an address nor a network"},
		{[]string{"--persisted-documents=none.json"}, "portfolio: PERSISTED_DOCUMENTS: stat none.json: no such file or directory"},
		{[]string{"--only-persisted"}, "portfolio: --only-persisted: needs PERSISTED_DOCUMENTS"},
		{[]string{"--max-concurrent=0"}, "portfolio: MAX_CONCURRENT: must be positive"},
		{[]string{"--max-tokens=0"}, "portfolio: MAX_TOKENS: must be positive"},
		{[]string{"--stall-timeout=-1s"}, "portfolio: STALL_TIMEOUT: must be positive"},
		{[]string{"--introspection=maybe"}, "portfolio: --introspection must be one of \"on\",\"authenticated\",\"off\" but got \"maybe\""},
		{[]string{"--max-depth=deep"}, "portfolio: --max-depth: "},
		{[]string{"--no-such-flag"}, "portfolio: unknown flag --no-such-flag"},
		{[]string{"nonsense"}, "portfolio: unexpected argument nonsense"},
	} {
		args := append([]string{"serve", "--database-url=" + sqlite}, c.args...)
		_, stderr := runCommand(t, 1, args...)
		if line, rest, _ := strings.Cut(stderr, "\n"); !strings.HasPrefix(line, c.want) || rest != "" || strings.Contains(stderr, "secret") {
			t.Errorf("%q said %q", c.args, stderr)
		}
	}
	if stdout, _ := runCommand(t, 0, "--help"); !strings.Contains(stdout, "token create") || !strings.Contains(stdout, "$DATABASE_URL") {
		t.Errorf("--help printed %s", stdout)
	}
}
