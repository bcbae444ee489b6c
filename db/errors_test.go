package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestDeadline: what waits for a lock ends with its context, and the connection
// is good for the next statement.
func TestDeadline(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
		release := dbtest.Lock(t, dsn, "portfolios")
		for range 2 * database.Connections() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_, err := database.UpdatePortfolio(ctx, 1, nil, func(portfolio *db.Portfolio) { portfolio.Name = "changed" })
			if !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("a change: %v", err)
			}
			if database.Postgres() {
				if _, err := database.Portfolio(ctx, 1); !errors.Is(err, db.ErrUnavailable) {
					t.Errorf("a lookup: %v", err)
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

// TestInterrupted: a statement that works for long is ended on the server too.
func TestInterrupted(t *testing.T) {
	dsn := dbtest.Postgres(t)
	database := dbtest.Open(t, dsn)
	dbtest.Exec(t, dsn, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$")
	dbtest.Exec(t, dsn, "CREATE TRIGGER slow BEFORE INSERT ON portfolios FOR EACH ROW EXECUTE FUNCTION slow()")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := database.CreatePortfolio(ctx, "x"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.Background()) }()
	for active := 1; active > 0; { // the request to cancel may be on its way
		const statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'INSERT%'"
		if err := connection.QueryRow(t.Context(), statement).Scan(&active); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSearchIsInterrupted: a search that looks at every row ends with its
// context, however late the next row that it finds.
func TestSearchIsInterrupted(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (portfolio_id, name, description) VALUES (1, 'zz', NULL)")
		dbtest.Exec(t, dsn, `INSERT INTO portfolio_links (portfolio_id, name, description)
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) SELECT 1, 'x', $1 FROM n`, strings.Repeat("z-", 2000))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		for _, list := range []db.List{{WithRows: true, Limit: 1}, {WithTotal: true}} {
			list.Filter, list.Order = db.Filter{Search: "ZZ"}, db.Order{Field: db.OrderByID, Direction: db.Ascending}
			if page, err := database.PortfolioLinks(ctx, nil, list); !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%+v: %+v, %v", list, page, err)
			}
		}
	})
}

// TestTimeoutsOfTheServer: what the operator's own time-outs end may be tried
// again.
func TestTimeoutsOfTheServer(t *testing.T) {
	dsn := dbtest.Postgres(t)
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
	release := dbtest.Lock(t, dsn, "portfolios")
	defer release()
	for _, setting := range []string{"statement_timeout", "lock_timeout"} {
		database := dbtest.Open(t, dsn+"&"+setting+"=20")
		if _, err := database.Portfolio(t.Context(), 1); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}
