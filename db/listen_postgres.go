package db

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/uptrace/bun"
)

const (
	// feedChannel is the channel that the triggers notify.
	feedChannel = "portfolio_changes"
	// syncTimeout bounds a round trip of a Listener.
	syncTimeout = 500 * time.Millisecond
)

// postgresListener is a connection that listens. PostgreSQL signals a commit to the
// sessions that listen before it acknowledges it, and a session sends what it was
// notified of before it is ready for the next statement. So after a round trip that
// began later than a commit was acknowledged, the commit was heard of.
type postgresListener struct {
	conn     net.Conn
	frontend *pgproto3.Frontend // that receives
	changed  func(Change)
	nonce    string // that the pool notifies
	met      atomic.Bool
	done     chan struct{}
	roundTrips
}

func (db *DB) listenPostgres(ctx context.Context, url URL, changed func(Change)) (_ Listener, err error) {
	config := db.pool.Config().ConnConfig.Config
	if url.config != nil {
		config = url.config.ConnConfig.Copy().Config
	}
	config.RuntimeParams["application_name"] = "portfolio feed"
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	connection, err := pgconn.ConnectConfig(ctx, &config)
	if err != nil {
		return nil, wrap(err)
	}
	server, err := prepareListener(ctx, connection)
	if err != nil {
		_ = connection.Close(ctx)
		return nil, wrap(err)
	}
	hijacked, err := connection.Hijack()
	if err != nil {
		return nil, err
	}
	l := &postgresListener{
		conn: hijacked.Conn, frontend: hijacked.Frontend, changed: changed,
		nonce: noncePrefix + rand.Text(), done: make(chan struct{}),
	}
	l.begin = l.send
	go l.receive()
	if err := l.meet(ctx, db, server); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// listenTimeout bounds the time to begin to listen.
const listenTimeout = 5 * time.Second

// prepareListener begins to listen, unless changes would not be heard. It returns what
// tells the server from others, and from itself before a restart.
func prepareListener(ctx context.Context, connection *pgconn.PgConn) (server string, err error) {
	results, err := connection.Exec(ctx, `SET idle_session_timeout = 0; LISTEN `+feedChannel+`;
		SELECT pg_backend_pid(), count(*) FILTER (WHERE tgenabled = 'A') > 0 AND count(*) FILTER (WHERE tgenabled <> 'A') = 0,
			pg_postmaster_start_time()
		FROM pg_trigger WHERE `+feedTriggers).ReadAll()
	if err != nil {
		return "", err
	}
	row := results[len(results)-1].Rows[0]
	switch {
	case string(row[0]) != strconv.FormatUint(uint64(connection.PID()), 10): // a pooler has its own
		return "", ErrPooler
	case string(row[1]) != "t":
		return "", ErrFeedOff
	}
	return string(row[2]), nil
}

// feedTriggers selects the triggers that notify.
const feedTriggers = `tgname IN ('feed_insert', 'feed_update', 'feed_delete', 'feed_truncate', 'feed_change')
	AND tgrelid IN (SELECT to_regclass(name) FROM unnest(ARRAY['users', 'user_permissions', 'tokens', 'portfolios', 'portfolio_links', 'images', 'thumbnails']) AS name)`

// meet makes sure that the pool is connected to the same server: it must not go on with
// one that was the primary before, and what it notifies must arrive.
func (l *postgresListener) meet(ctx context.Context, db *DB, server string) error {
	if before := db.heard.Swap(&server); before == nil || *before != server {
		db.pool.Reset()
	}
	if _, err := db.write.NewRaw("SELECT pg_notify(?, ?)", feedChannel, l.nonce).Exec(ctx); err != nil {
		return wrap(err)
	}
	if err := l.Sync().Wait(); err != nil {
		return err
	}
	if !l.met.Load() {
		return ErrOtherServer
	}
	return nil
}

// noncePrefix begins a payload that says nothing of rows.
const noncePrefix = "n "

var syncMessage, _ = new(pgproto3.Sync).Encode(nil)

// send begins the current round trip.
func (l *postgresListener) send() {
	_ = l.conn.SetDeadline(time.Now().Add(syncTimeout)) // of what follows too
	_, _ = l.conn.Write(syncMessage)                    // if it fails, so does receive
}

// receive receives until the connection is lost.
func (l *postgresListener) receive() {
	for {
		message, err := l.frontend.Receive()
		if err != nil {
			l.fail(err)
			return
		}
		switch message := message.(type) {
		case *pgproto3.NotificationResponse:
			l.notified(message.Payload)
		case *pgproto3.ReadyForQuery:
			l.finish(l.idle)
		case *pgproto3.ErrorResponse: // the server shuts down, or the session is terminated
			l.fail(pgconn.ErrorResponseToPgError(message))
			return
		}
	}
}

func (l *postgresListener) notified(payload string) {
	switch {
	case payload == l.nonce:
		l.met.Store(true)
	case strings.HasPrefix(payload, noncePrefix): // of another listener
	case payload == feedOff:
		l.fail(ErrFeedOff)
	default:
		l.changed(parseChange(payload))
	}
}

// idle removes the deadline.
func (l *postgresListener) idle() { _ = l.conn.SetDeadline(time.Time{}) }

func (l *postgresListener) fail(err error) {
	l.roundTrips.fail(err, func() {
		close(l.done)
		_ = l.conn.Close()
	})
}

// Done implements Listener.
func (l *postgresListener) Done() <-chan struct{} { return l.done }

// Close implements Listener.
func (l *postgresListener) Close() { l.fail(net.ErrClosed) }

// feedOff is the payload that tells listeners that the triggers are disabled.
const feedOff = "off"

// SetFeed enables or disables the triggers that tell of changes, for all programs. It
// has no effect on SQLite, which needs none.
func (db *DB) SetFeed(ctx context.Context, on bool) error {
	if !db.Postgres() {
		return nil
	}
	action, skip := "ENABLE ALWAYS", "A"
	if !on {
		action, skip = "DISABLE", "D"
	}
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		var triggers []struct{ Table, Name string }
		err := tx.NewSelect().TableExpr("pg_trigger").ColumnExpr("tgrelid::regclass::text AS table, tgname AS name").
			Where(feedTriggers).Where("tgenabled <> ?", skip).Order("tgrelid", "tgname").Scan(ctx, &triggers)
		if err != nil {
			return err
		}
		for _, trigger := range triggers {
			statement := fmt.Sprintf("ALTER TABLE %s %s TRIGGER %s", trigger.Table, action, trigger.Name)
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		if on || triggers == nil {
			return nil
		}
		_, err = tx.NewRaw("SELECT pg_notify(?, ?)", feedChannel, feedOff).Exec(ctx)
		return err
	})
}
