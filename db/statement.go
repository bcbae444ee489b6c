package db

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// statement is a query that many requests run. Bun renders its text once,
// with placeholders, and each connection prepares it once: text with the
// arguments in it would be planned anew every time.
type statement struct {
	text   string
	sqlite atomic.Pointer[sql.Stmt] // prepared at first use, when the tables are there
	rare   bool                     // not worth a place among the prepared ones
	search bool                     // planned with the text that is searched
}

func (s *statement) render(query *bun.SelectQuery) { s.text = query.String() }

// row is the current row of a result.
type row interface{ Scan(dest ...any) error }

// query runs a statement and hands over each of its rows.
func (db *DB) query(ctx context.Context, s *statement, args []any, each func(row) error) error {
	countStatement(ctx)
	if db.pool == nil {
		return wrap(db.querySQLite(ctx, s, args, each))
	}
	for i, arg := range args {
		if time, ok := arg.(Time); ok {
			args[i] = time.Time
		}
	}
	err := db.queryPostgres(ctx, s, args, each)
	if err != nil && pgconn.SafeToRetry(err) { // the connection had died while idle
		err = db.queryPostgres(ctx, s, args, each)
	}
	return wrap(err)
}

// queryOne runs a statement that returns at most one row, none being
// ErrNotFound.
func queryOne[T any](ctx context.Context, db *DB, s *statement, scan func(row) (*T, error), args ...any) (*T, error) {
	var found *T
	err := db.query(ctx, s, args, func(row row) (err error) {
		found, err = scan(row)
		return err
	})
	if err == nil && found == nil {
		err = ErrNotFound
	}
	return found, err
}

func (db *DB) queryPostgres(ctx context.Context, s *statement, args []any, each func(row) error) error {
	mode := db.prepared
	if s.search && mode == pgx.QueryExecModeCacheStatement {
		mode = pgx.QueryExecModeExec
	}
	rows, err := db.pool.Query(ctx, s.text, append([]any{mode}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := eachRow(rows, each); err != nil {
		return err
	}
	return rows.Err()
}

func (db *DB) querySQLite(ctx context.Context, s *statement, args []any, each func(row) error) error {
	rows, err := db.startSQLite(ctx, s, args)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if err := eachRow(rows, each); err != nil {
		return err
	}
	return rows.Err()
}

func (db *DB) startSQLite(ctx context.Context, s *statement, args []any) (*sql.Rows, error) {
	if s.rare {
		return db.read.DB.QueryContext(ctx, s.text, args...)
	}
	stmt := s.sqlite.Load()
	if stmt == nil {
		var err error
		if stmt, err = db.read.DB.PrepareContext(ctx, s.text); err != nil {
			return nil, err
		}
		if !s.sqlite.CompareAndSwap(nil, stmt) { // another request was first
			_ = stmt.Close()
			stmt = s.sqlite.Load()
		}
	}
	return stmt.QueryContext(ctx, args...)
}

func eachRow(rows interface {
	row
	Next() bool
}, each func(row) error) error {
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return nil
}

// maxStatements bounds the statements that are kept prepared: clients choose
// among many filters and orders, and use few of them.
const maxStatements = 256

// statements holds the statement of each shape of query.
type statements struct {
	mu    sync.RWMutex
	known map[any]*statement
}

// of finds the statement of a shape, or has it rendered.
func (s *statements) of(shape any, search bool, render func() *bun.SelectQuery) *statement {
	s.mu.RLock()
	found := s.known[shape]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	rendered := &statement{search: search}
	rendered.render(render())
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[shape]; found != nil { // another request was first
		return found
	}
	if len(s.known) >= maxStatements {
		rendered.rare = true
		return rendered
	}
	if s.known == nil {
		s.known = map[any]*statement{}
	}
	s.known[shape] = rendered
	return rendered
}
