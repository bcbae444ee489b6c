package db

import (
	"context"
	"database/sql"
)

// sqliteListener asks a connection of its own whether another one has committed,
// in this process or in another one. It does not hear what was changed.
type sqliteListener struct {
	changed     func(Change)
	connections *sql.DB
	query       *sql.Stmt
	done        chan struct{}

	version int64 // of the last round trip
	roundTrips
}

func (db *DB) listenSQLite(ctx context.Context, changed func(Change)) (Listener, error) {
	connections, err := sqliteConnections(db.path, 1, "_query_only=1")
	if err != nil {
		return nil, err
	}
	l := &sqliteListener{changed: changed, connections: connections, done: make(chan struct{})}
	l.begin = l.run
	if l.query, err = connections.PrepareContext(ctx, "PRAGMA data_version"); err == nil {
		err = l.query.QueryRowContext(ctx).Scan(&l.version)
	}
	if err != nil {
		l.Close()
		return nil, wrap(err)
	}
	return l, nil
}

// run makes the current round trip.
func (l *sqliteListener) run() {
	var version int64
	// A context that can be canceled costs more than the statement, which does not wait.
	if err := l.query.QueryRow().Scan(&version); err != nil { //nolint:noctx // see above
		l.fail(wrap(err))
		return
	}
	if version != l.version {
		l.version = version
		l.changed(Change{Users: true, All: true})
	}
	l.finish(func() {})
}

func (l *sqliteListener) fail(err error) {
	l.roundTrips.fail(err, func() {
		close(l.done)
		_ = l.connections.Close()
	})
}

// Done implements Listener.
func (l *sqliteListener) Done() <-chan struct{} { return l.done }

// Close implements Listener.
func (l *sqliteListener) Close() { l.fail(sql.ErrConnDone) }
