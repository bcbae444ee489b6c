package db

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// A preparedQuery is a query that many requests run. Bun renders its text once,
// with placeholders, and each connection prepares it once. If the text contained
// the arguments, the database would plan it each time.
type preparedQuery struct {
	name    string // see Statement
	text    string
	sqlite  atomic.Pointer[sql.Stmt] // prepared at first use, when the tables exist
	search  bool                     // whether the plan depends on the text of the search
	used    atomic.Bool              // whether it was used since the last call of evict
	removed atomic.Bool              // whether it was removed from the cache, so it is not prepared
}

// close removes the prepared statement. Running executions continue.
func (q *preparedQuery) close() {
	q.removed.Store(true)
	if stmt := q.sqlite.Swap(nil); stmt != nil {
		go func() { _ = stmt.Close() }() // waits for running executions
	}
}

func (q *preparedQuery) render(name string, query *bun.SelectQuery) {
	q.name, q.text = name, query.String()
}

// row is the current row of a result.
type row interface{ Scan(dest ...any) error }

// query runs a query, and passes every scanned row to each. The meter of ctx counts the rows,
// and an error of the meter ends the statement. query may modify args.
func query[R sizer](ctx context.Context, db *DB, q *preparedQuery, args []any, scan func(row) (R, error), each func(R)) error {
	meter := meterFrom(ctx)
	return db.runObserved(ctx, q, args, func(row row) error {
		value, err := scanStored(db, row, scan)
		if err == nil {
			err = meter.count(value)
		}
		if err == nil {
			each(value)
		}
		return err
	})
}

// runObserved runs a query, and calls each for every row. Call query instead, which also
// counts the rows.
func (db *DB) runObserved(ctx context.Context, q *preparedQuery, args []any, each func(row) error) error {
	recordQuery(ctx)
	if db.observe == nil {
		return db.run(ctx, q, args, each)
	}
	start := time.Now()
	err := db.run(ctx, q, args, each)
	db.observe(ctx, Statement{Name: q.name, Start: start, Err: err})
	return err
}

// run runs a query, and calls each for every row. It repeats a query that the server has not
// executed.
func (db *DB) run(ctx context.Context, q *preparedQuery, args []any, each func(row) error) error {
	if db.pool == nil {
		return wrap(db.querySQLite(ctx, q, args, each))
	}
	for i, arg := range args {
		if t, ok := arg.(Time); ok {
			args[i] = t.Time
		}
	}
	mode := db.execMode
	if q.search && mode == pgx.QueryExecModeCacheStatement {
		mode = pgx.QueryExecModeExec
	}
	err := db.queryPostgres(ctx, mode, q.text, args, each)
	switch {
	case err == nil:
	case isOutdated(err): // on other connections too
		err = db.queryPostgres(ctx, pgx.QueryExecModeExec, q.text, args, each)
	case pgconn.SafeToRetry(err): // an idle connection had died
		err = db.queryPostgres(ctx, mode, q.text, args, each)
	}
	return wrap(err)
}

// isOutdated reports whether a prepared statement was not executed because the type of a
// column has changed since. The connection forgets the statement.
func isOutdated(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "0A000" && pgErr.Routine == "RevalidateCachedQuery"
}

// queryOne runs a query that returns at most one row. If there is none it
// returns ErrNotFound.
func queryOne[R sizer](ctx context.Context, db *DB, q *preparedQuery, scan func(row) (R, error), args ...any) (R, error) {
	var (
		result R
		exists bool
	)
	err := query(ctx, db, q, args, scan, func(value R) { result, exists = value, true })
	if err == nil && !exists {
		err = ErrNotFound
	}
	return result, err
}

func (db *DB) queryPostgres(ctx context.Context, mode pgx.QueryExecMode, text string, args []any, each func(row) error) error {
	rows, err := db.pool.Query(ctx, text, append([]any{mode}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := eachRow(rows, each); err != nil {
		return err
	}
	return rows.Err()
}

func (db *DB) querySQLite(ctx context.Context, q *preparedQuery, args []any, each func(row) error) error {
	rows, err := db.startSQLite(ctx, q, args)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if err := eachRow(rows, each); err != nil {
		return err
	}
	return rows.Err()
}

func (db *DB) startSQLite(ctx context.Context, q *preparedQuery, args []any) (rows *sql.Rows, err error) {
	if !q.removed.Load() {
		var stmt *sql.Stmt
		if stmt, err = db.prepareSQLite(ctx, q); err == nil {
			rows, err = stmt.QueryContext(ctx, args...)
		}
	}
	if q.removed.Load() && rows == nil { // also if it was removed meanwhile, which closed the statement
		rows, err = db.read.DB.QueryContext(ctx, q.text, args...)
	}
	return rows, err
}

// prepareSQLite returns the prepared statement of a query, which concurrent calls share.
func (db *DB) prepareSQLite(ctx context.Context, q *preparedQuery) (*sql.Stmt, error) {
	if stmt := q.sqlite.Load(); stmt != nil {
		return stmt, nil
	}
	stmt, err := db.read.DB.PrepareContext(ctx, q.text)
	if err != nil {
		return nil, err
	}
	if !q.sqlite.CompareAndSwap(nil, stmt) { // a concurrent request was first
		_ = stmt.Close()
		return db.prepareSQLite(ctx, q)
	}
	if q.removed.Load() {
		q.close()
	}
	return stmt, nil
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

// maxCachedQueries bounds a queryCache. Clients can choose among many filters
// and orders, but use few of them.
const maxCachedQueries = 256

// A queryCache holds prepared queries by the keys that determine their texts.
type queryCache struct {
	mu      sync.RWMutex
	queries map[any]*preparedQuery
}

// get returns the query of a key and builds it at first use. If the cache is full, it
// removes another query.
func (c *queryCache) get(key any, name string, search bool, build func() *bun.SelectQuery) *preparedQuery {
	c.mu.RLock()
	cached := c.queries[key]
	c.mu.RUnlock()
	if cached != nil {
		if !cached.used.Load() {
			cached.used.Store(true)
		}
		return cached
	}
	q := &preparedQuery{search: search}
	q.render(name, build())
	c.mu.Lock()
	defer c.mu.Unlock()
	if cached := c.queries[key]; cached != nil { // a concurrent request was first
		return cached
	}
	if len(c.queries) >= maxCachedQueries {
		c.evict()
	}
	if c.queries == nil {
		c.queries = map[any]*preparedQuery{}
	}
	c.queries[key] = q
	return q
}

// evict removes a query that was not used since the last call. If all were used, it removes any
// query. The iteration over a map begins at a random element.
func (c *queryCache) evict() {
	var unused any
	for key, q := range c.queries {
		if unused = key; !q.used.Swap(false) {
			break
		}
	}
	c.queries[unused].close()
	delete(c.queries, unused)
}
