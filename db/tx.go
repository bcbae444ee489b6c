package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// maxTries bounds how often a transaction runs on PostgreSQL.
const maxTries = 5

// transaction runs do in a transaction. It runs do again after a conflict with a concurrent
// transaction or an existing ID, or if the server has become read-only.
func (db *DB) transaction(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	for try := 1; ; try++ {
		err := db.tryTransaction(ctx, do)
		if errors.Is(err, errPortfolioChanged) && try < maxTries {
			continue
		}
		if err == nil && ctx.Err() != nil {
			// A server that waits for its standbys reports a canceled COMMIT as successful. It
			// loses the commit if it fails before they have it.
			return fmt.Errorf("%w: %w", ErrCommitUnknown, ctx.Err())
		}
		if err == nil || errors.Is(err, ErrCommitUnknown) {
			return err
		}
		if err := db.prepareRetry(ctx, err, try); err != nil {
			return wrap(err)
		}
	}
}

// prepareRetry returns the error of a try, or nil if the transaction may be tried again.
func (db *DB) prepareRetry(ctx context.Context, err error, try int) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || try == maxTries {
		return err
	}
	switch {
	case pgErr.Code == readOnlyTransaction && db.choosesServer && try == 1: // on another server
		return nil
	case pgErr.Code == "40001", pgErr.Code == "40P01": // serialization_failure, deadlock_detected
		return nil
	case pgErr.Code == "23505" && strings.HasSuffix(pgErr.ConstraintName, "_pkey"):
		return db.resetSequence(ctx, pgErr.TableName)
	}
	return err
}

// runTx runs do in a transaction. The error wraps ErrCommitUnknown if the outcome is unknown.
func (db *DB) runTx(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	isCommitting := false
	err := db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		err := do(ctx, tx)
		if err == nil {
			err = ctx.Err() // COMMIT would fail with it
		}
		isCommitting = err == nil
		return err
	})
	if err != nil && isCommitting && !isRolledBack(err) {
		return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
	}
	return err
}

// maxGenerated bounds generated IDs. A row may be loaded with the largest ID
// that exists; IDs are still generated after it.
const maxGenerated = 1 << 62

// resetSequence makes PostgreSQL generate IDs greater than the IDs of all rows. Rows
// that were loaded with IDs do not advance the sequence.
func (db *DB) resetSequence(ctx context.Context, table string) error {
	return db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// The lock excludes inserts that have generated an ID but not stored it.
		if _, err := tx.ExecContext(ctx, "LOCK TABLE ? IN SHARE ROW EXCLUSIVE MODE", bun.Ident(table)); err != nil {
			return err
		}
		_, err := tx.NewRaw("SELECT setval(s, greatest(nextval(s), (SELECT max(id) FROM ? WHERE id < ?))) FROM pg_get_serial_sequence(?, 'id') AS s",
			bun.Ident(table), int64(maxGenerated), table).Exec(ctx)
		return err
	})
}

// insert stores new rows by one statement. It sets their IDs, which are fields of
// model, unless they are already set.
func (db *DB) insert(ctx context.Context, tx bun.Tx, table string, model any, ids ...*int64) error {
	if *ids[0] == 0 && !db.Postgres() { // SQLite generates none after a row with the largest ID
		var next int64
		err := tx.NewRaw(`SELECT 1 + coalesce(max(id), 0) FROM (
			SELECT max(id) AS id FROM ? WHERE id < ? UNION ALL SELECT seq FROM sqlite_sequence WHERE name = ? AND seq < ?)`,
			bun.Ident(table), int64(maxGenerated), table, int64(maxGenerated)).Scan(ctx, &next)
		if err != nil {
			return err
		}
		for i, id := range ids {
			*id = next + int64(i)
		}
	}
	_, err := tx.NewInsert().Model(model).Exec(ctx)
	return err
}

// lock selects a row, or returns ErrNotFound. Until the transaction ends, no concurrent
// transaction can change the row. With mode KEY SHARE none can delete it.
func (db *DB) lock(ctx context.Context, tx bun.IDB, model any, id int64, mode string) error {
	return db.selectLocked(ctx, tx.NewSelect().Model(model).Where("id = ?", id), mode)
}

// lockUnchanged locks a row for a change. It returns ErrNotFound, or ErrStale
// if the row was not updated at the expected time.
func (db *DB) lockUnchanged(ctx context.Context, tx bun.Tx, model interface{ updated() Time }, id int64, expected *Time) error {
	if err := db.lock(ctx, tx, model, id, "UPDATE"); err != nil {
		return err
	}
	if expected != nil && !model.updated().Equal(expected.Time) {
		return ErrStale
	}
	return nil
}

func (db *DB) selectLocked(ctx context.Context, query *bun.SelectQuery, mode string, dest ...any) error {
	if db.Postgres() { // SQLite has a single writer
		query = query.For(mode)
	}
	return wrap(query.Scan(ctx, dest...))
}

// nextUpdatedAt returns the later of the current time and a microsecond after previous.
func nextUpdatedAt(previous Time) Time {
	now, next := Now(), Time{previous.Add(time.Microsecond)}
	if now.After(previous.Time) || next.Year() > 9999 {
		return now
	}
	return next
}

// assign sets a field unless value is nil.
func assign[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
