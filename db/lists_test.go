package db_test

import (
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestManyShapes asks for more kinds of pages than are kept prepared.
func TestManyShapes(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
		database := dbtest.Open(t, dsn)
		for range 2 {
			for limit := range 300 {
				page, err := database.PortfolioLinks(t.Context(), nil, db.List{Order: db.Order{Field: db.OrderByID, Direction: db.Ascending}, Limit: limit + 1, WithRows: true})
				if err != nil {
					t.Fatal(err)
				}
				if want := min(limit+1, 113); len(page.Rows) != want || page.More != (limit+1 < 113) {
					t.Errorf("limit %d: %d rows, more %t", limit+1, len(page.Rows), page.More)
				}
			}
		}
	})
}
