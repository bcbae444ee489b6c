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
	// ErrSchemaNewer means that a newer version has applied migrations that this
	// one does not know.
	ErrSchemaNewer = errors.New("the database's schema is newer than this version")
)

// migrator returns a migrator and the migrations that it knows.
func (db *DB) migrator(on *bun.DB) (*migrate.Migrator, migrate.MigrationSlice, error) {
	directory := "migrations/sqlite"
	if db.Postgres() {
		directory = "migrations/postgres"
	}
	files, err := fs.Sub(migrations, directory)
	if err != nil {
		return nil, nil, err
	}
	found := migrate.NewMigrations()
	if err := found.Discover(files); err != nil {
		return nil, nil, err
	}
	return migrate.NewMigrator(on, found, migrate.WithMarkAppliedOnSuccess(true)), found.Sorted(), nil
}

// CheckSchema returns an error that wraps ErrSchemaBehind or ErrSchemaNewer unless
// exactly the migrations that this version knows have been applied.
func (db *DB) CheckSchema(ctx context.Context) error {
	migrator, known, err := db.migrator(db.read)
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
	if err := checkKnown(applied, known); err != nil {
		return err
	}
	if len(without(known, applied)) > 0 {
		return ErrSchemaBehind
	}
	return nil
}

// checkKnown returns an error that wraps ErrSchemaNewer if migrations were applied
// that this version does not know.
func checkKnown(applied, known migrate.MigrationSlice) error {
	if unknown := without(applied, known); len(unknown) > 0 {
		return fmt.Errorf("%w: it has the migration %s", ErrSchemaNewer, strings.Join(unknown, ", "))
	}
	return nil
}

// without returns the names of the migrations that are not among others.
func without(migrations, others migrate.MigrationSlice) (names []string) {
	for _, migration := range migrations {
		if !slices.ContainsFunc(others, func(other migrate.Migration) bool { return other.Name == migration.Name }) {
			names = append(names, migration.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Migrate applies the missing migrations and returns their names, also of those
// that were applied before one failed. Concurrent processes wait for each other.
func (db *DB) Migrate(ctx context.Context) (names []string, err error) {
	unlock, err := db.lockSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock the schema: %w", err)
	}
	defer func() { err = errors.Join(err, unlock(err == nil)) }()
	migrator, known, err := db.migrator(db.write)
	if err != nil {
		return nil, err
	}
	if err := migrator.Init(ctx); err != nil {
		return nil, wrap(err)
	}
	before, err := migrator.AppliedMigrations(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	if err := checkKnown(before, known); err != nil {
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

// lockTimeout bounds how long a process waits for another one that migrates, if
// the URL does not set lock_timeout.
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
		end := "COMMIT"
		if !commit {
			end = "ROLLBACK"
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockTimeout)
		defer cancel()
		_, err := db.write.ExecContext(ctx, end)
		return wrap(err)
	}, nil
}

// lockPostgres holds a lock in a transaction, which also works through a pooler
// that gives each transaction another connection. The pool may have one
// connection only, which Migrate needs.
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
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "55P03" { // lock_not_available
		err = ErrMigrating
	}
	if err != nil {
		return nil, errors.Join(wrap(err), closeConnection())
	}
	return func(bool) error { return closeConnection() }, nil
}
