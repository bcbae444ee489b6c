package db

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// Errors of a PostgreSQL database whose changes a Listener would miss.
var (
	// ErrFeedOff means that a trigger that notifies of changes is disabled, altered or
	// missing.
	ErrFeedOff = errors.New("triggers of the feed are disabled, altered or missing: run migrate with FEED=on")
	// ErrPooler means that the connection goes through a pooler, which does not
	// forward notifications.
	ErrPooler = errors.New("the connection goes through a pooler: set FEED_URL to the URL of the PostgreSQL server itself")
	// ErrOtherServer means that the pool and the listener use different databases.
	ErrOtherServer = errors.New("FEED_URL is not the server or the database of DATABASE_URL")
	// ErrTableKind means that a table has rows whose changes run no trigger of the table.
	ErrTableKind = errors.New("a table is a view, foreign or partitioned, or has child tables, so its changes do not notify")
	// ErrTablesChanged means that tables or triggers were replaced or altered.
	ErrTablesChanged = errors.New("tables or triggers were restored or altered, so everything is read again; with FEED_URL, its search path may differ")
)

// catalog is the part of PostgreSQL's system catalogs that notifications depend on.
type catalog struct {
	server   string // identifies the server since its start, its timeline and the database
	tables   string // identifies the tables with their files, columns and triggers
	triggers string // hash of the definitions of the triggers
	ordinary bool   // whether every table is ordinary and has no child tables
	pooled   bool   // whether a pooler is between the server and the connection
}

// triggersHash is the hash of the definitions that the migrations create.
const triggersHash = "40b741ef61ca7e5c9f8824990eb62cc9"

// catalogQuery selects a catalog, without relying on the settings of the session. The
// xmin of a row changes whenever the row is updated.
const catalogQuery = `WITH source AS MATERIALIZED (
	SELECT name, c.oid AS id, c.xmin AS version, c.relfilenode AS file, coalesce(c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid), true) AS ordinary
	FROM unnest(ARRAY[` + sourceTables + `]) AS name LEFT JOIN pg_class AS c ON c.oid = to_regclass(name)
), trigger AS MATERIALIZED (
	SELECT source.name, t.tgname, t.oid, t.xmin AS version, p.xmin AS function_version, concat_ws(' ', source.name, t.tgname, t.tgenabled, t.tgtype, t.tgattr,
		encode(t.tgargs, 'hex'), t.tgqual IS NULL, t.tgoldtable, t.tgnewtable, p.proname, p.prosecdef, p.proconfig, md5(p.prosrc)) AS definition
	FROM source JOIN pg_trigger AS t ON t.tgrelid = source.id JOIN pg_proc AS p ON p.oid = t.tgfoid
	WHERE t.tgname IN (` + triggerNames + `)
)
SELECT pg_backend_pid(),
	concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), (SELECT system_identifier FROM pg_control_system()),
		(SELECT oid FROM pg_database WHERE datname = current_database()), CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END),
	md5(concat_ws(' ',
		(SELECT string_agg(concat_ws(' ', id, file, version), ',' ORDER BY name) FROM source),
		(SELECT string_agg(concat_ws(' ', a.attrelid, a.attnum, a.xmin), ',' ORDER BY a.attrelid, a.attnum) FROM source JOIN pg_attribute AS a ON a.attrelid = source.id AND a.attnum > 0),
		(SELECT string_agg(concat_ws(' ', p.oid, p.xmin), ',' ORDER BY p.oid) FROM source JOIN pg_policy AS p ON p.polrelid = source.id),
		(SELECT string_agg(concat_ws(' ', oid, version, function_version), ',' ORDER BY oid) FROM trigger))),
	(SELECT md5(string_agg(definition, ',' ORDER BY name COLLATE "C", tgname COLLATE "C")) FROM trigger),
	(SELECT bool_and(ordinary) FROM source)`

const (
	sourceTables = `'images', 'portfolio_links', 'portfolios', 'thumbnails', 'tokens', 'user_permissions', 'users'`
	triggerNames = `'feed_insert', 'feed_update', 'feed_delete', 'feed_truncate', 'feed_change', 'feed_row'`
)

// readCatalog reads the catalog of the database of a connection.
func readCatalog(ctx context.Context, connection *pgconn.PgConn) (catalog, error) {
	results, err := connection.Exec(ctx, catalogQuery).ReadAll()
	if err != nil {
		return catalog{}, wrap(err)
	}
	row := results[0].Rows[0]
	return catalog{
		server: string(row[1]), tables: string(row[2]), triggers: string(row[3]), ordinary: string(row[4]) == "t",
		pooled: string(row[0]) != strconv.FormatUint(uint64(connection.PID()), 10), // a pooler reports its own ID
	}, nil
}

// checkNotifies returns an error unless every change notifies.
func (c catalog) checkNotifies() error {
	switch {
	case !c.ordinary:
		return ErrTableKind
	case c.triggers != triggersHash:
		return ErrFeedOff
	}
	return nil
}

// checkSame returns an error unless current has the same server and tables as c.
func (c catalog) checkSame(current catalog) error {
	switch {
	case current.server != c.server:
		return ErrOtherServer
	case current.tables != c.tables:
		return ErrTablesChanged
	}
	return nil
}

//go:embed migrations/postgres/20261130000000_change_feed.tx.up.sql
var createTriggers string

// SetFeed enables or disables the triggers that notify of changes, for all programs. It
// creates triggers that are missing or altered. SQLite needs no triggers.
func (db *DB) SetFeed(ctx context.Context, on bool) error {
	switch {
	case !db.Postgres():
		return nil
	case on:
		return db.transaction(ctx, enableTriggers)
	}
	return db.transaction(ctx, disableTriggers)
}

func enableTriggers(ctx context.Context, tx bun.Tx) error {
	var pid, server, tables, triggers, ordinary sql.NullString
	if err := tx.QueryRowContext(ctx, catalogQuery).Scan(&pid, &server, &tables, &triggers, &ordinary); err != nil || triggers.String == triggersHash {
		return err
	}
	for statement := range strings.SplitSeq(createTriggers, "--bun:split") {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// disableTriggers disables the triggers, and makes listeners check them.
func disableTriggers(ctx context.Context, tx bun.Tx) error {
	var triggers []struct{ Table, Name string }
	err := tx.NewSelect().TableExpr("pg_trigger").ColumnExpr("tgrelid::regclass::text AS table, tgname AS name").
		Where("tgname IN ("+triggerNames+") AND tgrelid IN (SELECT to_regclass(name) FROM unnest(ARRAY["+sourceTables+"]) AS name)").
		Where("tgenabled <> 'D'").Order("tgrelid", "tgname").Scan(ctx, &triggers)
	if err != nil || len(triggers) == 0 {
		return err
	}
	for _, trigger := range triggers {
		if _, err := tx.ExecContext(ctx, "ALTER TABLE "+trigger.Table+" DISABLE TRIGGER "+trigger.Name); err != nil {
			return err
		}
	}
	_, err = tx.NewRaw("SELECT pg_notify(?, ?)", feedChannel, checkPayload).Exec(ctx)
	return err
}
