//go:build ops

package ops

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portfolio/db/dbtest"
)

// faults returns all faults. The names of faults that hide nothing begin with "plain".
func (p *feedPostgres) faults() []feedFault {
	single := []string{"portfolio_links", "images", "users", "tokens"}
	return []feedFault{
		{name: "triggers disabled", hides: true, do: func() func() { return p.disable(feedTables, contentAndRights...) }},
		{name: "triggers of one table disabled", hides: true, do: func() func() {
			table := single[p.random.IntN(len(single))]
			return p.disable("'"+table+"'", table)
		}},
		{name: "triggers disabled within a transaction", hides: true, do: func() func() { return p.disableBriefly(contentAndRights...) }},
		{name: "trigger functions replaced", hides: true, do: p.replaceFunctions},
		{name: "trigger functions dropped and created", hides: true, do: p.dropFunctions},
		{name: "table exchanged", hides: true, do: p.exchangeTable},
		{name: "columns rewritten", hides: true, do: p.rewriteColumns},
		{name: "tables restored in one transaction", hides: true, do: func() func() { return p.restore("--single-transaction") }},
		{name: "tables restored", hides: true, do: func() func() { return p.restore() }},
		{name: "pool moved, former server is read-only", hides: true, detection: checkInterval, do: func() func() {
			return p.move(func(former *dbtest.Cluster) { former.SetReadOnly(true) })
		}},
		{name: "pool moved, former server is writable", hides: true, detection: checkInterval, do: func() func() { return p.move(p.dropPool) }},
		{name: "rows replicated", hides: true, do: p.replicate},
		{name: "plain: session replicates", do: p.writeAsReplica},
		{name: "plain: tables truncated", do: p.truncate},
		{name: "plain: a role has its own pg_notify", do: p.writeWithTrap},
		{name: "plain: notifications of a stranger", do: p.flood},
		{name: "plain: listeners terminated", do: p.terminateListeners},
		{name: "plain: listeners stopped", do: p.stopListeners},
	}
}

// disable disables the triggers of a list of tables, and changes some tables.
func (p *feedPostgres) disable(list string, tables ...string) (undo func()) {
	enable := p.triggers(list).enable
	p.withoutWriters(func() { p.exec(disableTriggers(list)...) })
	p.revoke(tables, p.commit)
	return func() { p.withoutWriters(func() { p.exec(enable...) }) }
}

func disableTriggers(list string) (statements []string) {
	for table := range strings.SplitSeq(strings.ReplaceAll(list, "'", ""), ", ") {
		statements = append(statements, "ALTER TABLE "+table+" DISABLE TRIGGER USER")
	}
	return statements
}

// disableBriefly disables the triggers and enables them again, in the transaction that
// changes rows.
func (p *feedPostgres) disableBriefly(tables ...string) (undo func()) {
	enable := p.triggers(feedTables).enable
	p.revoke(tables, func(_ int64, statements []string) {
		p.withoutWriters(func() { p.exec(slices.Concat(disableTriggers(feedTables), statements, enable)...) })
	})
	return func() {}
}

// replaceFunctions makes the triggers do nothing.
func (p *feedPostgres) replaceFunctions() (undo func()) {
	former := p.triggers(feedTables)
	p.exec(former.silence...)
	p.revoke(contentAndRights, p.commit)
	return func() { p.exec(former.functions...) }
}

// dropFunctions drops the triggers with their functions, and creates all again after a
// change.
func (p *feedPostgres) dropFunctions() (undo func()) {
	former := p.triggers(feedTables)
	p.withoutWriters(func() {
		p.exec(former.drop...)
		p.revoke(contentAndRights, p.commit)
		p.exec(slices.Concat(former.functions, former.define, former.enable)...)
	})
	return func() {}
}

// exchangeTable puts a copy without triggers in the place of a table.
func (p *feedPostgres) exchangeTable() (undo func()) {
	former := p.triggers("'portfolio_links'")
	references := p.query(p.current, `SELECT format('ALTER TABLE portfolio_links ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE conrelid = 'portfolio_links'::regclass AND contype = 'f'`)
	p.revoke([]string{"portfolio_links"}, func(value int64, _ []string) {
		p.withoutWriters(func() {
			p.exec(append([]string{
				"LOCK TABLE portfolio_links IN ACCESS EXCLUSIVE MODE",
				"CREATE TABLE copy (LIKE portfolio_links INCLUDING ALL)",
				"INSERT INTO copy SELECT * FROM portfolio_links",
				fmt.Sprintf("UPDATE copy SET description = '%d' WHERE portfolio_id = %d", value, faultPortfolio),
				"GRANT SELECT, INSERT, UPDATE, DELETE ON copy TO writer",
				"DROP TABLE portfolio_links",
				"ALTER TABLE copy RENAME TO portfolio_links",
			}, references...)...)
		})
	})
	return func() { p.withoutWriters(func() { p.exec(append(former.define, former.enable...)...) }) }
}

// rewriteColumns changes rows by ALTER TABLE, for which no trigger runs.
func (p *feedPostgres) rewriteColumns() (undo func()) {
	p.revoke(contentAndRights, func(value int64, _ []string) {
		for _, column := range []string{
			fmt.Sprintf("portfolio_links ALTER description TYPE text USING CASE portfolio_id WHEN %d THEN '%d' ELSE description END", faultPortfolio, value),
			fmt.Sprintf("images ALTER size TYPE bigint USING CASE WHEN id >= %d THEN %d ELSE size END", faultPortfolio, value),
			fmt.Sprintf("users ALTER is_active TYPE boolean USING is_active AND id < %d", faultPortfolio),
		} {
			p.exec("ALTER TABLE " + column)
		}
	})
	return func() {}
}

// restore restores a dump of the spare server, whose rows differ.
func (p *feedPostgres) restore(options ...string) (undo func()) {
	p.withoutWriters(func() {
		p.refill()
		p.outages.Add(1)
		p.revoke(contentAndRights, func(_ int64, statements []string) {
			p.execAt(p.spare, statements...)
			p.reload(p.current, p.spare, options...)
		})
	})
	p.observe() // servers may keep rows of incomplete tables
	p.outages.Add(1)
	return func() {}
}

// refill makes the spare server writable, and copies the database of the current one.
func (p *feedPostgres) refill() {
	p.t.Helper()
	p.spare.SetReadOnly(false)
	p.reload(p.spare, p.current, "--single-transaction")
}

// move points the proxy of the pools at the spare server, whose rows differ, and makes the
// pools leave the former server.
func (p *feedPostgres) move(leave func(former *dbtest.Cluster)) (undo func()) {
	p.withoutWriters(func() {
		p.refill()
		p.revoke(contentAndRights, func(_ int64, statements []string) {
			p.execAt(p.spare, statements...)
			p.pools.Retarget(p.t, p.spare.URL())
			leave(p.current)
			p.current, p.spare = p.spare, p.current
		})
	})
	return func() { // as an operator who corrects CHANGE_FEED_URL
		p.feed.Retarget(p.t, p.current.URL())
		p.feed.Disconnect()
		p.feed.Reconnect()
		p.sweepUntil(time.Now().Add(p.descriptions.maxAge + checkInterval))
	}
}

// dropPool ends all sessions but the sessions of the feed.
func (p *feedPostgres) dropPool(cluster *dbtest.Cluster) {
	p.listeners()
	p.query(cluster, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'test' AND application_name NOT ILIKE 'portfolio%feed'")
}

// replicate changes rows of the spare server, to which the current one subscribes.
func (p *feedPostgres) replicate() (undo func()) {
	p.withoutWriters(p.refill)
	p.spare.Exec("CREATE PUBLICATION feed FOR TABLE " + strings.ReplaceAll(feedTables, "'", ""))
	p.current.Exec(fmt.Sprintf("CREATE SUBSCRIPTION feed CONNECTION 'host=%s user=postgres dbname=postgres' PUBLICATION feed WITH (copy_data = false)", p.spare.Directory()))
	p.revoke(contentAndRights, func(value int64, statements []string) {
		p.execAt(p.spare, statements...)
		waitFor(p.t, "replicated row", func() bool {
			return slices.Equal(p.query(p.current, fmt.Sprintf("SELECT DISTINCT description FROM portfolio_links WHERE portfolio_id = %d", faultPortfolio)), []string{strconv.FormatInt(value, 10)})
		})
	})
	return func() {
		p.current.Exec("DROP SUBSCRIPTION feed")
		p.spare.Exec("DROP PUBLICATION feed")
	}
}

// writeAsReplica writes in a session for which ordinary triggers do not run.
func (p *feedPostgres) writeAsReplica() (undo func()) {
	p.revoke(contentAndRights, func(_ int64, statements []string) {
		p.exec(append([]string{"SET LOCAL session_replication_role = replica"}, statements...)...)
	})
	return func() {}
}

// truncate empties tables and inserts rows that differ, in one transaction each.
func (p *feedPostgres) truncate() (undo func()) {
	p.revoke([]string{"portfolio_links", "tokens"}, func(_ int64, statements []string) {
		for i, table := range []string{"portfolio_links", "tokens"} {
			p.withoutWriters(func() {
				p.exec("LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE", "CREATE TEMP TABLE former ON COMMIT DROP AS SELECT * FROM "+table,
					"TRUNCATE "+table, "INSERT INTO "+table+" SELECT * FROM former", statements[i])
			})
		}
	})
	return func() {}
}

// writeWithTrap writes as a role whose search path has another pg_notify.
func (p *feedPostgres) writeWithTrap() (undo func()) {
	p.gate.Lock() // a notification of another change would make up for a lost one
	defer p.gate.Unlock()
	p.revoke(contentAndRights, func(_ int64, statements []string) {
		p.exec(append([]string{
			"SET LOCAL ROLE writer", "SET LOCAL search_path = trap, public, pg_catalog",
			"DO $$ BEGIN ASSERT 'pg_notify(text, text)'::regprocedure = 'trap.pg_notify(text, text)'::regprocedure; END $$",
		}, statements...)...)
	})
	p.sweep()
	return func() {}
}
