package db

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// ErrNotNotified means that this process committed a change without a notification.
var ErrNotNotified = errors.New("a commit of this process was not notified")

// receiver is what the listeners of both databases share.
type receiver struct {
	roundTrips
	db              *DB
	changed         func(Change)
	done            chan struct{}
	closeConnection func()
	admit           func(context.Context, *pgconn.PgConn) error // a connection of PostgreSQL's pool

	commitMu sync.Mutex
	commits  map[*commit]struct{} // in progress
}

func (db *DB) newReceiver(changed func(Change)) receiver {
	return receiver{db: db, changed: changed, done: make(chan struct{}), commits: map[*commit]struct{}{}}
}

// fail ends the listener, unless it has ended.
func (r *receiver) fail(err error) {
	r.roundTrips.fail(err, func() {
		r.db.receiver.CompareAndSwap(r, nil)
		close(r.done)
		r.closeConnection()
	})
}

// Done implements Listener.
func (r *receiver) Done() <-chan struct{} { return r.done }

// Close implements Listener.
func (r *receiver) Close() { r.fail(net.ErrClosed) }

// commit is a transaction of this process.
type commit struct {
	sender   uint32 // process ID of PostgreSQL's backend; 0 on SQLite
	changed  atomic.Bool
	notified atomic.Bool
}

// expect registers a transaction that has begun.
func (r *receiver) expect(sender uint32) *commit {
	r.commitMu.Lock()
	defer r.commitMu.Unlock()
	c := &commit{sender: sender}
	r.commits[c] = struct{}{}
	return c
}

// notified records a notification of a sender.
func (r *receiver) notified(sender uint32) {
	r.commitMu.Lock()
	defer r.commitMu.Unlock()
	for c := range r.commits {
		if c.sender == sender {
			c.notified.Store(true)
		}
	}
}

// confirm waits until every notification of a transaction that has committed is received.
// It ends the listener if the transaction changed rows without a notification.
func (r *receiver) confirm(c *commit) {
	if c.changed.Load() && r.Sync().Wait() == nil && !c.notified.Load() {
		r.fail(ErrNotNotified)
	}
}

func (r *receiver) forget(c *commit) {
	r.commitMu.Lock()
	defer r.commitMu.Unlock()
	delete(r.commits, c)
}

type commitKey struct{}

// transact runs do in a transaction, and returns when the listener, if there is one, has
// received what it changed.
func (db *DB) transact(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	r := db.receiver.Load()
	if r == nil {
		return db.write.RunInTx(ctx, nil, do)
	}
	var c *commit
	defer func() { r.forget(c) }()
	err := db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		sender, err := db.sender(ctx, tx)
		if err != nil {
			return err
		}
		c = r.expect(sender)
		return do(context.WithValue(ctx, commitKey{}, c), tx)
	})
	if err == nil {
		r.confirm(c)
	}
	return err
}

// sender returns the process ID of the backend that runs a transaction. It is unknown
// otherwise, since there may be a pooler.
func (db *DB) sender(ctx context.Context, tx bun.Tx) (pid uint32, err error) {
	if db.Postgres() {
		err = tx.Tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid)
	}
	return pid, err
}

// recordChange records in its transaction that a statement changed rows.
func recordChange(ctx context.Context, event *bun.QueryEvent) {
	c, ok := ctx.Value(commitKey{}).(*commit)
	if !ok || event.Result == nil {
		return
	}
	switch event.Operation() {
	case "INSERT", "UPDATE", "DELETE":
		if rows, err := event.Result.RowsAffected(); err == nil && rows > 0 {
			c.changed.Store(true)
		}
	}
}

// admitConnection reports whether the pool may use a connection, which a listener checks
// once.
func (db *DB) admitConnection(ctx context.Context, connection *pgx.Conn) (bool, error) {
	const key = "receiver"
	r, data := db.receiver.Load(), connection.PgConn().CustomData()
	if r == nil || data[key] == r {
		return true, nil
	}
	if err := r.admit(ctx, connection.PgConn()); err != nil {
		return false, ctx.Err() // the pool tries another connection
	}
	data[key] = r
	return true, nil
}
