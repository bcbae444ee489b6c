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

// openPostgres opens a pool of connections. Unless fixed is set, it may open more
// of them than config says.
func openPostgres(ctx context.Context, config *pgxpool.Config, fixed bool) (*DB, error) {
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	// When its context ends, a statement is canceled on the server too, and its
	// connection stays usable.
	config.ConnConfig.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: connection, DeadlineDelay: cancelTimeout}
	}
	// Bun writes arguments into the text, so the server has not seen most
	// statements before, and preparing them would cost a round trip each.
	execMode := config.ConnConfig.DefaultQueryExecMode
	if execMode == pgx.QueryExecModeCacheStatement {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if !fixed {
		config.MaxConns++ // for lookups and changes, while lists use all others
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, wrap(err)
	}
	connections := stdlib.OpenDBFromPool(pool)
	connections.SetMaxOpenConns(int(config.MaxConns))
	bunDB := newBun(connections, pgdialect.New())
	db := &DB{write: bunDB, read: bunDB, pool: pool, execMode: execMode}
	db.prepare()
	if err := db.checkEncoding(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
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
