package db_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// observed collects statements.
type observed struct {
	mu         sync.Mutex
	statements []db.Statement
}

func (o *observed) add(_ context.Context, s db.Statement) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statements = append(o.statements, s)
}

// names returns the names since the last call, and whether each failed or is
// shared.
func (o *observed) names() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := []string{}
	for _, s := range o.statements {
		name := s.Name
		if s.Batched {
			name += ", shared"
		}
		if s.Err != nil {
			name += ", failed"
		}
		names = append(names, name)
	}
	o.statements = nil
	return names
}

func TestObserve_NamesStatements(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		t.Parallel()
		var o observed
		database.Observe(o.add)
		portfolio, err := database.CreatePortfolio(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		created := []string{"BEGIN", "INSERT portfolios", "COMMIT"}
		if !database.Postgres() {
			created = slices.Insert(created, 1, "SELECT") // the next id
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		list := db.List{Limit: 1, Order: db.NewOrderBy(), WithRows: true, WithTotal: true}
		search := list
		search.Filter.Search = "text"
		for _, c := range []struct {
			name string
			do   func() error
			want []string
		}{
			{"create", func() error { return nil }, created},
			{"portfolio", func() error { _, err := database.Portfolio(t.Context(), portfolio.ID); return err }, []string{"SELECT portfolios by id"}},
			{"missing link", func() error { _, err := database.PortfolioLink(t.Context(), nil, 1); return err }, []string{"SELECT portfolio_links by id"}},
			{"missing user", func() error { _, err := database.UpdateUser(t.Context(), "nobody", db.UserUpdate{}); return err }, []string{"BEGIN", "SELECT users", "ROLLBACK"}},
			{"canceled", func() error { _, err := database.Portfolio(canceled, 1); return err }, []string{"SELECT portfolios by id, failed"}},
			{"canceled change", func() error { _, err := database.CreatePortfolio(canceled, "two"); return err }, []string{"BEGIN, failed"}},
			{"list", func() error { _, err := database.Portfolios(t.Context(), list); return err }, []string{"SELECT portfolios count", "SELECT portfolios list"}},
			{"search", func() error { _, err := database.Images(t.Context(), search); return err }, []string{"SELECT images count with search", "SELECT images list with search"}},
			{"nodes", func() error { _, err := database.Nodes(t.Context(), db.TokenNode, []int64{1, 2}); return err }, []string{"SELECT tokens by ids"}},
		} {
			_ = c.do()
			got := o.names()
			slices.Sort(got)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
	})
}

// TestObserve_CountsBatchOnce checks that a statement for several lookups is observed once,
// and besides for each of them.
func TestObserve_CountsBatchOnce(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	database := dbtest.Open(t, dsn)
	var o observed
	database.Observe(o.add)
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.Background()) }()
	release := dbtest.Lock(t, dsn, "portfolio_links")
	var lookups sync.WaitGroup
	for waiting := range 2 {
		lookups.Go(func() { _, _ = database.PortfolioLink(t.Context(), nil, 1) })
		for locked := 0; locked <= waiting; {
			if err := connection.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'portfolio_links'::regclass").Scan(&locked); err != nil {
				t.Fatal(err)
			}
		}
	}
	release()
	lookups.Wait()
	got := o.names()
	slices.Sort(got)
	const name = "SELECT portfolio_links by id"
	if diff := cmp.Diff([]string{name, name, name + ", shared"}, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}
