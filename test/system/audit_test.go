package system

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
)

// auditLines returns the audit records of a log without their times, and without
// the IDs that the server and the databases made.
func auditLines(logs string) string {
	var lines strings.Builder
	for line := range strings.Lines(logs) {
		if strings.Contains(line, `"msg":"audit"`) {
			lines.WriteString(line)
		}
	}
	text := regexp.MustCompile(`"time":"[^"]+",|,"request_id":"[0-9a-f]{16}"`).ReplaceAllString(lines.String(), "")
	text = regexp.MustCompile(`("action":"(?:create|upload|user create).*"objects":\["\w+:)\d+`).ReplaceAllString(text, "${1}N")
	return regexp.MustCompile(`(:N","\w+:)\d+`).ReplaceAllString(text, "${1}N")
}

var auditedMutations = []string{
	`createPortfolio(input: {name: "secret"}) { portfolio { id } }`,
	`updatePortfolio(input: {id: 3, name: "secret"}) { portfolio { id } }`,
	`a: createPortfolioLink(input: {portfolioId: 1, name: "secret"}) { portfolioLink { id } } b: deletePortfolioLink(input: {id: 10}) { deletedNodeId }`,
	`createPortfolioLinks(input: {links: [{portfolioId: 1, name: "secret"}, {portfolioId: 1, name: "secret"}]}) { portfolioLinks { id } }`,
	`movePortfolioLink(input: {id: 11, beforeId: 12}) { portfolioLink { id } }`,
	`updatePortfolioLink(input: {id: "UG9ydGZvbGlvTGluazo0", description: "secret"}) { portfolioLink { id } }`,
	`deletePortfolio(input: {id: 2}) { portfolio { id } }`,
	`createUser(input: {username: "sara"}) { user { id } }`,
	`setUserPermissions(input: {username: "sara", isStaff: true}) { user { id } }`,
	`createToken(input: {username: "sara", label: "secret"}) { key }`,
	`revokeToken(input: {id: 2}) { token { id } }`,
	`deleteImage(input: {id: 11, force: true}) { deletedNodeId }`,
	`updateImage(input: {id: 6, alt: "secret"}) { image { id } }`,
	// These change nothing.
	`updatePortfolio(input: {id: 987654, name: "secret"}) { portfolio { id } }`,
	`updatePortfolio(input: {id: 1, expectedUpdatedAt: "2001-01-01T00:00:00Z"}) { portfolio { id } }`,
	`createUser(input: {username: "sara"}) { user { id } }`,
	`createPortfolio(input: {name: ""}) { portfolio { id } }`,
}

// TestAudit_RecordsEachChange checks the record of each mutation, also at a level that hides the
// request log.
func TestAudit_RecordsEachChange(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, key := startRecorded(t, dsn, "--log-level=error", "--request-timeout=2s")
		header := http.Header{"Authorization": {"Token " + key}, "Content-Type": {"application/json"}, "X-Request-Id": {"sent"}}
		for _, mutation := range auditedMutations {
			if status, _, body := server.send("POST", "/graphql", header, strings.NewReader(fmt.Sprintf(`{"query":%q}`, "mutation { "+mutation+" }"))); status != http.StatusOK {
				t.Errorf("%s: %d %s", mutation, status, body)
			}
		}
		if status, body := server.upload(key, photograph(t, 30, 20)); status != http.StatusOK || strings.Contains(body, "errors") {
			t.Errorf("%d %s", status, body)
		}
		server.post(graphtest.Staff, `mutation { createPortfolio(input: {name: "secret"}) { portfolio { id } } }`, nil)

		release := dbtest.Lock(t, dsn, "portfolios")
		server.post(key, `mutation { updatePortfolio(input: {id: 1, name: "secret"}) { portfolio { id } } }`, nil)
		release()
		server.stop()
		golden.CheckText(t, "records", auditLines(server.logs.String()))
	})
	if t.Failed() {
		return
	}
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: graph.SDL()})
	for _, field := range schema.Mutation.Fields {
		if !strings.Contains(golden.Text("records"), `"action":"`+field.Name+`","outcome":"ok"`) {
			t.Errorf("%s has no record", field.Name)
		}
	}
}

// TestAudit_RecordsManyObjects checks that a change of many objects is several records.
func TestAudit_RecordsManyObjects(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	key := newKey(t, dsn)
	dbtest.Exec(t, dsn, "UPDATE users SET is_admin = true")
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'large')")
	exec := dbtest.Session(t, dsn)
	for i := range 150 {
		exec(fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (%d, 1, 'link')", i+1))
	}
	server := startServer(t, "--database-url="+dsn)
	if _, _, body := server.post(key, `mutation { deletePortfolio(input: {id: 1}) { deletedLinkCount } }`, nil); !strings.Contains(body, "150") {
		t.Error(body)
	}
	server.stop()
	lines := strings.Split(auditLines(server.logs.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `["Portfolio:1","PortfolioLink:1",`) || !strings.HasSuffix(lines[1], `,"PortfolioLink:150"]}`) {
		t.Errorf("logged %s", lines)
	}
}

// writeFile creates a file and its directory.
func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestAudit_RecordsCommands checks the records of commands that change something.
func TestAudit_RecordsCommands(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		t.Setenv("DATABASE_URL", dsn)
		tokens, one, two := strings.Repeat("k", 32), photograph(t, 30, 20), photograph(t, 20, 30)
		for name, content := range map[string]string{
			"tokens.csv": tokens + "1,sara\n" + tokens + "2,sara\n", "bad.csv": tokens + "3,nobody\n",
			"one.jpg": string(one), "two.jpg": string(two), "media/orphan.txt": "orphan",
		} {
			writeFile(t, name, content)
		}
		var logs strings.Builder
		for _, c := range []struct {
			args string
			code int
		}{
			{"user create sara", 0},
			{"user create sara", 1},
			{"user create omid --admin --log-level=error", 0},
			{"user set sara --staff", 0},
			{"user set nobody --staff", 1},
			{"token create omid", 0},
			{"token create nobody", 1},
			{"token revoke 1", 0},
			{"token revoke 1", 1},
			{"token import tokens.csv", 0},
			{"token import tokens.csv", 0},
			{"token import bad.csv", 1},
			{"images create one.jpg --media-store=file:media", 0},
			{"images create one.jpg two.jpg --media-store=file:media", 0},
			{"media sweep --media-store=file:media --grace=0s", 0},
			{"media sweep --media-store=file:media --grace=0s --delete", 0},
			{"user list", 0},
			{"token list", 0},
			{"user delete sara", 0},
			{"user delete omid", 1},
		} {
			_, stderr := runCommand(t, c.code, strings.Fields(c.args)...)
			logs.WriteString("$ " + c.args + "\n" + auditLines(stderr))
			if c.args == "images create one.jpg two.jpg --media-store=file:media" {
				files, err := filepath.Glob("media/core_media/*/*/*/two*.jpg")
				if err != nil || len(files) != 1 || os.Remove(files[0]) != nil {
					t.Fatal(files, err)
				}
			}
		}
		if strings.HasPrefix(dsn, "sqlite:") {
			runCommand(t, 0, "backup", "--media-store=file:media", "backup.tar")
			_, stderr := runCommand(t, 0, "restore", "--media-store=file:media", "--force", "backup.tar")
			if want := `"action":"restore","outcome":"ok","actor":"cli"`; !strings.Contains(auditLines(stderr), want) {
				t.Errorf("restore logged %s", stderr)
			}
		}
		account, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		golden.CheckText(t, "records", strings.ReplaceAll(logs.String(), fmt.Sprintf(`"username":%q`, account.Username), `"username":"SYSTEM USER"`))
	})
}
