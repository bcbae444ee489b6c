package main

import (
	"fmt"
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
			for _, want := range []string{"Applied 20261123000000_portfolio.\nApplied 20261124000000_search.\nApplied 20261125000000_editing.\n", ""} {
				if stdout, _ := runCommand(t, 0, "migrate"); stdout != want+"The schema is up to date.\n" {
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

// TestNewerSchema checks that an older version refuses a database that a newer one
// has migrated, and that a server which runs already stays ready.
func TestNewerSchema(t *testing.T) {
	const newer = "the database's schema is newer than this version: it has the migration 20270101000000, 20270102000000"
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		t.Setenv("DATABASE_URL", dsn)
		server := startServer(t)
		dbtest.Exec(t, dsn, "INSERT INTO bun_migrations (name, group_id) VALUES ('20270102000000', 9), ('20270101000000', 9)")
		for _, command := range []string{"serve", "serve --migrate", "migrate", "token list"} {
			checkFails(t, newer, strings.Fields(command)...)
		}
		if stdout, _ := runCommand(t, 1, "check"); !strings.Contains(stdout, "failed  database: "+newer+"\n") {
			t.Errorf("check printed %s", stdout)
		}
		if status, body := server.get("/readyz"); status != http.StatusOK {
			t.Errorf("/readyz: %d %s", status, body)
		}
	})
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
