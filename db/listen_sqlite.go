package db

import (
	"context"
	"database/sql"
	"sync"
)

// sqliteListener asks a connection of its own whether another one has committed,
// in this process or in another one. It does not hear what was changed.
type sqliteListener struct {
	changed     func(Change)
	connections *sql.DB
	query       *sql.Stmt
	done        chan struct{}

	mu      sync.Mutex
	version int64
	err     error
}

func (db *DB) listenSQLite(ctx context.Context, changed func(Change)) (Listener, error) {
	connections, err := sqliteConnections(db.path, 1, "_query_only=1")
	if err != nil {
		return nil, err
	}
	l := &sqliteListener{changed: changed, connections: connections, done: make(chan struct{})}
	if l.query, err = connections.PrepareContext(ctx, "PRAGMA data_version"); err == nil {
		err = l.query.QueryRowContext(ctx).Scan(&l.version)
	}
	if err != nil {
		l.Close()
		return nil, wrap(err)
	}
	return l, nil
}

// Sync implements Listener. The round trip has ended when it returns.
func (l *sqliteListener) Sync() *RoundTrip { return &RoundTrip{err: l.sync()} }

func (l *sqliteListener) sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	var version int64
	// A context that can be canceled costs more than the statement, which does not wait.
	if err := l.query.QueryRow().Scan(&version); err != nil { //nolint:noctx // see above
		l.fail(wrap(err))
		return l.err
	}
	if version != l.version {
		l.version = version
		l.changed(Change{Users: true, All: true})
	}
	return nil
}

// fail closes the connection. The caller holds the lock.
func (l *sqliteListener) fail(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	close(l.done)
	_ = l.connections.Close()
}

// Done implements Listener.
func (l *sqliteListener) Done() <-chan struct{} { return l.done }

// Err implements Listener.
func (l *sqliteListener) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close implements Listener.
func (l *sqliteListener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail(sql.ErrConnDone)
}
