package db

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"
)

//go:embed migrations
var migrations embed.FS

// advisoryLock is the key of the PostgreSQL lock that migrations hold. It is an
// arbitrary number that nothing else uses.
const advisoryLock = 0x706f7274666f6c69

// ErrSchemaBehind means that migrations have not been applied.
var ErrSchemaBehind = errors.New("the database's schema is behind")

func (db *DB) migrator(on *bun.DB) (*migrate.Migrator, error) {
	directory := "migrations/sqlite"
	if db.Postgres() {
		directory = "migrations/postgres"
	}
	files, err := fs.Sub(migrations, directory)
	if err != nil {
		return nil, err
	}
	found := migrate.NewMigrations()
	if err := found.Discover(files); err != nil {
		return nil, err
	}
	return migrate.NewMigrator(on, found, migrate.WithMarkAppliedOnSuccess(true)), nil
}

// CheckSchema returns ErrSchemaBehind unless all migrations have been applied.
func (db *DB) CheckSchema(ctx context.Context) error {
	migrator, err := db.migrator(db.read)
	if err != nil {
		return err
	}
	known, err := migrator.MigrationsWithStatus(ctx)
	switch err := wrap(err); {
	case errors.Is(err, ErrUnavailable), ctx.Err() != nil:
		return err
	case err != nil, len(known.Unapplied()) > 0: // on an error, the table of migrations does not exist
		return ErrSchemaBehind
	}
	return nil
}

// Migrate applies the missing migrations and returns their names. Concurrent
// processes wait for each other.
func (db *DB) Migrate(ctx context.Context) (names []string, err error) {
	unlock, err := db.lockSchema(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock the schema: %w", wrap(err))
	}
	defer func() { err = errors.Join(err, unlock(err == nil)) }()
	migrator, err := db.migrator(db.write)
	if err != nil {
		return nil, err
	}
	if err := migrator.Init(ctx); err != nil {
		return nil, wrap(err)
	}
	group, err := migrator.Migrate(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	for _, migration := range group.Migrations {
		names = append(names, migration.String())
	}
	return names, nil
}

// lockSchema makes other processes wait in Migrate until unlock is called.
func (db *DB) lockSchema(ctx context.Context) (unlock func(commit bool) error, err error) {
	if !db.Postgres() {
		// The writer has one connection, so Migrate runs in this transaction.
		if _, err := db.write.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return nil, err
		}
		return func(commit bool) error {
			end := "COMMIT"
			if !commit {
				end = "ROLLBACK"
			}
			_, err := db.write.ExecContext(context.WithoutCancel(ctx), end)
			return wrap(err)
		}, nil
	}
	// A lock of a transaction also works through a pooler that gives each
	// transaction another connection.
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(advisoryLock)); err != nil {
		return nil, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	return func(bool) error { return wrap(tx.Commit(context.WithoutCancel(ctx))) }, nil
}
