package graphqlhttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// TestMutation_IsNotToBeRetried checks that a response asks clients to try a mutation again
// only if nothing was changed.
func TestMutation_IsNotToBeRetried(t *testing.T) {
	t.Parallel()
	const (
		create = `createPortfolio(input:{name:"new"}){portfolio{name}}`
		update = `updatePortfolioLink(input:{id:4,name:"new"}){portfolioLink{name}}`
		read   = `{portfolioLink(id:4){name}}`

		invalid = `updatePortfolioLink(input:{id:4,name:" ",url:"x"}){portfolioLink{name}}` // two errors
		missing = `updatePortfolioLink(input:{id:99,name:"new"}){portfolioLink{name}}`
	)
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		blockUpdates(t, dsn)
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Timeout = time.Second })
		for _, c := range []struct {
			query  string
			status int
			data   string
		}{
			{"mutation{" + create + update + "}", http.StatusOK, `"data":{"createPortfolio":{"portfolio":{"name":"new"}},"updatePortfolioLink":null}`},
			{"mutation{" + update + "}", http.StatusServiceUnavailable, `"data":{"updatePortfolioLink":null}`},
			{"mutation{a:" + update + "b:" + update + "}", http.StatusServiceUnavailable, `"data":{"a":null,"b":null}`},
			{"mutation{a:" + missing + "b:" + invalid + "c:" + update + "}", http.StatusServiceUnavailable, `"data":{"a":null,"b":null,"c":null}`},
			{"mutation{" + create + "a:" + invalid + "b:" + update + "}", http.StatusOK, `"data":{"createPortfolio":{"portfolio":{"name":"new"}},"a":null,"b":null}`},
		} {
			response, body := graphtest.Query(t, server, admin, c.query, nil)
			retry := response.Header.Get("Retry-After")
			if response.StatusCode != c.status || (retry != "") != (c.status == http.StatusServiceUnavailable) || !strings.Contains(body, c.data) || !strings.Contains(body, `"UNAVAILABLE"`) {
				t.Errorf("%s: %d, Retry-After %q, %s\nwant %d and %s", c.query, response.StatusCode, retry, body, c.status, c.data)
			}
		}
		if response, body := graphtest.Query(t, server, admin, read, nil); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", read, response.StatusCode, body)
		}
	})
}

// blockUpdates makes updates of links fail as unavailable: PostgreSQL reports that, and
// SQLite computes until the request has no time left.
func blockUpdates(t *testing.T, dsn string) {
	t.Helper()
	if strings.HasPrefix(dsn, "postgres") {
		dbtest.Exec(t, dsn, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'stopping' USING ERRCODE = '57P01'; END $$`)
		dbtest.Exec(t, dsn, `CREATE TRIGGER refuse BEFORE UPDATE ON portfolio_links EXECUTE FUNCTION refuse()`)
		return
	}
	dbtest.Exec(t, dsn, `CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n`)
	dbtest.Exec(t, dsn, `CREATE TRIGGER refuse BEFORE UPDATE ON portfolio_links BEGIN SELECT count(*) FROM endless; END`)
}

// TestMutation_OfUnknownOutcomeIsNotToBeRetried interrupts COMMIT. The response asks clients to try again
// only if PostgreSQL has reported a rollback.
func TestMutation_OfUnknownOutcomeIsNotToBeRetried(t *testing.T) {
	t.Parallel()
	const (
		create  = `mutation{createPortfolio(input:{name:"new"}){portfolio{name}}}`
		twice   = `mutation{updatePortfolio(input:{id:99,name:"x"}){portfolio{name}}createPortfolio(input:{name:"new"}){portfolio{name}}}`
		unknown = `"message":"It is not known whether the change was stored. Read the data before you try again."`
		known   = `"message":"The database is unavailable. Try again later."`
	)
	for name, c := range map[string]struct {
		query     string
		atCommit  string // in PL/pgSQL
		interrupt func(proxy *dbtest.Proxy, exec func(string, ...any))
		status    int
		message   string
	}{
		"connection lost": {twice, "PERFORM pg_advisory_xact_lock(7)", func(proxy *dbtest.Proxy, _ func(string, ...any)) { proxy.Disconnect() }, http.StatusOK, unknown},
		"canceled":        {create, "PERFORM pg_advisory_xact_lock(7)", func(*dbtest.Proxy, func(string, ...any)) {}, http.StatusServiceUnavailable, known},
		"backend terminated": {create, "PERFORM pg_advisory_xact_lock(7)", func(_ *dbtest.Proxy, exec func(string, ...any)) {
			exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
		}, http.StatusOK, unknown},
		"rolled back": {create, "RAISE EXCEPTION 'stopping' USING ERRCODE = '57P01'", nil, http.StatusServiceUnavailable, known},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.Postgres(t)
			dbtest.LoadFile(t, dsn, graphtest.Recorded)
			dbtest.Exec(t, dsn, "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "+c.atCommit+"; RETURN NULL; END $$")
			dbtest.Exec(t, dsn, "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON portfolios DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()")
			proxy, proxied := dbtest.NewProxy(t, dsn)
			server := graphtest.Serve(t, dbtest.Open(t, proxied), func(o *graphtest.Options) { o.Timeout = 5 * time.Second })
			if c.interrupt != nil {
				exec := dbtest.Session(t, dsn)
				exec("SELECT pg_advisory_lock(7)")
				var interrupts sync.WaitGroup
				defer interrupts.Wait()
				interrupts.Go(func() {
					exec(awaitCommit)
					c.interrupt(proxy, exec)
				})
			}
			response, body := graphtest.Query(t, server, admin, c.query, nil)
			retry := response.Header.Get("Retry-After")
			if response.StatusCode != c.status || (retry != "") != (c.status == http.StatusServiceUnavailable) || !strings.Contains(body, c.message) {
				t.Errorf("%d, Retry-After %q, %s\nwant %d and %s", response.StatusCode, retry, body, c.status, c.message)
			}
		})
	}
}

// awaitCommit waits until a transaction waits for the advisory lock 7.
const awaitCommit = `DO $$ BEGIN
	WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$`

// TestMutation_IsExecutedOnce checks that a mutation that changes the viewer, who is in
// memory, is not executed again for the changed viewer.
func TestMutation_IsExecutedOnce(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, graphtest.Recorded, func(t *testing.T, server *httptest.Server) {
		for range 2 { // the second time from memory
			graphtest.Query(t, server, admin, `{viewer{username}}`, nil)
		}
		const query = `mutation($staff:Boolean){
			createPortfolio(input:{name:"once"}){portfolio{name}}
			setUserPermissions(input:{username:"admin",isStaff:$staff}){user{isStaff}}}`
		for _, staff := range []bool{true, false, true} {
			if _, body := graphtest.Query(t, server, admin, query, map[string]any{"staff": staff}); strings.Contains(body, "errors") {
				t.Fatal(body)
			}
		}
		const want = `{"data":{"portfolios":{"totalCount":3}}}`
		if _, got := graphtest.Query(t, server, admin, `{portfolios(filter:{name:"once"}){totalCount}}`, nil); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
