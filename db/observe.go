package db

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
)

type queryCountKey struct{}

// WithQueryCounter returns a context whose SQL statements add 1 to count.
func WithQueryCounter(ctx context.Context, count *atomic.Int64) context.Context {
	return context.WithValue(ctx, queryCountKey{}, count)
}

func recordQuery(ctx context.Context) {
	if count, ok := ctx.Value(queryCountKey{}).(*atomic.Int64); ok {
		count.Add(1)
	}
	readSetFrom(ctx).addAll()
}

// queryCounter is the Bun hook behind WithQueryCounter, ReadSet and tryTransaction.
type queryCounter struct{}

func (queryCounter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	recordQuery(ctx)
	return ctx
}

func (queryCounter) AfterQuery(ctx context.Context, event *bun.QueryEvent) { recordChange(ctx, event) }

// Statement is an SQL statement that was run.
type Statement struct {
	Name  string // such as "SELECT portfolio_links by id"; there are a few dozen
	Start time.Time
	Err   error
	// Batched is set for each caller that waited for the statement of a batch. The
	// statement itself is observed once, without a request's context.
	Batched bool
}

// Observe makes the database call observe, possibly concurrently, after each statement. It must
// be called before the database is used.
func (db *DB) Observe(observe func(context.Context, Statement)) {
	db.observe = observe
	singlePool := db.read == db.write
	db.write = db.write.WithQueryHook(statementObserver{observe})
	if singlePool {
		db.read = db.write
	} else {
		db.read = db.read.WithQueryHook(statementObserver{observe})
	}
}

// statementObserver is the Bun hook behind Observe.
type statementObserver struct {
	observe func(context.Context, Statement)
}

func (statementObserver) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	return ctx
}

func (o statementObserver) AfterQuery(ctx context.Context, event *bun.QueryEvent) {
	err := event.Err
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	o.observe(ctx, Statement{Name: statementName(event), Start: event.StartTime, Err: err})
}

// statementName returns the operation and the table of a statement, if it has a single
// table.
func statementName(event *bun.QueryEvent) string {
	name := strings.ToUpper(event.Operation())
	if event.IQuery != nil {
		table := strings.Trim(event.IQuery.GetTableName(), `"`)
		if table != "" && strings.Trim(table, "abcdefghijklmnopqrstuvwxyz_") == "" { // not a subquery
			name += " " + table
		}
	}
	return name
}

// Pool is the state of a pool of connections.
type Pool struct {
	Name            string
	Max, Open, Idle int
	Waits           int64 // for a connection, since the start
	Waited          time.Duration
}

// Pools returns the state of the pools: one on PostgreSQL, and on SQLite one for
// reading and one for writing.
func (db *DB) Pools() []Pool {
	if db.pool == nil {
		return []Pool{newPool("read", db.read.Stats()), newPool("write", db.write.Stats())}
	}
	// Bun's connections come from the same pool, and wait for it in database/sql.
	bun, stat := db.read.Stats(), db.pool.Stat()
	return []Pool{{
		Name: "postgres", Max: int(stat.MaxConns()), Open: int(stat.TotalConns()), Idle: int(stat.IdleConns()),
		Waits: bun.WaitCount + stat.EmptyAcquireCount(), Waited: bun.WaitDuration + stat.EmptyAcquireWaitTime(),
	}}
}

func newPool(name string, stats sql.DBStats) Pool {
	return Pool{
		Name: name, Max: stats.MaxOpenConnections, Open: stats.OpenConnections, Idle: stats.Idle,
		Waits: stats.WaitCount, Waited: stats.WaitDuration,
	}
}
