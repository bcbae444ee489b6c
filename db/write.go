package db

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// maxTries bounds how often a transaction is tried on PostgreSQL.
const maxTries = 5

// transaction runs do in a transaction, and once more where the first run had
// to give way to another or met an id that rows were loaded with.
func (db *DB) transaction(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	for try := 1; ; try++ {
		err := db.write.RunInTx(ctx, nil, do)
		refused, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || try == maxTries {
			return wrap(err)
		}
		switch {
		case refused.Code == "40001", refused.Code == "40P01": // serialization_failure, deadlock_detected
		case refused.Code == "23505" && strings.HasSuffix(refused.ConstraintName, "_pkey"):
			if err := db.moveSequence(ctx, refused.TableName); err != nil {
				return wrap(err)
			}
		default:
			return wrap(err)
		}
	}
}

// maxGenerated is the end of the ids that are generated: a row may be loaded
// with the largest id there is, and there must be room after it.
const maxGenerated = 1 << 62

// moveSequence makes PostgreSQL generate ids beyond those of the rows. Rows
// that were loaded with an id of their own do not do that.
func (db *DB) moveSequence(ctx context.Context, table string) error {
	return db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		// Nobody else inserts meanwhile: no generated id is under way.
		if _, err := tx.ExecContext(ctx, "LOCK TABLE ? IN SHARE ROW EXCLUSIVE MODE", bun.Ident(table)); err != nil {
			return err
		}
		_, err := tx.NewRaw("SELECT setval(s, greatest(nextval(s), (SELECT max(id) FROM ? WHERE id < ?))) FROM pg_get_serial_sequence(?, 'id') AS s",
			bun.Ident(table), int64(maxGenerated), table).Exec(ctx)
		return err
	})
}

// insert stores a new row and sets its id, a field of the model, unless it is
// given.
func (db *DB) insert(ctx context.Context, tx bun.Tx, table string, model any, id *int64) error {
	if *id == 0 && !db.Postgres() { // SQLite generates none once a row has the largest id there is
		err := tx.NewRaw(`SELECT 1 + coalesce(max(id), 0) FROM (
			SELECT max(id) AS id FROM ? WHERE id < ? UNION ALL SELECT seq FROM sqlite_sequence WHERE name = ? AND seq < ?)`,
			bun.Ident(table), int64(maxGenerated), table, int64(maxGenerated)).Scan(ctx, id)
		if err != nil {
			return err
		}
	}
	_, err := tx.NewInsert().Model(model).Exec(ctx)
	return err
}

// lock finds a row and keeps others from changing it, or from deleting it
// with mode KEY SHARE, until the transaction ends. It returns ErrNotFound.
func (db *DB) lock(ctx context.Context, tx bun.IDB, model any, id int64, mode string) error {
	return db.scanLocked(ctx, tx.NewSelect().Model(model).Where("id = ?", id), mode)
}

func (db *DB) scanLocked(ctx context.Context, query *bun.SelectQuery, mode string) error {
	if db.Postgres() { // SQLite has one writer anyway
		query = query.For(mode)
	}
	return wrap(query.Scan(ctx))
}

// checkUpdated is ErrStale unless the row is as it was expected.
func checkUpdated(updated Time, expected *Time) error {
	if expected != nil && !updated.Equal(expected.Time) {
		return ErrStale
	}
	return nil
}

// after is now, but later than a time that was written already, if there is
// such a time.
func after(written Time) Time {
	now, next := Now(), Time{written.Add(time.Microsecond)}
	if now.After(written.Time) || next.Year() > 9999 {
		return now
	}
	return next
}

// CreatePortfolio stores a portfolio.
func (db *DB) CreatePortfolio(ctx context.Context, name string) (*Portfolio, error) {
	now := Now()
	portfolio := &Portfolio{Name: name, CreatedAt: now, UpdatedAt: now}
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		return db.insert(ctx, tx, "portfolios", portfolio, &portfolio.ID)
	})
	return portfolio, err
}

// UpdatePortfolio changes a portfolio under a lock. It returns ErrNotFound, or
// ErrStale if the portfolio was updated at another time than expected.
func (db *DB) UpdatePortfolio(ctx context.Context, id int64, expected *Time, change func(*Portfolio)) (*Portfolio, error) {
	var portfolio Portfolio
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		portfolio = Portfolio{}
		if err := db.lock(ctx, tx, &portfolio, id, "UPDATE"); err != nil {
			return err
		}
		if err := checkUpdated(portfolio.UpdatedAt, expected); err != nil {
			return err
		}
		change(&portfolio)
		portfolio.UpdatedAt = after(portfolio.UpdatedAt)
		_, err := tx.NewUpdate().Model(&portfolio).ExcludeColumn("created_at").WherePK().Exec(ctx)
		return err
	})
	return &portfolio, err
}

// DeletePortfolio deletes a portfolio with its links, and returns it and the
// ids of the links, ascending. Errors are those of UpdatePortfolio.
func (db *DB) DeletePortfolio(ctx context.Context, id int64, expected *Time) (*Portfolio, []int64, error) {
	var (
		portfolio Portfolio
		links     []int64
	)
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		portfolio, links = Portfolio{}, []int64{}
		if err := db.lock(ctx, tx, &portfolio, id, "UPDATE"); err != nil {
			return err
		}
		if err := checkUpdated(portfolio.UpdatedAt, expected); err != nil {
			return err
		}
		if err := tx.NewDelete().Model((*PortfolioLink)(nil)).Where("portfolio_id = ?", id).Returning("id").Scan(ctx, &links); err != nil {
			return err
		}
		slices.Sort(links)
		_, err := tx.NewDelete().Model(&portfolio).WherePK().Exec(ctx)
		return err
	})
	return &portfolio, links, err
}

// CreateLink stores a link, of which it sets the id and the times, and with it
// its image if it comes with ImageData. The error holds ErrNoPortfolio and ErrNoImage where the link names what is not there.
func (db *DB) CreateLink(ctx context.Context, link *PortfolioLink) error {
	link.CreatedAt = Now()
	link.UpdatedAt = link.CreatedAt
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := db.lockNamed(ctx, tx, &link.PortfolioID, link.ImageID); err != nil {
			return err
		}
		if err := db.insertNewImage(ctx, tx, link); err != nil {
			return err
		}
		if err := db.insert(ctx, tx, "portfolio_links", link, &link.ID); err != nil {
			return err
		}
		return readImage(ctx, tx, link)
	})
}

// UpdateLink changes a link under a lock. It returns ErrNotFound, ErrStale if
// the link was updated at another time than expected, or the errors of
// CreateLink about a portfolio or image given here. To move the link to the
// portfolio or give it the image is up to change; ImageData that it sets is
// stored as a new image.
func (db *DB) UpdateLink(ctx context.Context, id int64, expected *Time, portfolioID, imageID *int64, change func(*PortfolioLink)) (*PortfolioLink, error) {
	var link PortfolioLink
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		link = PortfolioLink{}
		// First, as deleting a portfolio does it: who locks in one order does not deadlock.
		if err := db.lockNamed(ctx, tx, portfolioID, imageID); err != nil {
			return err
		}
		if err := db.lock(ctx, tx, &link, id, "UPDATE"); err != nil {
			return err
		}
		if err := checkUpdated(link.UpdatedAt, expected); err != nil {
			return err
		}
		change(&link)
		if err := db.insertNewImage(ctx, tx, &link); err != nil {
			return err
		}
		link.UpdatedAt = after(link.UpdatedAt)
		if _, err := tx.NewUpdate().Model(&link).ExcludeColumn("created_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		return readImage(ctx, tx, &link)
	})
	return &link, err
}

// DeleteLink deletes a link and returns it. Errors are those of
// UpdatePortfolio.
func (db *DB) DeleteLink(ctx context.Context, id int64, expected *Time) (*PortfolioLink, error) {
	var link PortfolioLink
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		link = PortfolioLink{}
		if err := db.lock(ctx, tx, &link, id, "UPDATE"); err != nil {
			return err
		}
		if err := checkUpdated(link.UpdatedAt, expected); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&link).WherePK().Exec(ctx); err != nil {
			return err
		}
		return readImage(ctx, tx, &link)
	})
	return &link, err
}

// lockNamed keeps what a link names from being deleted. A nil id names
// nothing.
func (db *DB) lockNamed(ctx context.Context, tx bun.IDB, portfolioID, imageID *int64) error {
	var missing []error
	for _, named := range []struct {
		id    *int64
		model any
		err   error
	}{
		{portfolioID, new(Portfolio), ErrNoPortfolio},
		{imageID, new(Image), ErrNoImage},
	} {
		if named.id == nil {
			continue
		}
		err := db.lock(ctx, tx, named.model, *named.id, "KEY SHARE")
		if errors.Is(err, ErrNotFound) {
			missing = append(missing, named.err)
		} else if err != nil {
			return err
		}
	}
	return errors.Join(missing...)
}

// CheckNamed returns the errors of CreateLink about a portfolio and an image.
func (db *DB) CheckNamed(ctx context.Context, portfolioID, imageID *int64) error {
	return db.lockNamed(ctx, db.read, portfolioID, imageID)
}

// readImage completes a link in the transaction that wrote it, so that what is
// done is also answered.
func readImage(ctx context.Context, tx bun.Tx, link *PortfolioLink) error {
	if link.ImageID == nil {
		return nil
	}
	link.ImageData = new(Image)
	return tx.NewSelect().Model(link.ImageData).Where("image.id = ?", *link.ImageID).
		Relation("Thumbnails", func(thumbnails *bun.SelectQuery) *bun.SelectQuery { return thumbnails.Order("thumbnail.id") }).
		Scan(ctx)
}
