package db_test

import (
	"strings"
	"sync"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestQueryCache_KeepsUsedQueries reads lists of more shapes than are cached, and one of them
// again and again.
func TestQueryCache_KeepsUsedQueries(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		read := func(limit int) {
			t.Helper()
			if _, err := database.Portfolios(t.Context(), db.List{Order: db.NewOrderBy(), Limit: limit, WithRows: true}); err != nil {
				t.Fatal(err)
			}
		}
		for limit := range 600 {
			read(1000)
			read(limit)
		}
		cached, prepared := database.CachedQueries()
		if cached != db.MaxCachedQueries || !database.Postgres() && prepared != cached {
			t.Errorf("%d cached, %d prepared, want %d", cached, prepared, db.MaxCachedQueries)
		}
		if !database.HasCachedList("portfolios", 1000) || !database.HasCachedList("portfolios", 599) {
			t.Error("the list that is read most, or last, is not cached")
		}
	})
}

// TestQueryCache_EvictsDuringExecutions executes queries while goroutines remove them from
// the cache.
func TestQueryCache_EvictsDuringExecutions(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (name) VALUES ('x')"+strings.Repeat(", ('x')", 19))
		database := dbtest.Open(t, dsn)
		var clients sync.WaitGroup
		for client := range 8 {
			clients.Go(func() {
				for i := range 400 {
					limit := 1 + (i*7+client)%400
					page, err := database.Portfolios(t.Context(), db.List{Order: db.NewOrderBy(), Limit: limit, WithRows: true})
					if err != nil || len(page.Rows) != min(limit, 20) {
						t.Errorf("limit %d: %+v, %v", limit, page, err)
						return
					}
				}
			})
		}
		clients.Wait()
	})
}
