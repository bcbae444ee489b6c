package db_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestQueryCache_ServesMoreListsThanItHolds reads more kinds of pages than the cache of prepared
// queries holds.
func TestQueryCache_ServesMoreListsThanItHolds(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, "../compat/testdata/fixtures.json", func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		for range 2 {
			for limit := range 300 {
				page, err := database.PortfolioLinks(t.Context(), nil, db.List{Order: db.NewOrderBy(), Limit: limit + 1, WithRows: true})
				if err != nil {
					t.Fatal(err)
				}
				if want := min(limit+1, 113); len(page.Rows) != want || page.HasMore != (limit+1 < 113) {
					t.Errorf("limit %d: %d rows, more %t", limit+1, len(page.Rows), page.HasMore)
				}
			}
		}
	})
}

// TestLists_WorkUnprepared reads lists with default_query_exec_mode=exec, in which
// PostgreSQL is not asked for the types of the arguments.
func TestLists_WorkUnprepared(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, "../compat/testdata/fixtures.json")
	database := dbtest.Open(t, dsn+"&default_query_exec_mode=exec")
	first := int64(1)
	for _, order := range orders(append(timestamped, db.OrderByPosition)...) {
		start := sql.Null[db.Time]{V: db.Time{Time: time.Unix(0, 0).UTC()}, Valid: true}
		list := db.List{
			Filter: db.Filter{Search: "LINK", CreatedFrom: start, UpdatedFrom: start, HasImage: sql.Null[bool]{V: true, Valid: true}},
			Order:  order, Limit: 3, WithRows: true, WithImages: true, WithTotal: true, WithPreceding: true,
		}
		var one, two []int64
		for range 3 {
			page, err := database.PortfolioLinks(t.Context(), &first, list)
			if err != nil {
				t.Fatal(order, err)
			}
			for _, link := range page.Rows {
				one = append(one, link.ID)
			}
			list.Cursor = sql.Null[db.Cursor]{V: page.Rows[len(page.Rows)-1].Cursor(), Valid: true}
		}
		list.Cursor, list.Limit = sql.Null[db.Cursor]{}, 9
		portfolios, err := database.Portfolios(t.Context(), db.List{Order: db.NewOrderBy(), Limit: 10, WithRows: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, portfolio := range portfolios.Rows {
			page, err := database.Links(t.Context(), portfolio, list)
			if err != nil {
				t.Fatal(order, err)
			}
			for _, link := range page.Rows {
				if portfolio.ID == 1 {
					two = append(two, link.ID)
				}
			}
		}
		if diff := cmp.Diff(one, two); diff != "" || len(one) != 9 {
			t.Errorf("%v: %s", order, diff)
		}
	}
}

// TestFilter_ComparesLongTexts reads links whose names and URLs differ after the
// characters that an index holds.
func TestFilter_ComparesLongTexts(t *testing.T) {
	t.Parallel()
	prefix := strings.Repeat("a", 255)
	text := func(s string) sql.Null[string] { return sql.Null[string]{V: s, Valid: true} }
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'x')")
		for id, suffix := range []string{"", "b", "c"} {
			dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name, url) VALUES ($1, 1, $2, $2)", id, prefix+suffix)
		}
		database := dbtest.Open(t, dsn)
		for id, suffix := range []string{"", "b", "c"} {
			for _, filter := range []db.Filter{{Name: text(prefix + suffix)}, {URL: text(prefix + suffix)}} {
				page, err := database.PortfolioLinks(t.Context(), nil, db.List{Filter: filter, Order: db.NewOrderBy(), Limit: 3, WithRows: true})
				if err != nil || len(page.Rows) != 1 || page.Rows[0].ID != int64(id) {
					t.Errorf("%+v: %v, %v", filter, page.Rows, err)
				}
			}
		}
	})
}

// TestCursor_AcceptsAnyName reads from cursors whose names the database may not be able to store.
func TestCursor_AcceptsAnyName(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		for _, name := range []string{"\xff", "a\x00b", strings.Repeat("\xe2\x82", 300), "\xed\xa0\x80"} {
			for _, direction := range []db.Direction{db.Ascending, db.Descending} {
				list := db.List{
					Order: db.NewOrderBy(db.Order{Field: db.OrderByName, Direction: direction}), Limit: 3, WithRows: true, WithPreceding: true,
					Cursor: sql.Null[db.Cursor]{V: db.Cursor{Name: name, ID: 1}, Valid: true},
				}
				if _, err := database.Portfolios(t.Context(), list); err != nil {
					t.Errorf("%q %s: %v", name, direction, err)
				}
			}
		}
	})
}
