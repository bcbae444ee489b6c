package db

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// feedChannel is the channel that the triggers notify.
	feedChannel = "portfolio_changes"
	// noncePrefix begins the payload by which a listener checks that notifications arrive.
	noncePrefix = "n "
	// checkPayload asks listeners to check the triggers. Any role may send it.
	checkPayload = "off"

	listenTimeout = 5 * time.Second        // to begin to listen, once the connection is open
	maxSilence    = 500 * time.Millisecond // of the server in a round trip
	tripTimeout   = 2 * time.Second        // of a round trip in which the server keeps sending
	checkTimeout  = time.Second
	checkPause    = 100 * time.Millisecond // between two checks
)

// postgresListener is a connection that listens. Before PostgreSQL acknowledges a commit, it
// signals the commit to all listening sessions. A session sends its notifications before it is
// ready for the next statement. So a round trip that starts after the acknowledgment ends after
// the notification.
type postgresListener struct {
	receiver
	conn         net.Conn
	frontend     *pgproto3.Frontend // receives messages
	nonce        string             // sent by the monitor in the handshake
	hasNonce     atomic.Bool        // whether the nonce was received
	tripDeadline atomic.Int64       // deadline of the current round trip in Unix nanoseconds, 0 when idle

	catalog   catalog // at the start of the listener
	checkMu   sync.Mutex
	monitor   *pgconn.PgConn // to the address of the pool; reads the catalog again
	lastCheck time.Time
}

// listenPostgres implements Listen for PostgreSQL.
func (db *DB) listenPostgres(ctx context.Context, url URL, onChange func(Change)) (_ Listener, err error) {
	monitor, connection, err := db.connectListener(ctx, url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	initial, err := startListening(ctx, connection)
	if err != nil {
		return nil, errors.Join(err, monitor.Close(ctx), connection.Close(ctx))
	}
	hijacked, err := connection.Hijack()
	if err != nil {
		return nil, errors.Join(err, monitor.Close(ctx), connection.Close(ctx))
	}
	l := &postgresListener{
		receiver: db.newReceiver(onChange), conn: hijacked.Conn, frontend: hijacked.Frontend,
		nonce: noncePrefix + rand.Text(), catalog: initial, monitor: monitor,
	}
	l.start, l.closeConnection, l.verify = l.send, l.close, l.verifyConnection
	go l.receive() //nolint:contextcheck // the listener outlives ctx
	if err := l.handshake(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// connectListener connects the monitor to the address of the pool. It connects the listener to
// url, or to the address of the pool if url is zero. Both connect concurrently, because each
// waits for servers that do not respond before it tries the next address.
func (db *DB) connectListener(ctx context.Context, url URL) (monitor, listener *pgconn.PgConn, err error) {
	config := db.pool.Config().ConnConfig
	listenerConfig := config
	if url.config != nil {
		listenerConfig = url.config.ConnConfig
	}
	var group sync.WaitGroup
	var monitorErr, listenerErr error
	group.Go(func() { monitor, monitorErr = connect(ctx, config, "portfolio feed monitor") })
	group.Go(func() { listener, listenerErr = connect(ctx, listenerConfig, "portfolio feed") })
	group.Wait()
	if err := cmp.Or(monitorErr, listenerErr); err != nil {
		for _, connection := range []*pgconn.PgConn{monitor, listener} {
			if connection != nil {
				err = errors.Join(err, connection.Close(ctx))
			}
		}
		return nil, nil, err
	}
	return monitor, listener, nil
}

// connect opens a connection with an application name.
func connect(ctx context.Context, config *pgx.ConnConfig, name string) (*pgconn.PgConn, error) {
	options := config.Copy().Config
	options.ConnectTimeout = cmp.Or(options.ConnectTimeout, connectTimeout)
	options.RuntimeParams["application_name"] = name
	connection, err := pgconn.ConnectConfig(ctx, &options)
	return connection, wrap(err)
}

// startListening begins to listen, and then reads the catalog. The error is ErrPooler behind a
// pooler.
func startListening(ctx context.Context, connection *pgconn.PgConn) (catalog, error) {
	if _, err := connection.Exec(ctx, "SET idle_session_timeout = 0; LISTEN "+feedChannel).ReadAll(); err != nil {
		return catalog{}, wrap(err)
	}
	initial, err := readCatalog(ctx, connection)
	if err == nil && initial.isPooled(connection) {
		err = ErrPooler
	}
	return initial, err
}

// handshake checks that the pool uses the listener's database, and that notifications of
// that database arrive.
func (l *postgresListener) handshake(ctx context.Context) error {
	current, err := readCatalog(ctx, l.monitor)
	if err == nil {
		err = cmp.Or(l.catalog.checkUnchanged(current), current.checkNotifies())
	}
	if err != nil {
		return err
	}
	if _, err := l.monitor.ExecParams(ctx, "SELECT pg_notify($1, $2)", [][]byte{[]byte(feedChannel), []byte(l.nonce)}, nil, nil, nil).Close(); err != nil {
		return wrap(err)
	}
	if err := l.Sync().Wait(); err != nil {
		return err
	}
	if !l.hasNonce.Load() {
		return ErrOtherServer
	}
	if l.db.lastServer != l.catalog.Server {
		l.db.lastServer = l.catalog.Server
		l.db.pool.Reset()
	}
	return l.activate()
}

// Check implements Listener.
func (l *postgresListener) Check() {
	l.checkMu.Lock()
	defer l.checkMu.Unlock()
	if time.Since(l.lastCheck) < checkPause {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	current, err := readCatalog(ctx, l.monitor)
	if err == nil {
		err = cmp.Or(current.checkNotifies(), l.catalog.checkUnchanged(current))
	}
	if err != nil {
		l.fail(err)
	}
	l.lastCheck = time.Now()
}

// verifyConnection returns an error unless a connection of the pool leads to the listener's
// database. If the connection leads elsewhere, the listener ends.
func (l *postgresListener) verifyConnection(ctx context.Context, connection *pgconn.PgConn) error {
	current, err := readCatalog(ctx, connection)
	if err != nil {
		return err
	}
	if err := l.catalog.checkUnchanged(current); err != nil {
		l.fail(err)
		return err
	}
	return nil
}

var syncMessage, _ = new(pgproto3.Sync).Encode(nil)

// send starts the current round trip.
func (l *postgresListener) send() {
	now := time.Now()
	l.tripDeadline.Store(now.Add(tripTimeout).UnixNano())
	_ = l.conn.SetDeadline(now.Add(maxSilence))
	_, _ = l.conn.Write(syncMessage) // if the write fails, receive fails too
}

// receive receives messages until the connection breaks.
func (l *postgresListener) receive() {
	for {
		message, err := l.frontend.Receive()
		if err != nil {
			l.fail(err)
			return
		}
		switch message := message.(type) {
		case *pgproto3.NotificationResponse:
			l.handleNotification(message)
			l.extendDeadline()
		case *pgproto3.ReadyForQuery:
			l.finish(l.idle)
		case *pgproto3.ErrorResponse: // the server shuts down, or the session is terminated
			l.fail(pgconn.ErrorResponseToPgError(message))
			return
		}
	}
}

func (l *postgresListener) handleNotification(message *pgproto3.NotificationResponse) {
	switch {
	case message.Payload == l.nonce:
		l.hasNonce.Store(true)
	case strings.HasPrefix(message.Payload, noncePrefix): // nonce of another listener
	case message.Payload == checkPayload:
		l.Check()
	default:
		l.onChange(parseChange(message.Payload))
		l.recordNotification(message.PID)
	}
}

// extendDeadline moves the deadline of a round trip. The time to process notifications does
// not count as silence of the server.
func (l *postgresListener) extendDeadline() {
	if deadline := l.tripDeadline.Load(); deadline != 0 {
		_ = l.conn.SetDeadline(time.Unix(0, min(deadline, time.Now().Add(maxSilence).UnixNano())))
	}
}

// idle removes the deadline.
func (l *postgresListener) idle() {
	l.tripDeadline.Store(0)
	_ = l.conn.SetDeadline(time.Time{})
}

func (l *postgresListener) close() {
	_ = l.conn.Close()
	_ = l.monitor.Conn().Close() // ends a check in progress
}
