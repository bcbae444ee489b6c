package system

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

// TestServe_GivesNamedDatabaseNoDemo sets up a database as an operator does: migrations, users,
// tokens, rows by plain SQL. It gets no demo.
func TestServe_GivesNamedDatabaseNoDemo(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			on := database(dsn)
			if name == "postgres" {
				checkFails(t, "the database's schema is behind: run \"portfolio migrate\" first", "serve", "--addr=127.0.0.1:0", on.flag())
			}
			for _, want := range []string{"Applied 20261123000000_portfolio.\nApplied 20261124000000_search.\nApplied 20261125000000_editing.\nApplied 20261126000000_feed.\nApplied 20261128000000_moved.\nApplied 20261130000000_change_feed.\nApplied 20261201000000_times.\n", ""} {
				if stdout, _ := on.run(t, 0, "migrate"); stdout != want+"The schema is up to date.\n" {
					t.Errorf("printed %q", stdout)
				}
			}
			on.run(t, 0, "user", "create", "sara", "--staff", "--permission", "4242", "--permission", "7")
			checkFails(t, `the user "sara" already exists`, "user", "create", "sara", on.flag())
			key, _ := on.run(t, 0, "token", "create", "sara", "--label", "CI", "--expires", "720h")
			if !regexp.MustCompile(`^[0-9a-f]{40}\n$`).MatchString(key) {
				t.Errorf("printed %q", key)
			}
			authorization := "Authorization: Token " + strings.TrimSpace(key)
			insertDocumented(t, dsn)
			server := startServer(t, on.flag())
			if strings.Contains(server.Output, "curl") {
				t.Errorf("a demo in %s", server.Output)
			}
			for _, path := range []string{"/api/portfolios/1/links/4", "/api/portfolios/links/4"} {
				if status, body := server.get(path, authorization); status != http.StatusOK || body != documented {
					t.Errorf("%s: %d %s", path, status, cmp.Diff(documented, body))
				}
			}
			list, _ := on.run(t, 0, "token", "list")
			if !regexp.MustCompile(`^ID +USER +CREATED +EXPIRES +LABEL\n1 +sara +\S+Z +\S+Z +CI\n$`).MatchString(list) {
				t.Errorf("listed %s", list)
			}
			on.run(t, 0, "token", "revoke", "1")
			checkFails(t, "the token 1 does not exist", "token", "revoke", "1", on.flag())
			if code := server.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestServe_RefusesNewerSchema checks that an older version refuses a database that a newer one
// has migrated, and that a server which runs already stays ready.
func TestServe_RefusesNewerSchema(t *testing.T) {
	t.Parallel()
	const newer = "the database's schema is newer than this version: it has the migration 20270101000000, 20270102000000"
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		server := startServer(t, "--database-url="+dsn)
		dbtest.Exec(t, dsn, "INSERT INTO bun_migrations (name, group_id) VALUES ('20270102000000', 9), ('20270101000000', 9)")
		for _, command := range []string{"serve", "serve --migrate", "migrate", "token list"} {
			checkFails(t, newer, append(strings.Fields(command), "--database-url="+dsn)...)
		}
		if stdout, _ := database(dsn).run(t, 1, "check"); !strings.Contains(stdout, "failed  database: "+newer+"\n") {
			t.Errorf("check printed %s", stdout)
		}
		if status, body := server.get("/readyz"); status != http.StatusOK {
			t.Errorf("/readyz: %d %s", status, body)
		}
	})
}

func TestServe_MigratesIfAsked(t *testing.T) {
	t.Parallel()
	if status, body := startServer(t, "--migrate", "--database-url="+dbtest.EmptyPostgres(t)).get("/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %s", status, body)
	}
}

// TestTokenImport_ReportsEachLine writes keys short: each letter k stands for 32 characters.
func TestTokenImport_ReportsEachLine(t *testing.T) {
	t.Parallel()
	long := func(text string) string { return strings.ReplaceAll(text, "k", strings.Repeat("k", 32)) }
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		on := database(dsn)
		on.run(t, 0, "user", "create", "sara", "--admin")
		file := func(content string) string {
			name := filepath.Join(t.TempDir(), "tokens.csv")
			if err := os.WriteFile(name, []byte(long(content)), 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		for _, c := range []struct{ content, want string }{
			{"", "Imported 0 tokens; 0 already existed.\n"},
			{"\ufeffk-old,sara\r\n\"k\"\"other\",\"sara\"\n", "Imported 2 tokens; 0 already existed.\n"},
			{"k-old,sara\nk-new,sara\nk-new,sara\n", "Imported 1 tokens; 2 already existed.\n"},
		} {
			if stdout, _ := on.run(t, 0, "token", "import", file(c.content)); stdout != c.want {
				t.Errorf("%q: printed %q", c.content, stdout)
			}
		}
		for content, want := range map[string]string{
			"k-fine,sara\nbad\n":              "line 2: not key,username",
			"k-fine,sara\n\n,sara\n":          "line 3: not key,username",
			"k-fine,sara\nk,\n":               "line 2: not key,username",
			"k-fine,sara\nk b,sara\n":         "line 2: not key,username",
			"k-fine,sara\n\xff,sara\n":        "line 2: not key,username",
			"k-fine,sara\nk,sara,x\n":         "line 2: not key,username",
			"k-fine,sara\nk\"b,sara\n":        "line 2: bare \" in non-quoted-field",
			"k-fine,sara\nk,nobody\n":         `line 2: there is no user "nobody"`,
			"k-fine,sara\n\n\nk,nobody\n":     `line 4: there is no user "nobody"`,
			"k-fine,sara\nshort,sara\n":       "line 2: the key has fewer than 32 characters",
			strings.Repeat("é", 31) + ",sara": "line 1: the key has fewer than 32 characters",
		} {
			_, stderr := on.run(t, 1, "token", "import", file(content))
			if stderr != "portfolio: "+want+"; nothing was imported\n" {
				t.Errorf("%q: said %q", content, stderr)
			}
		}
		on.run(t, 1, "token", "import", "no such file")
		server := startServer(t, on.flag())
		for key, want := range map[string]int{"k-old": 404, `k"other`: 404, "k-new": 404, "k-fine": 401} {
			if status, body := server.get("/api/portfolios/1/links/4", "Authorization: Token "+long(key)); status != want {
				t.Errorf("%s: %d %s", key, status, body)
			}
		}
	})
}

// userCommands are run one after the other. In the output CREATED is the time.
var userCommands = []struct {
	args string // separated by |
	want string // error if it begins with "portfolio: "
}{
	{"user|list", "ID  USER  ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n"},
	{"user|create|", "portfolio: NAME: must not be blank\n"},
	{"user|create| \t", "portfolio: NAME: must not be blank\n"},
	{"user|create|" + strings.Repeat("x", 151), "portfolio: NAME: must have at most 150 characters\n"},
	{"user|create|a\x00b", "portfolio: NAME: must be valid UTF-8 without NUL\n"},
	{"user|create|sara|--permission|4242", "portfolio: --permission: needs --staff\n"},
	{"user|create|sara|--staff|--permission|99999999999", "portfolio: --permission: expected a valid 32 bit int but got \"99999999999\"\n"},
	{"user|create| sara |--staff|--permission|4242|--permission|7", "Created user 1, sara.\n"},
	{"user|create|omid|--admin", "Created user 2, omid.\n"},
	{"user|create|a\x1b[31mb", "Created user 3, \"a\\x1b[31mb\".\n"},
	{"user|create|sara", "portfolio: the user \"sara\" already exists\n"},
	{"user|list", "ID  USER           ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n" +
		"1   sara           yes     yes    no     7,4242       CREATED\n" +
		"2   omid           yes     no     yes    -            CREATED\n" +
		"3   \"a\\x1b[31mb\"  yes     no     no     -            CREATED\n"},
	{"user|set|sara", "portfolio: nothing to change: give --[no-]active, --[no-]staff, --[no-]admin, --permission or --no-permission\n"},
	{"user|set|nobody|--staff", "portfolio: the user \"nobody\" does not exist\n"},
	{"user|set|omid|--permission|7", "portfolio: --permission: needs --staff\n"},
	{"user|set|sara|--no-staff|--permission|7", "portfolio: --permission: needs --staff\n"},
	{"user|set|sara|--permission|7|--no-permission", "portfolio: --permission and --no-permission can't be used together\n"},
	{"user|set|omid|--no-admin", "portfolio: the user \"omid\" is the last active admin: create another admin first\n"},
	{"user|set|omid|--no-active", "portfolio: the user \"omid\" is the last active admin: create another admin first\n"},
	{"user|delete|omid", "portfolio: the user \"omid\" is the last active admin: create another admin first\n"},
	{"user|set|sara|--admin|--permission|4242|--permission|9", "ID  USER  ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n1   sara  yes     yes    yes    9,4242       CREATED\n"},
	{"user|set|omid|--no-active", "ID  USER  ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n2   omid  no      no     yes    -            CREATED\n"},
	{"user|set|sara|--no-permission|--no-staff", "ID  USER  ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n1   sara  yes     no     yes    -            CREATED\n"},
	{"user|delete|sara", "portfolio: the user \"sara\" is the last active admin: create another admin first\n"},
	{"user|set|omid|--active|--staff", "ID  USER  ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n2   omid  yes     yes    yes    -            CREATED\n"},
	{"token|create|nobody", "portfolio: the user \"nobody\" does not exist\n"},
	{"token|create|sara|--expires|0s", "portfolio: --expires: must be positive\n"},
	{"token|create|sara|--expires=-1s", "portfolio: --expires: must be positive\n"},
	{"token|create|sara|--label|" + strings.Repeat("x", 256), "portfolio: --label: must have at most 255 characters\n"},
	{"token|create|sara|--label|a\tb", "KEY\n"},
	{"token|list", "ID  USER  CREATED  EXPIRES  LABEL\n1   sara  CREATED  -        \"a\\tb\"\n"},
	{"user|delete|sara", "Deleted user 1, sara, and 1 tokens.\n"},
	{"user|delete|sara", "portfolio: the user \"sara\" does not exist\n"},
	{"token|list", "ID  USER  CREATED  EXPIRES  LABEL\n"},
	{"user|list", "ID  USER           ACTIVE  STAFF  ADMIN  PERMISSIONS  CREATED\n" +
		"2   omid           yes     yes    yes    -            CREATED\n" +
		"3   \"a\\x1b[31mb\"  yes     no     no     -            CREATED\n"},
}

func TestUsers_AreManagedByCommands(t *testing.T) {
	t.Parallel()
	spaces := regexp.MustCompile(` {2,}`)
	replace := func(text string) string {
		text = regexp.MustCompile(`\b\d{4}-\S+Z\b`).ReplaceAllString(text, "CREATED")
		text = regexp.MustCompile(`(?m)^[0-9a-f]{40}$`).ReplaceAllString(text, "KEY")
		return spaces.ReplaceAllString(text, "  ") // the width of a time differs from the width of its name
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		for _, c := range userCommands {
			code := 0
			if strings.HasPrefix(c.want, "portfolio: ") {
				code = 1
			}
			stdout, stderr := database(dsn).run(t, code, strings.Split(c.args, "|")...)
			stderr = regexp.MustCompile(`(?m)^\{.*"msg":"audit".*\n`).ReplaceAllString(stderr, "")
			if diff := cmp.Diff(spaces.ReplaceAllString(c.want, "  "), replace(stdout+stderr)); diff != "" {
				t.Errorf("%q: %s", c.args, diff)
			}
		}
	})
}
