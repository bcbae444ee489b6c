package system

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
)

// TestCache_ServesNoSlowReadAfterCommit holds the reply to a read back while what it read is changed: it must
// not be served to a later request.
func TestCache_ServesNoSlowReadAfterCommit(t *testing.T) {
	t.Parallel()
	const graphql, list = `{portfolioLink(id:4){name}}`, `{portfolioLinks(portfolioId:1,first:1){nodes{name}}}`
	for _, c := range []struct{ name, path, token, read, statement, want string }{
		{"REST", linkPath, adminToken, "portfolio_links", "UPDATE portfolio_links SET name = 'new' WHERE id = 4", `"name":"new"`},
		{"GraphQL", graphqlPath(graphql), adminToken, "portfolio_links", "UPDATE portfolio_links SET name = 'new' WHERE id = 4", `"name":"new"`},
		{"list", graphqlPath(list), adminToken, "portfolio_links", "UPDATE portfolio_links SET name = 'new' WHERE portfolio_id = 1", `"name":"new"`},
		{"missing link", "/api/portfolios/links/987654", adminToken, "portfolio_links", "INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (987654, 1, 'new')", `"name":"new"`},
		{"viewer", linkPath, staffToken, "tokens", "DELETE FROM user_permissions WHERE user_id = 3", "You do not have permission"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dsn := dbtest.LoadedPostgres(t, recorded)
			line, through := dbtest.NewProxy(t, dsn)
			server := startServer(t, "--database-url="+through, "--admin-addr=127.0.0.1:0", "--change-feed-url="+dsn)
			server.awaitCache("/api/portfolios/links/10", adminToken)
			server.get(c.path, adminToken) // the first sight of the key
			began := databaseTime(t, dsn)
			release := line.HoldReplies()
			done := make(chan struct{})
			go func() {
				defer close(done)
				server.get(c.path, c.token) // may get either
			}()
			awaitRead(t, dsn, c.read, began)
			dbtest.Exec(t, dsn, c.statement)
			release()
			<-done
			for range 3 {
				if _, body := server.get(c.path, c.token); !strings.Contains(body, c.want) {
					t.Errorf("later: %s", body)
				}
			}
		})
	}
}

// heldBack are requests whose sender is in memory, and what changes before they come.
var heldBack = []struct {
	name, change, undo string
	token, path, query string // a query is sent over GraphQL
	status             int
	body               string // a part
}{
	{"stored response", "UPDATE portfolio_links SET name = 'new' WHERE id = 4", "", staffToken, linkPath, "", 200, `"name":"new"`},
	{"REST, withdrawn", forbidStaff, permitStaff, staffToken, linkPath + "?1", "", 403, "You do not have permission"},
	{"REST, revoked", expireStaff, restoreStaff, staffToken, linkPath + "?2", "", 401, "Invalid token."},
	{"REST, permitted", permitNone, forbidNone, noneToken, linkPath + "?3", "", 200, `"id":4`},
	{"REST, unrelated", "INSERT INTO users (id, username) VALUES (987, 'a')", "", staffToken, linkPath + "?4", "", 200, `"id":4`},
	{"withdrawn", forbidStaff, permitStaff, staffToken, "", `{a:portfolioLink(id:4){name}}`, 200, "FORBIDDEN"},
	{"revoked", expireStaff, restoreStaff, staffToken, "", `{b:portfolioLink(id:4){name}}`, 401, "UNAUTHENTICATED"},
	{"permitted", permitNone, forbidNone, noneToken, "", `{c:portfolioLink(id:4){name}}`, 200, `{"data":{"c":{"name":`},
	{"unrelated", "INSERT INTO users (id, username) VALUES (988, 'b')", "", staffToken, "", `{d:portfolioLink(id:4){name}}`, 200, `{"data":{"d":{"name":`},
	{"mutation", "UPDATE users SET is_admin = false WHERE id = 1", "UPDATE users SET is_admin = true WHERE id = 1", adminToken, "", `mutation{deletePortfolioLink(input:{id:4}){portfolioLink{id}}}`, 200, "FORBIDDEN"},
	{"malformed", expireStaff, restoreStaff, staffToken, "", "{", 401, "UNAUTHENTICATED"},
}

// TestCache_WaitsForSlowNotifications holds back what proves that a viewer and responses in memory are
// current, while they change: a request that comes later must not be served by them.
func TestCache_WaitsForSlowNotifications(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, recorded)
	line, through := dbtest.NewProxy(t, dsn)
	server := startServer(t, "--database-url="+dsn, "--admin-addr=127.0.0.1:0", "--change-feed-url="+through)
	for _, c := range heldBack {
		t.Run(c.name, func(t *testing.T) {
			server.awaitCache(linkPath, staffToken)
			server.get(linkPath, c.token)
			hits := server.hits("viewers")
			release := line.HoldReplies()
			dbtest.Exec(t, dsn, c.change)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var status int
				var body string
				if c.query != "" {
					status, _, body = server.post(strings.TrimPrefix(c.token, "Authorization: Token "), c.query, nil)
				} else {
					status, body = server.get(c.path, c.token)
				}
				if status != c.status || !strings.Contains(body, c.body) {
					t.Errorf("%d %s", status, body)
				}
			}()
			for server.hits("viewers") == hits {
				continue
			}
			release()
			<-done
			if c.undo != "" {
				dbtest.Exec(t, dsn, c.undo)
			}
		})
	}
	if status, body := server.get(linkPath, adminToken); status != http.StatusOK {
		t.Errorf("the mutation was executed: %s", body)
	}
}

func databaseTime(t *testing.T, dsn string) (now time.Time) {
	t.Helper()
	query(t, dsn, "SELECT clock_timestamp()", &now)
	return now
}

// awaitRead waits until a session has executed a statement that reads a table, though its
// client may not have the result.
func awaitRead(t *testing.T, dsn, table string, began time.Time) {
	t.Helper()
	for read := 0; read == 0; {
		query(t, dsn, fmt.Sprintf(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
			AND query LIKE 'SELECT%%%s%%' AND query NOT LIKE '%%pg_stat_activity%%' AND query_start > '%s'`, table, began.Format(time.RFC3339Nano)), &read)
	}
}

// query reads one value.
func query(t *testing.T, dsn, statement string, into any) {
	t.Helper()
	connections, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connections.Close() }()
	if err := connections.QueryRowContext(t.Context(), statement).Scan(into); err != nil {
		t.Fatal(err)
	}
}

// TestCache_IsOffWhileFeedStalls checks that nothing in memory is trusted while the network of the
// listener forwards nothing, and that the cache is used again afterwards.
func TestCache_IsOffWhileFeedStalls(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, recorded)
	line, through := dbtest.NewProxy(t, dsn)
	server := startServer(t, "--database-url="+dsn, "--admin-addr=127.0.0.1:0", "--change-feed-url="+through)
	for _, name := range []string{"one", "two"} {
		server.awaitCache(linkPath, adminToken)
		server.awaitCache(linkPath, staffToken)
		resume := line.Stall()
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET name = $1 WHERE id = 4", name)
		dbtest.Exec(t, dsn, "DELETE FROM user_permissions WHERE user_id = 3")
		if _, body := server.get(linkPath, adminToken); !strings.Contains(body, `"name":"`+name+`"`) {
			t.Errorf("an old link: %s", body)
		}
		if status, _ := server.get(linkPath, staffToken); status != http.StatusForbidden {
			t.Errorf("without permission: %d", status)
		}
		resume()
		dbtest.Exec(t, dsn, "INSERT INTO user_permissions (user_id, code) VALUES (3, 4242)")
	}
}
