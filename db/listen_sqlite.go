package db

import (
	"context"
	"database/sql"
	"errors"
)

// sqliteListener polls PRAGMA data_version on its own connection. The value changes when
// any other connection of any process commits. It does not show which rows changed.
type sqliteListener struct {
	receiver
	query   *sql.Stmt
	version int64 // of the last round trip
}

// listenSQLite implements Listen for SQLite.
func (db *DB) listenSQLite(ctx context.Context, onChange func(Change)) (Listener, error) {
	connections := db.file.open(1, "_query_only=1")
	connection, err := connections.Conn(ctx)
	if err != nil {
		return nil, errors.Join(wrap(err), connections.Close())
	}
	l := &sqliteListener{receiver: db.newReceiver(onChange)}
	l.start = l.run
	l.closeConnection = func() { _ = errors.Join(l.query.Close(), connection.Close(), connections.Close()) }
	if l.query, err = connection.PrepareContext(ctx, "PRAGMA data_version"); err != nil {
		return nil, errors.Join(wrap(err), connection.Close(), connections.Close())
	}
	if err := l.query.QueryRowContext(ctx).Scan(&l.version); err != nil {
		l.Close()
		return nil, wrap(err)
	}
	return l, l.activate()
}

// run runs the current round trip.
func (l *sqliteListener) run() {
	var version int64
	// A context that can be canceled costs more than the statement, which does not wait.
	if err := l.query.QueryRow().Scan(&version); err != nil { //nolint:noctx // see above
		l.fail(wrap(err))
		return
	}
	if version != l.version {
		l.version = version
		l.onChange(Change{Users: true, All: true})
		l.recordNotification(0)
	}
	l.finish(func() {})
}

// Check implements Listener.
func (l *sqliteListener) Check() {
	if err := l.db.file.check(); err != nil {
		l.fail(err)
	}
}
