package db_test

import (
	"database/sql"
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestMoveLink_BetweenConcurrentChanges moves a link between two links that have to be
// moved apart, while another transaction changes one of them.
func TestMoveLink_BetweenConcurrentChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		want   []int64
	}{
		"left renamed":               {"UPDATE portfolio_links SET name = 'y' WHERE id = 10", []int64{5, 10, 30, 20, 25}},
		"right renamed":              {"UPDATE portfolio_links SET name = 'y' WHERE id = 20", []int64{5, 10, 30, 20, 25}},
		"both renamed":               {"UPDATE portfolio_links SET name = 'y' WHERE id IN (10, 20)", []int64{5, 10, 30, 20, 25}},
		"left deleted":               {"DELETE FROM portfolio_links WHERE id = 10", []int64{5, 30, 20, 25}},
		"right deleted":              {"DELETE FROM portfolio_links WHERE id = 20", []int64{5, 10, 30, 25}},
		"right in another portfolio": {"UPDATE portfolio_links SET portfolio_id = 2 WHERE id = 20", []int64{5, 10, 30, 25}},
		"right moved":                {"UPDATE portfolio_links SET position = 0.25 WHERE id = 20", []int64{20, 5, 10, 30, 25}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.Postgres(t)
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'x'), (2, 'x')")
			dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name, position) VALUES (5, 1, 'x', 0.5), (10, 1, 'x', 1), (20, 1, 'x', 1 + 2.220446049250313e-16), (25, 1, 'x', 8), (30, 1, 'x', 9)")
			database := dbtest.Open(t, dsn)
			err := whileChanged(t, dsn, c.change, func() error {
				_, err := database.MoveLink(t.Context(), 30, nil, db.LinkMove{AnchorID: 10, After: true})
				return err
			})
			byPosition := db.NewOrderBy(db.Order{Field: db.OrderByPosition, Direction: db.Ascending})
			page, listErr := database.PortfolioLinks(t.Context(), new(int64(1)), db.List{Order: byPosition, Limit: 10, WithRows: true})
			var got []int64
			for _, link := range page.Rows {
				got = append(got, link.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil || listErr != nil {
				t.Errorf("%v, %v, %s", err, listErr, diff)
			}
		})
	}
}

// TestMoveLink_KeepsUpdatedAtOfAdjacentLinks checks that updatedAt of links that are
// moved apart stays: nobody edited them, and their order does not change.
func TestMoveLink_KeepsUpdatedAtOfAdjacentLinks(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'x')")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name, position) VALUES (10, 1, 'x', 1), (20, 1, 'x', 1 + 2.220446049250313e-16), (30, 1, 'x', 9)")
		database := dbtest.Open(t, dsn)
		before, err := database.PortfolioLink(t.Context(), nil, 20)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := database.MoveLink(t.Context(), 30, nil, db.LinkMove{AnchorID: 10, After: true})
		if err != nil {
			t.Fatal(err)
		}
		after, err := database.PortfolioLink(t.Context(), nil, 20)
		if err != nil || after.Position() <= moved.Position() || after.Position() == before.Position() {
			t.Errorf("moved %v, before %v, after %v, %v", moved.Position(), before.Position(), after.Position(), err)
		}
		if _, err := database.UpdateLink(t.Context(), 20, &before.UpdatedAt, db.LinkUpdate{Name: new("y")}); err != nil {
			t.Errorf("edit of the neighbour: %v", err)
		}
	})
}

// whileChanged makes a change in a transaction, runs do until it waits for the transaction,
// commits, and returns the error of do.
func whileChanged(t *testing.T, dsn, change string, do func() error) error {
	t.Helper()
	connections, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connections.Close() }()
	tx, err := connections.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	for waiting := 0; waiting == 0 && len(done) == 0; runtime.Gosched() {
		if err := connections.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return <-done
}

// TestMoveLink_AfterChangeOfPortfolio moves links whose portfolio is changed or deleted
// while the move waits for the lock of the old one.
func TestMoveLink_AfterChangeOfPortfolio(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   string
		want     error
		position float64
	}{
		"changed":             {"UPDATE portfolio_links SET portfolio_id = 2 WHERE id = 10", nil, 20.5},
		"changed and deleted": {"WITH moved AS (UPDATE portfolio_links SET portfolio_id = 2 WHERE id = 10) DELETE FROM portfolios WHERE id = 1", nil, 20.5},
		"to a third":          {"UPDATE portfolio_links SET portfolio_id = 3 WHERE id = 10", db.ErrOtherPortfolio, 0},
		"deleted":             {"DELETE FROM portfolios WHERE id = 1", db.ErrNotFound, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := dbtest.Postgres(t)
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'x'), (2, 'x'), (3, 'x')")
			dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (10, 1, 'x'), (20, 2, 'x'), (21, 2, 'x')")
			other, err := sql.Open("pgx", dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			tx, err := other.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), "SELECT 1 FROM portfolios WHERE id = 1 FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
			database, done := dbtest.Open(t, dsn), make(chan struct{})
			var link *db.PortfolioLink
			var moveErr error
			go func() {
				defer close(done)
				link, moveErr = database.MoveLink(t.Context(), 10, nil, db.LinkMove{AnchorID: 20, After: true})
			}()
			for waiting := 0; waiting == 0; runtime.Gosched() {
				if err := other.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tx.ExecContext(t.Context(), c.change); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			<-done
			if !errors.Is(moveErr, c.want) || c.want == nil && (link.PortfolioID != 2 || link.Position() != c.position) {
				t.Errorf("%+v, %v", link, moveErr)
			}
		})
	}
}
