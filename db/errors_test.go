package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestTransaction_EndsAtDeadline checks that a statement that waits for a lock ends with its
// context, and that its connection stays usable.
func TestTransaction_EndsAtDeadline(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
		release, changed := dbtest.Lock(t, dsn, "portfolios"), "changed"
		for range 2 * database.Connections() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err := database.UpdatePortfolio(ctx, 1, nil, db.PortfolioUpdate{Name: &changed})
			if !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("change: %v", err)
			}
			if database.Postgres() {
				if _, err := database.Portfolio(ctx, 1); !errors.Is(err, db.ErrUnavailable) {
					t.Errorf("lookup: %v", err)
				}
			}
			cancel()
		}
		release()
		if portfolio, err := database.Portfolio(t.Context(), 1); err != nil || portfolio.Name != "one" {
			t.Errorf("%v, %v", portfolio, err)
		}
	})
}

// TestSearch_EndsWithContext checks that a search that reads every row ends with its
// context, even if it finds no further row.
func TestSearch_EndsWithContext(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (portfolio_id, name, description) VALUES (1, 'zz', NULL)")
		dbtest.Exec(t, dsn, `INSERT INTO portfolio_links (portfolio_id, name, description)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT 1, 'x', $1 FROM n`, strings.Repeat("z-", 2000))
		if database.Postgres() { // reads the rows within milliseconds on some machines
			defer dbtest.Lock(t, dsn, "portfolio_links")()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		for _, list := range []db.List{{WithRows: true, Limit: 1}, {WithTotal: true}} {
			list.Filter, list.Order = db.Filter{Search: "ZZ"}, db.NewOrderBy()
			if page, err := database.PortfolioLinks(ctx, nil, list); !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%+v: %+v, %v", list, page, err)
			}
		}
	})
}

// TestTransaction_IsUnavailableIfConnectionBreaks checks the error of a transaction whose
// connection has broken between two statements.
func TestTransaction_IsUnavailableIfConnectionBreaks(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t, dbtest.Postgres(t))
	err := database.Transaction(t.Context(), func(ctx context.Context, tx bun.Tx) error {
		_, _ = tx.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
		_, err := tx.ExecContext(ctx, "SELECT 1")
		return err
	})
	if !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
