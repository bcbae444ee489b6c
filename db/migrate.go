package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"
)

//go:embed migrations
var migrations embed.FS

// SchemaLock is the key of the PostgreSQL advisory lock that migrations hold. It is
// an arbitrary number that nothing else uses.
const SchemaLock = 0x706f7274666f6c69

// Errors of a schema that is not the current one.
var (
	// ErrSchemaBehind means that migrations have not been applied.
	ErrSchemaBehind = errors.New("the database's schema is behind")
	// ErrSchemaNewer means that a newer version of this program has applied migrations
	// that this version does not have.
	ErrSchemaNewer = errors.New("the database's schema is newer than this version")
)

// migrator returns a migrator and the migrations of this version.
func (db *DB) migrator(pool *bun.DB) (*migrate.Migrator, migrate.MigrationSlice, error) {
	directory := "migrations/sqlite"
	if db.Postgres() {
		directory = "migrations/postgres"
	}
	files, err := fs.Sub(migrations, directory)
	if err != nil {
		return nil, nil, err
	}
	collection := migrate.NewMigrations()
	if err := collection.Discover(files); err != nil {
		return nil, nil, err
	}
	return migrate.NewMigrator(pool, collection, migrate.WithMarkAppliedOnSuccess(true)), collection.Sorted(), nil
}

// CheckSchema returns an error that wraps ErrSchemaBehind or ErrSchemaNewer unless
// exactly the migrations of this version have been applied.
func (db *DB) CheckSchema(ctx context.Context) error {
	migrator, embedded, err := db.migrator(db.read)
	if err != nil {
		return err
	}
	applied, err := migrator.AppliedMigrations(ctx)
	switch err := wrap(err); {
	case errors.Is(err, ErrUnavailable), ctx.Err() != nil:
		return err
	case err != nil: // the table of migrations does not exist
		return ErrSchemaBehind
	}
	if err := checkNotNewer(applied, embedded); err != nil {
		return err
	}
	if len(missingFrom(applied, embedded)) > 0 {
		return ErrSchemaBehind
	}
	return nil
}

// checkNotNewer returns an error that wraps ErrSchemaNewer if migrations were applied
// that this version does not have.
func checkNotNewer(applied, embedded migrate.MigrationSlice) error {
	if unknown := missingFrom(embedded, applied); len(unknown) > 0 {
		return fmt.Errorf("%w: it has the migration %s", ErrSchemaNewer, strings.Join(unknown, ", "))
	}
	return nil
}

// missingFrom returns the names of the migrations that a list does not have.
func missingFrom(list, migrations migrate.MigrationSlice) (names []string) {
	for _, migration := range migrations {
		if !slices.ContainsFunc(list, func(m migrate.Migration) bool { return m.Name == migration.Name }) {
			names = append(names, migration.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Migrate applies the missing migrations and returns their names. If one fails, it returns
// the names of the migrations that it applied before. Concurrent processes wait for each
// other.
func (db *DB) Migrate(ctx context.Context) (names []string, err error) {
	unlock, err := db.lockSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock the schema: %w", err)
	}
	defer func() { err = errors.Join(err, unlock(err == nil)) }()
	migrator, embedded, err := db.migrator(db.write)
	if err != nil {
		return nil, err
	}
	if err := migrator.Init(ctx); err != nil {
		return nil, wrap(err)
	}
	previous, err := migrator.AppliedMigrations(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	if err := checkNotNewer(previous, embedded); err != nil {
		return nil, err
	}
	if err := db.checkTables(ctx, db.write); err != nil {
		return nil, err
	}
	group, err := migrator.Migrate(ctx)
	applied := group.Migrations
	if err != nil {
		applied = applied[:max(0, len(applied)-1)]
		if !db.Postgres() {
			applied = nil // all are rolled back
		}
	}
	for _, migration := range applied {
		names = append(names, migration.String())
	}
	if err == nil && db.Postgres() {
		err = db.createSearchIndexes(ctx)
	}
	return names, wrap(err)
}

// lockTimeout bounds how long Migrate waits for another process, if the URL does not set
// lock_timeout.
const lockTimeout = time.Minute

// ErrMigrating means that another process migrates the database.
var ErrMigrating = errors.New("another process is migrating the database")

// lockSchema makes other processes wait in Migrate until unlock is called.
func (db *DB) lockSchema(ctx context.Context) (unlock func(commit bool) error, err error) {
	if db.Postgres() {
		return db.lockPostgres(ctx)
	}
	// The writer has one connection, so Migrate runs in this transaction.
	if _, err := db.write.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return nil, wrap(err)
	}
	return func(commit bool) error {
		statement := "COMMIT"
		if !commit {
			statement = "ROLLBACK"
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTimeout)
		defer cancel()
		_, err := db.write.ExecContext(ctx, statement)
		return wrap(err)
	}, nil
}

// lockPostgres holds a lock in a transaction, which works through a pooler too. It opens
// a connection, because the pool may have only one, which Migrate needs.
func (db *DB) lockPostgres(ctx context.Context) (unlock func(commit bool) error, err error) {
	connection, err := pgx.ConnectConfig(ctx, db.pool.Config().ConnConfig)
	if err != nil {
		return nil, wrap(err)
	}
	closeConnection := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		return wrap(connection.Close(ctx))
	}
	for _, statement := range []string{
		"BEGIN",
		"SET LOCAL idle_in_transaction_session_timeout = 0",
		fmt.Sprintf("SELECT set_config('lock_timeout', '%dms', true) WHERE current_setting('lock_timeout') = '0'", lockTimeout.Milliseconds()),
		fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(SchemaLock)),
	} {
		if _, err = connection.Exec(ctx, statement); err != nil {
			break
		}
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "55P03" { // lock_not_available
		err = ErrMigrating
	}
	if err != nil {
		return nil, errors.Join(wrap(err), closeConnection())
	}
	return func(bool) error { return closeConnection() }, nil
}
