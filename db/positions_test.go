package db_test

import (
	"database/sql"
	"errors"
	"runtime"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestMoveAfterChangeOfPortfolio moves links whose portfolio is changed or deleted
// while the move waits for the lock of the old one.
func TestMoveAfterChangeOfPortfolio(t *testing.T) {
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
