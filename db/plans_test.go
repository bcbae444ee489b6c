package db_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// loadMany inserts 1,000 portfolios, and 1,000 links into each of the first 100.
// Every second link has an image.
func loadMany(t testing.TB, dsn string) {
	t.Helper()
	numbers := func(n int) string { return fmt.Sprintf("generate_series(CAST(1 AS bigint), %d) AS n (n)", n) }
	time := func(text string) string {
		return "CAST('2026-01-01T00:00:00Z' AS timestamptz) + " + text + " * interval '1 second'"
	}
	if strings.HasPrefix(dsn, "sqlite:") {
		numbers = func(n int) string {
			return fmt.Sprintf("(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s) AS n", n)
		}
		time = func(text string) string {
			return "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1767225600 + " + text + ", 'unixepoch')"
		}
	}
	for _, statement := range []string{
		"INSERT INTO portfolios (id, name, created_at, updated_at) SELECT n, 'Portfolio ' || n * 7919 % 1000, " + time("n * 104729 % 1000") + ", " + time("n * 1299709 % 1000") + " FROM " + numbers(1000),
		"INSERT INTO images (id, type, name, path, size) SELECT n, 'image', 'n', 'p', n FROM " + numbers(20_000),
		"INSERT INTO thumbnails (image_id, path, size) SELECT n, 't' || n, 64 FROM " + numbers(4000),
		"INSERT INTO portfolio_links (id, portfolio_id, image_id, name, created_at, updated_at) SELECT n, 1 + n % 100, CASE WHEN n % 2 = 0 THEN 1 + n % 20000 END, 'Link ' || n * 7919 % 100000, " +
			time("n * 104729 % 100000") + ", " + time("n * 1299709 % 100000") + " FROM " + numbers(100_000),
		"ANALYZE",
	} {
		dbtest.Exec(t, dsn, statement)
	}
}

// TestPlans checks that pages of each order, in both directions, from the start
// and from the middle, are read in the order of an index until they are full.
func TestPlans(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		loadMany(t, dsn)
		database := dbtest.Open(t, dsn)
		inOrder := regexp.MustCompile(`Limit[^\n]*\n *->  Index (Only )?Scan`)
		wrong := regexp.MustCompile(`Seq Scan`)
		if !database.Postgres() {
			inOrder = regexp.MustCompile(`(?m)^(SCAN|SEARCH) (portfolios|portfolio_links) USING (COVERING )?(INDEX|INTEGER PRIMARY KEY)`)
			wrong = regexp.MustCompile(`(portfolios|portfolio_links)[^\n]*\nUSE TEMP B-TREE`)
		}
		check := func(list db.List, plan string, err error) {
			t.Helper()
			byRow := !database.Postgres() && list.Order.Field == db.OrderByID && strings.Contains(plan, "\nSCAN portfolio") // rows are stored by id
			if err != nil || !inOrder.MatchString(plan) && !byRow || wrong.MatchString(plan) {
				t.Errorf("%+v: %v\n%s", list, err, plan)
			}
		}
		middle := sql.Null[db.Cursor]{V: db.Cursor{ID: 50_000, Name: "Link 50000", Time: db.Now()}, Valid: true}
		for _, field := range []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt} {
			for _, direction := range []db.Direction{db.Ascending, db.Descending} {
				for _, cursor := range []sql.Null[db.Cursor]{{}, middle} {
					list := db.List{Order: db.Order{Field: field, Direction: direction}, Cursor: cursor, Limit: 20, WithRows: true, WithImages: true}
					plan, err := database.ExplainPortfolios(t.Context(), list)
					check(list, plan, err)
					for _, portfolios := range [][]int64{nil, {5}, {5, 6, 7}} {
						plan, err := database.ExplainLinks(t.Context(), list, portfolios...)
						check(list, plan, err)
					}
				}
			}
		}
	})
}
