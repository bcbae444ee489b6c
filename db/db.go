// Package db keeps users, tokens, portfolios and images in PostgreSQL or
// SQLite. It is the only package that writes SQL, and each query is written
// once for both.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	"golang.org/x/sync/semaphore"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

const (
	connectTimeout = 5 * time.Second
	cancelTimeout  = 500 * time.Millisecond // for PostgreSQL to end a statement that is no longer wanted
)

// DB is an open database.
type DB struct {
	// SQLite has one writer and several readers; on PostgreSQL both are the
	// same pool.
	write, read *bun.DB

	directory string // of SQLite's files

	pool     *pgxpool.Pool     // nil on SQLite
	prepared pgx.QueryExecMode // how PostgreSQL runs a statement

	// lists leaves a quarter of the connections to lookups and changes.
	lists *semaphore.Weighted

	linkLookups    batcher[int64, *PortfolioLink]
	linksByIDs     [7]statement // for up to maxBatch ids
	imageByID      statement
	portfolioByID  statement
	portfoliosByID statement
	userByToken    statement
	rows, counts   statements // of lists
}

// Open opens postgres://... or sqlite:PATH. It does not migrate, and a
// PostgreSQL server that does not answer is ErrUnavailable.
func Open(ctx context.Context, dsn string) (*DB, error) {
	scheme, path, _ := strings.Cut(dsn, ":")
	switch scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, dsn)
	case "sqlite":
		if path == "" {
			return nil, errors.New("sqlite: needs a path, such as sqlite:data/portfolio.db")
		}
		return openSQLite(ctx, path)
	default:
		return nil, errors.New("not postgres://... or sqlite:PATH")
	}
}

func openPostgres(ctx context.Context, dsn string) (*DB, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("not a PostgreSQL address") // the cause may hold the password
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	// A statement whose context is done is ended on the server too, and its
	// connection stays usable.
	config.ConnConfig.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: connection, DeadlineDelay: cancelTimeout}
	}
	// Bun writes arguments into the text, so most statements are new to the
	// server and preparing them would cost a round trip each.
	prepared := config.ConnConfig.DefaultQueryExecMode
	if prepared == pgx.QueryExecModeCacheStatement {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns++ // for lookups and changes, while lists have all others
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, wrap(err)
	}
	connections := stdlib.OpenDBFromPool(pool)
	connections.SetMaxOpenConns(int(config.MaxConns))
	bunDB := newBun(connections, pgdialect.New())
	db := &DB{write: bunDB, read: bunDB, pool: pool, prepared: prepared}
	db.prepare()
	if err := db.checkEncoding(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkEncoding refuses a database in which characters are not what Go takes
// them for: searches and orders would be wrong.
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

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the database's folder: %w", err)
	}
	write, err := sqliteConnections(path, 1, "_txlock=immediate")
	if err != nil {
		return nil, err
	}
	read, err := sqliteConnections(path, max(4, runtime.GOMAXPROCS(0)), "_query_only=1")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	db := &DB{
		write:     newBun(write, sqlitedialect.New()),
		read:      newBun(read, sqlitedialect.New()),
		directory: filepath.Dir(path),
	}
	db.prepare()
	if err := db.write.PingContext(ctx); err != nil { // makes the file before a reader looks for it
		return nil, errors.Join(wrap(err), db.Close())
	}
	return db, nil
}

// sqliteConnections opens a pool whose every connection has the settings of
// the DSN: one set later would hold for one connection only.
func sqliteConnections(path string, count int, setting string) (*sql.DB, error) {
	address := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "_busy_timeout=10000&_journal_mode=WAL" +
		"&_synchronous=FULL&_foreign_keys=1&" + setting}
	connections, err := sql.Open("sqlite", address.String())
	if err != nil {
		return nil, wrap(err)
	}
	connections.SetMaxOpenConns(count)
	connections.SetMaxIdleConns(count)
	return connections, nil
}

func newBun(connections *sql.DB, dialect schema.Dialect) *bun.DB {
	return bun.NewDB(connections, dialect).WithQueryHook(counter{})
}

func (db *DB) prepare() {
	spared := max(1, db.Connections()/4)
	db.lists = semaphore.NewWeighted(int64(max(1, db.Connections()-spared)))
	db.prepareLinkLookups()
	db.imageByID.render(db.images().Where("image.id = $1"))
	db.portfolioByID.render(db.portfolios().Where("portfolio.id = $1"))
	db.portfoliosByID.render(db.portfolios().Where("portfolio.id IN (SELECT parent.value FROM " + db.parents() + ")"))
	db.userByToken.render(db.tokenUsers().Where("t.key_hash = $1"))
}

// Close waits for queries under way and closes every connection.
func (db *DB) Close() error {
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	if db.pool != nil {
		db.pool.Close()
	}
	return err
}

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	return wrap(db.read.PingContext(ctx))
}

// CheckWritable returns an error unless rows can be written: on SQLite, unless
// there is room on its disk.
func (db *DB) CheckWritable(ctx context.Context) error {
	if db.Postgres() {
		var readOnly bool
		err := db.read.NewSelect().ColumnExpr("current_setting('transaction_read_only')::bool").Scan(ctx, &readOnly)
		if err == nil && readOnly {
			err = errors.New("the database is read-only")
		}
		return wrap(err)
	}
	file, err := os.CreateTemp(db.directory, "writable-")
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, 1<<16)) // as much as a transaction may need
	return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}

// Postgres reports whether the database is PostgreSQL.
func (db *DB) Postgres() bool { return db.pool != nil }

// SearchIndexed reports whether searches have an index: PostgreSQL may lack the
// extension that it takes.
func (db *DB) SearchIndexed(ctx context.Context) (bool, error) {
	if !db.Postgres() {
		return true, nil
	}
	indexed, err := db.read.NewSelect().Table("pg_indexes").Where("indexname = 'portfolio_links_search'").Exists(ctx)
	return indexed, wrap(err)
}

// Connections returns how many statements can run at once.
func (db *DB) Connections() int { return db.read.Stats().MaxOpenConnections }

type meterKey struct{}

// WithMeter returns a context under which each row of a list is counted by its
// size, in bytes. An error of the meter ends the statement.
func WithMeter(ctx context.Context, meter func(bytes int) error) context.Context {
	return context.WithValue(ctx, meterKey{}, meter)
}

type counterKey struct{}

// WithCounter returns a context that counts the SQL statements run under it.
func WithCounter(ctx context.Context) (context.Context, *atomic.Int64) {
	count := new(atomic.Int64)
	return context.WithValue(ctx, counterKey{}, count), count
}

func countStatement(ctx context.Context) {
	if count, ok := ctx.Value(counterKey{}).(*atomic.Int64); ok {
		count.Add(1)
	}
}

// counter is the Bun hook behind WithCounter.
type counter struct{}

func (counter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	countStatement(ctx)
	return ctx
}

func (counter) AfterQuery(context.Context, *bun.QueryEvent) {}
