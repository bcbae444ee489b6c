package db

import (
	"context"
	"database/sql"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// statement is a query that most requests run. Bun renders its text once,
// with placeholders, and each connection prepares it once: text with the
// arguments in it would be planned anew every time.
type statement struct {
	text   string
	sqlite atomic.Pointer[sql.Stmt] // prepared at first use, when the tables are there
}

func (s *statement) render(query *bun.SelectQuery) { s.text = query.String() }

// queryRow runs a statement that returns at most one row.
func (db *DB) queryRow(ctx context.Context, s *statement, arg any, dest ...any) error {
	countStatement(ctx)
	if db.pool == nil {
		return db.querySQLiteRow(ctx, s, arg, dest)
	}
	err := db.pool.QueryRow(ctx, s.text, db.prepared, arg).Scan(dest...)
	if err != nil && pgconn.SafeToRetry(err) { // the connection had died while idle
		err = db.pool.QueryRow(ctx, s.text, db.prepared, arg).Scan(dest...)
	}
	return wrap(err)
}

func (db *DB) querySQLiteRow(ctx context.Context, s *statement, arg any, dest []any) error {
	stmt := s.sqlite.Load()
	if stmt == nil {
		var err error
		if stmt, err = db.read.DB.PrepareContext(ctx, s.text); err != nil {
			return wrap(err)
		}
		if !s.sqlite.CompareAndSwap(nil, stmt) { // another request was first
			_ = stmt.Close()
			stmt = s.sqlite.Load()
		}
	}
	return wrap(stmt.QueryRowContext(ctx, arg).Scan(dest...))
}
