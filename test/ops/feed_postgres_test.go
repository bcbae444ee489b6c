//go:build ops

package ops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portfolio/db/dbtest"
)

// feedPostgres is a PostgreSQL server and a spare one, behind proxies. The second of the two
// servers has a CHANGE_FEED_URL.
type feedPostgres struct {
	*feedTest
	current, spare *dbtest.Cluster
	sessions       map[*dbtest.Cluster]*sql.DB
	pools, feed    *dbtest.Proxy
}

func startFeedPostgres(t *testing.T, limits ages) *feedPostgres {
	t.Helper()
	p := &feedPostgres{feedTest: newFeedTest(t, limits), current: dbtest.NewCluster(t), sessions: map[*dbtest.Cluster]*sql.DB{}}
	p.blob = `'\x%x'`
	p.exec = func(statements ...string) { p.execAt(p.current, statements...) }
	p.key = prepare(t, p.current.URL())
	p.connect(p.current)
	p.exec(append(p.insertLinks(), p.insertUsers(p.users)...)...)
	p.exec(
		"CREATE ROLE stranger LOGIN",
		"CREATE ROLE writer LOGIN",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer",
		"CREATE SCHEMA trap",
		"CREATE FUNCTION trap.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''",
		"GRANT USAGE ON SCHEMA trap TO writer",
	)
	p.current.Exec("ALTER SYSTEM SET wal_level = logical")
	p.spare = p.current.Clone()
	p.connect(p.spare)
	var pools, feed string
	p.pools, pools = dbtest.NewProxy(t, p.current.URL())
	p.feed, feed = dbtest.NewProxy(t, p.current.URL())
	const chosen = "&target_session_attrs=read-write"
	p.servers = []*server{
		newServer(t, pools+chosen, limits.settings...),
		newServer(t, pools+chosen, append(limits.settings, "CHANGE_FEED_URL="+feed+chosen)...),
	}
	return p
}

// connect opens sessions of the test.
func (p *feedPostgres) connect(cluster *dbtest.Cluster) {
	p.t.Helper()
	p.sessions[cluster] = openSQL(p.t, cluster.URL()+"&application_name=test")
}

// execAt commits statements in one transaction. It tries again if readers cause a deadlock.
func (p *feedPostgres) execAt(cluster *dbtest.Cluster, statements ...string) {
	p.t.Helper()
	var err error
	for range 5 {
		if err = p.tryExec(cluster, statements); err == nil || !strings.Contains(err.Error(), "deadlock") {
			break
		}
	}
	if err != nil {
		p.t.Errorf("%.200q: %v", statements, err)
	}
}

func (p *feedPostgres) tryExec(cluster *dbtest.Cluster, statements []string) error {
	ctx := context.WithoutCancel(p.t.Context())
	tx, err := p.sessions[cluster].BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// query returns the first column of the rows of a query.
func (p *feedPostgres) query(cluster *dbtest.Cluster, text string) (values []string) {
	p.t.Helper()
	rows, err := p.sessions[cluster].QueryContext(p.t.Context(), text)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			p.t.Fatal(err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return values
}

// commit runs the statements of a change.
func (p *feedPostgres) commit(_ int64, statements []string) { p.exec(statements...) }

// withoutWriters calls do while no writer has a lock.
func (p *feedPostgres) withoutWriters(do func()) {
	p.gate.Lock()
	defer p.gate.Unlock()
	do()
}

// feedTables is the list of tables that responses depend on.
const feedTables = "'users', 'user_permissions', 'tokens', 'portfolios', 'portfolio_links', 'images', 'thumbnails'"

// triggers are statements that create triggers, enable them as they are, and create, empty
// and drop their functions.
type triggers struct{ define, enable, functions, silence, drop []string }

// triggers returns the statements for the triggers of a list of tables.
func (p *feedPostgres) triggers(list string) (all triggers) {
	p.t.Helper()
	where := " FROM pg_trigger JOIN pg_proc AS p ON p.oid = tgfoid WHERE NOT tgisinternal AND tgrelid::regclass::text IN (" + list + ")"
	all.define = p.query(p.current, "SELECT pg_get_triggerdef(pg_trigger.oid)"+where)
	all.enable = p.query(p.current, `SELECT format('ALTER TABLE %s %s TRIGGER %I', tgrelid::regclass,
		CASE tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'D' THEN 'DISABLE' ELSE 'ENABLE' END, tgname)`+where)
	all.functions = p.query(p.current, "SELECT DISTINCT pg_get_functiondef(p.oid)"+where)
	all.silence = p.query(p.current, `SELECT DISTINCT format('CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END''', p.oid::regprocedure)`+where)
	all.drop = p.query(p.current, "SELECT DISTINCT format('DROP FUNCTION %s CASCADE', p.oid::regprocedure)"+where)
	return all
}

// reload restores a dump of the source. It tries again if readers cause a deadlock.
func (p *feedPostgres) reload(destination, source *dbtest.Cluster, options ...string) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "dump")
	p.client("pg_dump", "--format=custom", "--file="+file, source.URL())
	args := append([]string{"--clean", "--if-exists", "--no-owner", "--exit-on-error", "--dbname=" + destination.URL()}, options...)
	var problem string
	for range 5 {
		if problem = p.tryClient("pg_restore", append(args, file)...); !strings.Contains(problem, "deadlock") {
			break
		}
	}
	if problem != "" {
		p.t.Fatal(problem)
	}
}

// client runs a client program of PostgreSQL.
func (p *feedPostgres) client(name string, args ...string) {
	p.t.Helper()
	if problem := p.tryClient(name, args...); problem != "" {
		p.t.Fatal(problem)
	}
}

func (p *feedPostgres) tryClient(name string, args ...string) (problem string) {
	p.t.Helper()
	directory, err := dbtest.Programs()
	if err != nil {
		p.t.Fatal(err)
	}
	output, err := exec.CommandContext(p.t.Context(), filepath.Join(directory, name), args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s: %v: %s", name, err, output)
	}
	return ""
}

// listeners returns the processes of the current server that serve the feed.
func (p *feedPostgres) listeners() (pids []int) {
	p.t.Helper()
	waitFor(p.t, "listener", func() bool {
		pids = nil
		for _, text := range p.query(p.current, "SELECT pid"+listenerSessions+" ORDER BY pid") {
			pid := 0
			if _, err := fmt.Sscan(text, &pid); err != nil {
				p.t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return len(pids) == len(p.servers)
	})
	return pids
}

const listenerSessions = " FROM pg_stat_activity WHERE application_name ILIKE 'portfolio%feed'"

// terminateListeners ends the sessions of the feed, twice before the last change.
func (p *feedPostgres) terminateListeners() (undo func()) {
	for range 2 {
		p.listeners()
		p.query(p.current, "SELECT pg_terminate_backend(pid)"+listenerSessions)
		p.revoke(contentAndRights, p.commit)
		p.sweep()
		p.grant()
	}
	p.revoke(contentAndRights, p.commit)
	return func() {}
}

// stopListeners suspends the sessions of the feed. Their connections stay open.
func (p *feedPostgres) stopListeners() (undo func()) {
	pids := p.listeners()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	p.revoke(contentAndRights, p.commit)
	return func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
}

// flood sends notifications as a role that may only connect. They must not end the sessions
// of the feed. A busy machine may end some, so it tries a few times.
func (p *feedPostgres) flood() (undo func()) {
	stranger := openSQL(p.t, strings.Replace(p.current.URL(), "user=postgres", "user=stranger", 1)+"&application_name=test")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			if _, err := stranger.ExecContext(context.WithoutCancel(p.t.Context()), "SELECT pg_notify('portfolio_changes', $1)", payloads[i%len(payloads)]); err != nil {
				p.t.Errorf("notification: %v", err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	survived := false
	for range 5 {
		pids := p.listeners()
		p.sweepUntil(time.Now().Add(checkInterval))
		survived = survived || slices.Equal(pids, p.listeners())
		if survived {
			break
		}
	}
	if !survived {
		p.t.Error("notifications of a stranger end the sessions of the feed")
	}
	p.warm()
	p.revoke(contentAndRights, p.commit)
	return func() { close(stop); <-stopped }
}

// payloads are notifications of a stranger who knows the code.
var payloads = []string{"off", "", "u", "off", "*", "p", "off", "p x", "i 1 99999999999999999999", "off", "n", "off off"}
