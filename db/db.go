// Package db stores users, tokens, portfolios, links and images in PostgreSQL
// or SQLite. It is the only package that writes SQL, and each query is written
// once for both.
package db

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
	"golang.org/x/sync/semaphore"

	"portfolio/internal/files"
)

// DB is an open database.
type DB struct {
	// SQLite has one writing connection and several readers; on PostgreSQL
	// both are the same pool.
	write, read *bun.DB

	path string      // of SQLite's file
	file *sqliteFile // nil on PostgreSQL

	pool     *pgxpool.Pool     // nil on SQLite
	execMode pgx.QueryExecMode // of prepared queries

	choosesServer bool                     // whether target_session_attrs chooses among the hosts of the URL
	receiver      atomic.Pointer[receiver] // nil without a listener
	lastServer    string                   // of the last listener; calls of Listen do not overlap

	// listSlots leaves a quarter of the connections to lookups and changes.
	listSlots *semaphore.Weighted

	linkLookups    batcher[int64, *PortfolioLink]
	linksByIDs     [7]preparedQuery // for 1, 2, 4 ... maxBatch IDs
	imageByID      preparedQuery
	portfolioByID  preparedQuery
	portfoliosByID preparedQuery
	userByToken    preparedQuery

	rowQueries, countQueries queryCache // of lists

	observe func(context.Context, Statement) // nil unless Observe was called
}

// Open parses a URL and opens the database, as URL.Open does.
func Open(ctx context.Context, dsn string) (*DB, error) {
	parsed, err := ParseURL(dsn)
	if err != nil {
		return nil, err
	}
	return parsed.Open(ctx)
}

func newBun(connections *sql.DB, dialect schema.Dialect) *bun.DB {
	return bun.NewDB(connections, dialect).WithQueryHook(queryCounter{})
}

func (db *DB) prepare() {
	reserved := max(1, db.Connections()/4)
	db.listSlots = semaphore.NewWeighted(int64(max(1, db.Connections()-reserved)))
	db.prepareLinkLookups()
	db.imageByID.render("SELECT images by id", db.selectImages("images AS image").Where("image.id = $1"))
	db.portfolioByID.render("SELECT portfolios by id", db.selectPortfolios("portfolios AS portfolio").Where("portfolio.id = $1"))
	db.portfoliosByID.render("SELECT portfolios by ids", db.selectPortfolios("portfolios AS portfolio").Where("portfolio.id IN (SELECT parent.value FROM "+db.idTable()+")"))
	db.userByToken.render("SELECT users by token", db.selectTokenOwners().Where("t.key_hash = $1"))
}

// Close waits for running queries and closes every connection.
func (db *DB) Close() error {
	if db.file != nil {
		db.file.close()
	}
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	if db.pool != nil {
		db.pool.Close()
	}
	return err
}

// CheckWritable returns an error if PostgreSQL is read-only, or if SQLite's
// disk is full.
func (db *DB) CheckWritable(ctx context.Context) error {
	if db.Postgres() {
		var readOnly bool
		err := db.read.NewSelect().ColumnExpr("current_setting('transaction_read_only')::bool").Scan(ctx, &readOnly)
		if err == nil && readOnly {
			db.chooseServer()
			err = errors.New("the database is read-only")
		}
		return wrap(err)
	}
	if err := db.checkAccess(); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(db.path), "writable-")
	if err != nil {
		return files.Explain("", err)
	}
	_, err = file.Write(make([]byte, 1<<16)) // as much as a transaction may need
	return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}

// Postgres reports whether the database is PostgreSQL.
func (db *DB) Postgres() bool { return db.pool != nil }

// Connections returns the maximum number of concurrent statements.
func (db *DB) Connections() int { return db.read.Stats().MaxOpenConnections }

// Empty reports whether there is neither a user nor a portfolio.
func (db *DB) Empty(ctx context.Context) (bool, error) {
	for _, model := range []any{(*User)(nil), (*Portfolio)(nil)} {
		if exists, err := db.read.NewSelect().Model(model).Exists(ctx); err != nil || exists {
			return false, wrap(err)
		}
	}
	return true, nil
}

// Load inserts models with their IDs, either all or none.
func (db *DB) Load(ctx context.Context, models ...any) error {
	return wrap(db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, model := range models {
			if _, err := tx.NewInsert().Model(model).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}
