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
var ErrNotNotified = errors.New("a commit of this process sent no notification")

// receiver is the part of a Listener that both databases share.
type receiver struct {
	roundTrips
	db              *DB
	onChange        func(Change)
	done            chan struct{}
	closeConnection func()
	verify          func(context.Context, *pgconn.PgConn) error // checks a connection of PostgreSQL's pool

	pendingMu sync.Mutex
	pending   map[*pendingTx]struct{}
}

func (db *DB) newReceiver(onChange func(Change)) receiver {
	return receiver{db: db, onChange: onChange, done: make(chan struct{}), pending: map[*pendingTx]struct{}{}}
}

// activate makes r the receiver of its database, unless r has failed.
func (r *receiver) activate() error {
	r.db.receiver.Store(r)
	select {
	case <-r.done:
		r.db.receiver.CompareAndSwap(r, nil)
		return r.Err()
	default:
		return nil
	}
}

// fail ends the listener. Later calls do nothing.
func (r *receiver) fail(err error) {
	r.roundTrips.fail(err, func() {
		close(r.done) // before CompareAndSwap, so that activate cannot miss it
		r.db.receiver.CompareAndSwap(r, nil)
		r.closeConnection()
	})
}

// Done implements Listener.
func (r *receiver) Done() <-chan struct{} { return r.done }

// Close implements Listener.
func (r *receiver) Close() { r.fail(net.ErrClosed) }

// pendingTx is a transaction of this process that is in progress.
type pendingTx struct {
	sender   uint32 // process ID of PostgreSQL's backend; 0 on SQLite
	changed  atomic.Bool
	notified atomic.Bool
}

// register adds a running transaction.
func (r *receiver) register(sender uint32) *pendingTx {
	r.pendingMu.Lock()
	defer r.pendingMu.Unlock()
	tx := &pendingTx{sender: sender}
	r.pending[tx] = struct{}{}
	return tx
}

// recordNotification records a notification of a sender.
func (r *receiver) recordNotification(sender uint32) {
	r.pendingMu.Lock()
	defer r.pendingMu.Unlock()
	for tx := range r.pending {
		if tx.sender == sender {
			tx.notified.Store(true)
		}
	}
}

// awaitNotification waits until every notification of a committed transaction is received.
// It ends the listener if the transaction changed rows without a notification.
func (r *receiver) awaitNotification(tx *pendingTx) {
	if tx.changed.Load() && r.Sync().Wait() == nil && !tx.notified.Load() {
		r.fail(ErrNotNotified)
	}
}

// unregister removes a transaction, which may be nil.
func (r *receiver) unregister(tx *pendingTx) {
	r.pendingMu.Lock()
	defer r.pendingMu.Unlock()
	delete(r.pending, tx)
}

type pendingTxKey struct{}

// tryTransaction runs do in a transaction. It returns after the listener, if there is one,
// has received the changes.
func (db *DB) tryTransaction(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	r := db.receiver.Load()
	if r == nil {
		return db.runTx(ctx, do)
	}
	var pending *pendingTx
	defer func() { r.unregister(pending) }()
	err := db.runTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		sender, err := db.sender(ctx, tx)
		if err != nil {
			return err
		}
		pending = r.register(sender)
		return do(context.WithValue(ctx, pendingTxKey{}, pending), tx)
	})
	if err == nil {
		r.awaitNotification(pending)
	}
	return err
}

// sender returns the process ID of the backend that runs a transaction. It asks the backend,
// because a pooler hides its ID.
func (db *DB) sender(ctx context.Context, tx bun.Tx) (pid uint32, err error) {
	if db.Postgres() {
		err = tx.Tx.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid)
	}
	return pid, err
}

// recordChange records that a statement of a transaction changed rows.
func recordChange(ctx context.Context, event *bun.QueryEvent) {
	pending, ok := ctx.Value(pendingTxKey{}).(*pendingTx)
	if !ok || event.Result == nil {
		return
	}
	switch event.Operation() {
	case "INSERT", "UPDATE", "DELETE":
		if rows, err := event.Result.RowsAffected(); err == nil && rows > 0 {
			pending.changed.Store(true)
		}
	}
}

// admitConnection reports whether the pool may use a connection. Each listener verifies a
// connection once.
func (db *DB) admitConnection(ctx context.Context, connection *pgx.Conn) (bool, error) {
	const key = "receiver"
	r, data := db.receiver.Load(), connection.PgConn().CustomData()
	if r == nil || data[key] == r {
		return true, nil
	}
	if err := r.verify(ctx, connection.PgConn()); err != nil {
		return false, ctx.Err() // the pool tries another connection
	}
	data[key] = r
	return true, nil
}
