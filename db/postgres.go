package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun/dialect/pgdialect"
)

const (
	connectTimeout = 5 * time.Second
	cancelTimeout  = 500 * time.Millisecond // for PostgreSQL to end a canceled statement
)

// openPostgres opens a pool of connections. Unless fixed is set, the pool may have more
// connections than config says.
func openPostgres(ctx context.Context, config *pgxpool.Config, fixed bool) (*DB, error) {
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	// When its context ends, a statement is canceled on the server too, and its
	// connection stays usable.
	config.ConnConfig.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: connection, DeadlineDelay: cancelTimeout}
	}
	// Bun writes arguments into the text, so most statements are new to the server. To prepare
	// them would cost a round trip each.
	execMode := config.ConnConfig.DefaultQueryExecMode
	if execMode == pgx.QueryExecModeCacheStatement {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if !fixed {
		config.MaxConns++ // for lookups and changes, while lists use the rest
	}
	db := &DB{execMode: execMode}
	db.leaveReadOnly(config)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, wrap(err)
	}
	connections := stdlib.OpenDBFromPool(pool)
	connections.SetMaxOpenConns(int(config.MaxConns))
	bunDB := newBun(connections, postgresDialect{pgdialect.New()})
	db.write, db.read, db.pool = bunDB, bunDB, pool
	db.prepare()
	if err := db.checkEncoding(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// leaveReadOnly makes the pool leave a server that became read-only, as the former
// primary does in a failover. The pool closes a connection whose server refuses a change.
// If target_session_attrs chooses the server, the pool closes all connections, and new
// ones look for the right server.
func (db *DB) leaveReadOnly(config *pgxpool.Config) {
	validate, onError := config.ConnConfig.ValidateConnect, config.ConnConfig.OnPgError
	db.choosesServer = validate != nil
	config.ConnConfig.OnPgError = func(connection *pgconn.PgConn, err *pgconn.PgError) bool {
		if err.Code == readOnlyTransaction {
			db.chooseServer()
			return false
		}
		return onError(connection, err)
	}
	config.PrepareConn = func(ctx context.Context, connection *pgx.Conn) (bool, error) {
		// Since version 14, servers report a change of these parameters with the response
		// to the next statement.
		c := connection.PgConn()
		readOnly := c.ParameterStatus("default_transaction_read_only") == "on" || c.ParameterStatus("in_hot_standby") == "on"
		if valid := !db.choosesServer || !readOnly || validate(ctx, c) == nil; !valid {
			db.chooseServer()
			return false, nil
		}
		return db.admitConnection(ctx, connection)
	}
}

// chooseServer makes the pool reconnect, if target_session_attrs chooses the server.
func (db *DB) chooseServer() {
	if db.choosesServer {
		db.pool.Reset()
	}
}

// checkEncoding returns an error unless the database's encoding is UTF-8.
// Searches and orders rely on it.
func (db *DB) checkEncoding(ctx context.Context) error {
	var encoding string
	if err := db.read.NewSelect().ColumnExpr("current_setting('server_encoding')").Scan(ctx, &encoding); err != nil {
		return wrap(err)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s: it must be UTF8", encoding)
	}
	return nil
}
