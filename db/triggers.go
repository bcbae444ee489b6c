package db

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// Errors of a PostgreSQL database that does not notify a Listener of every change.
var (
	// ErrFeedOff means that a trigger that notifies of changes is disabled, altered or
	// missing.
	ErrFeedOff = errors.New("triggers of the change feed are disabled, altered or missing: run migrate with CHANGE_FEED=on")
	// ErrPooler means that the connection goes through a pooler, which does not
	// forward notifications.
	ErrPooler = errors.New("the connection goes through a pooler: set CHANGE_FEED_URL to the URL of the PostgreSQL server itself")
	// ErrOtherServer means that the pool and the listener use different databases.
	ErrOtherServer = errors.New("CHANGE_FEED_URL is not the server or the database of DATABASE_URL")
	// ErrTableKind means that a table has rows whose changes run no trigger of the table.
	ErrTableKind = errors.New("a table is a view, foreign or partitioned, or has child tables, so its changes do not notify")
	// ErrTablesChanged means that tables or triggers were replaced or altered.
	ErrTablesChanged = errors.New("tables or triggers were restored or altered, so caches are invalid; with CHANGE_FEED_URL, its search path may differ")
)

// catalog is the part of PostgreSQL's system catalogs that notifications depend on.
type catalog struct {
	PID      uint32 // of the server process, which a pooler hides
	Server   string // identifies the server since its start, its timeline and the database
	Tables   string // identifies the tables with their files, columns and triggers
	Triggers string // hash of the definitions of the triggers
	Ordinary bool   // whether every table is ordinary and has no child tables
}

// triggersHash is the hash of the definitions that the migrations create.
const triggersHash = "40b741ef61ca7e5c9f8824990eb62cc9"

var (
	//go:embed feed_triggers.sql
	feedTriggers string
	//go:embed catalog.sql
	catalogSelect string
	catalogQuery  = feedTriggers + catalogSelect
)

// decodeCatalog decodes the result of catalogQuery.
func decodeCatalog(encoded []byte) (c catalog, err error) {
	err = json.Unmarshal(encoded, &c)
	return c, err
}

// readCatalog reads the catalog of the database of a connection.
func readCatalog(ctx context.Context, connection *pgconn.PgConn) (catalog, error) {
	results, err := connection.Exec(ctx, catalogQuery).ReadAll()
	if err != nil {
		return catalog{}, wrap(err)
	}
	return decodeCatalog(results[0].Rows[0][0])
}

// isPooled reports whether a pooler is between the server and the connection.
func (c catalog) isPooled(connection *pgconn.PgConn) bool { return c.PID != connection.PID() }

// checkNotifies returns an error unless every change notifies.
func (c catalog) checkNotifies() error {
	switch {
	case !c.Ordinary:
		return ErrTableKind
	case c.Triggers != triggersHash:
		return ErrFeedOff
	}
	return nil
}

// checkUnchanged returns an error unless current has the server and the tables of c.
func (c catalog) checkUnchanged(current catalog) error {
	switch {
	case current.Server != c.Server:
		return ErrOtherServer
	case current.Tables != c.Tables:
		return ErrTablesChanged
	}
	return nil
}

//go:embed migrations/postgres/20261130000000_change_feed.tx.up.sql
var createTriggers string

// SetFeed enables or disables the triggers that notify of changes, for all programs. It
// creates triggers that are missing or altered. SQLite needs no triggers.
func (db *DB) SetFeed(ctx context.Context, enabled bool) error {
	switch {
	case !db.Postgres():
		return nil
	case enabled:
		return db.transaction(ctx, enableTriggers)
	}
	return db.transaction(ctx, disableTriggers)
}

// enableTriggers creates the triggers, unless they exist as expected.
func enableTriggers(ctx context.Context, tx bun.Tx) error {
	var encoded []byte
	if err := tx.QueryRowContext(ctx, catalogQuery).Scan(&encoded); err != nil {
		return err
	}
	if current, err := decodeCatalog(encoded); err != nil || current.Triggers == triggersHash {
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
	err := tx.NewRaw(feedTriggers+"SELECT table_id::regclass::text AS table, tgname AS name FROM trigger WHERE tgenabled <> 'D' ORDER BY table_id, tgname").Scan(ctx, &triggers)
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
