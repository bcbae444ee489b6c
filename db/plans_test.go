package db_test

import (
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// loadMany inserts 1,000 portfolios, and 500 links into each of the first 100.
// Every second link has an image, image 2 has 1,000 links, and two links have the
// same URL.
func loadMany(t testing.TB, dsn string) {
	t.Helper()
	numbers := func(n int) string { return fmt.Sprintf("generate_series(CAST(1 AS bigint), %d) AS n (n)", n) }
	timestamp := func(text string) string {
		return "CAST('2026-01-01T00:00:00Z' AS timestamptz) + " + text + " * interval '1 second'"
	}
	if strings.HasPrefix(dsn, "sqlite:") {
		numbers = func(n int) string {
			return fmt.Sprintf("(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < %d) SELECT n FROM s) AS n", n)
		}
		timestamp = func(text string) string {
			return "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1767225600 + " + text + ", 'unixepoch')"
		}
	}
	for _, statement := range []string{
		"INSERT INTO portfolios (id, name, created_at, updated_at) SELECT n, 'Portfolio ' || n * 7919 % 1000, " + timestamp("n * 104729 % 1000") + ", " + timestamp("n * 1299709 % 1000") + " FROM " + numbers(1000),
		"INSERT INTO images (id, type, name, path, size, created_at) SELECT n, 'image', 'Image ' || n * 7919 % 10000, 'p' || n, n, " + timestamp("n * 104729 % 10000") + " FROM " + numbers(10_000),
		"INSERT INTO thumbnails (image_id, path, size) SELECT n, 't' || n, 64 FROM " + numbers(2000),
		"INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, created_at, updated_at) SELECT n, 1 + n % 100, CASE WHEN n % 100 = 1 THEN 2 WHEN n % 2 = 0 THEN 1 + n % 10000 END, 'Link ' || n * 7919 % 50000, 'https://example.com/' || n % 25000, " +
			timestamp("n * 104729 % 50000") + ", " + timestamp("n * 1299709 % 50000") + " FROM " + numbers(50_000),
		"ANALYZE",
	} {
		dbtest.Exec(t, dsn, statement)
	}
}

// timestamped are the fields by which portfolios can be ordered.
var timestamped = []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt}

func TestPlans_UseIndexes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		loadMany(t, dsn)
		database := dbtest.Open(t, dsn)
		checkOrders(t, database)
		checkFilters(t, database)
		checkAdjacentLinks(t, database)
		checkLinksOfImagesPlans(t, database, middle(25_000, "Link 25000"))
	})
}

// checkOrders checks that pages of each order, in both directions, from the start
// and from the middle, are read in the order of an index until they are full. The
// index need not hold the keys after the first.
func checkOrders(t *testing.T, database *db.DB) {
	pages := func(order db.OrderBy, middle sql.Null[db.Cursor], check func(db.List)) {
		for _, cursor := range []sql.Null[db.Cursor]{{}, middle} {
			check(db.List{Order: order, Cursor: cursor, Limit: 20, WithRows: true, WithImages: true})
		}
	}
	for _, order := range orders(timestamped...) {
		pages(order, middle(500, "Portfolio 500"), func(list db.List) {
			plan, err := database.ExplainPortfolios(t.Context(), list)
			checkPlan(t, database, list, plan, err)
		})
		pages(order, middle(25_000, "Link 25000"), func(list db.List) {
			plan, err := database.ExplainLinks(t.Context(), list)
			checkPlan(t, database, list, plan, err)
		})
		checkImagePlans(t, database, db.List{Order: order, Cursor: middle(5000, "Image 5"), Limit: 20, WithRows: true, WithImages: true})
	}
	for _, order := range orders(append(timestamped, db.OrderByPosition)...) {
		pages(order, middle(25_000, "Link 25000"), func(list db.List) {
			for _, portfolios := range [][]int64{{5}, {5, 6, 7}} {
				plan, err := database.ExplainLinks(t.Context(), list, portfolios...)
				checkPlan(t, database, list, plan, err)
			}
		})
	}
}

// checkAdjacentLinks checks that an index finds the adjacent link of each link.
func checkAdjacentLinks(t *testing.T, database *db.DB) {
	for _, direction := range []db.Direction{db.Ascending, db.Descending} {
		for _, ids := range [][]int64{{25_000}, {5, 6, 7, 25_000}} {
			plan, err := database.ExplainAdjacentLinks(t.Context(), direction, ids...)
			seek := `portfolio_links_portfolio_id_position [^\n]*\n *Index Cond: \(\(portfolio_id = of_link.portfolio_id\) AND \([^\n]*[<>]`
			if !database.Postgres() {
				seek = `SEARCH near USING COVERING INDEX portfolio_links_portfolio_id_position \(portfolio_id=\? AND <expr>[<>]\?\)`
			}
			if err != nil || !regexp.MustCompile(seek).MatchString(plan) || regexp.MustCompile(`Seq Scan|SCAN (link|of_link)`).MatchString(plan) {
				t.Errorf("%s %v: %v\n%s", direction, ids, err, plan)
			}
		}
	}
}

// middle returns the cursor of a row in the middle of a list.
func middle(id int64, name string) sql.Null[db.Cursor] {
	moment := db.Time{Time: time.Date(2026, 1, 1, 0, 0, int(id), 0, time.UTC)}
	return sql.Null[db.Cursor]{V: db.Cursor{ID: id, Name: name, CreatedAt: moment, UpdatedAt: moment, Position: float64(id)}, Valid: true}
}

// orders returns the orders by one of the fields, and by a second one in both
// directions.
func orders(fields ...db.OrderField) (orders []db.OrderBy) {
	for i, field := range fields {
		for _, direction := range []db.Direction{db.Ascending, db.Descending} {
			first := db.Order{Field: field, Direction: direction}
			orders = append(orders, db.NewOrderBy(first))
			if second := fields[(i+1)%len(fields)]; i > 0 {
				orders = append(orders, db.NewOrderBy(first, db.Order{Field: second, Direction: db.Ascending}), db.NewOrderBy(first, db.Order{Field: second, Direction: db.Descending}))
			}
		}
	}
	return orders
}

// checkPlan checks that a page is read in the order of an index, from its cursor.
func checkPlan(t *testing.T, database *db.DB, list db.List, plan string, err error) {
	t.Helper()
	inOrder, wrong, seek := `Limit[^\n]*\n *->  Index (Only )?Scan`, `Seq Scan`, `(?s)Limit.*Index Cond: [^\n]*[<>]`
	if list.Order != db.NewOrderBy(list.Order[0]) {
		inOrder = `Limit[^\n]*\n *->  Incremental Sort[^\n]*\n[^\n]*\n *Presorted Key: [^\n]*\n *->  Index Scan`
	}
	if !database.Postgres() {
		inOrder = `(?m)^(SCAN|SEARCH) (portfolios|portfolio_links|images) USING (COVERING )?(INDEX|INTEGER PRIMARY KEY)`
		wrong = `(portfolios|portfolio_links|images)[^\n]*\nUSE TEMP B-TREE FOR ORDER BY`
		seek = `(?m)^SEARCH (portfolios|portfolio_links|images) USING [^\n]*[<>]\?`
		if list.Order[0].Field == db.OrderByID { // rows are stored by id
			inOrder += `|SCAN (portfolio|images)`
		}
	}
	matches := func(pattern string) bool { return regexp.MustCompile(pattern).MatchString(plan) }
	if err != nil || !matches(inOrder) || matches(wrong) || list.Cursor.Valid && !matches(seek) {
		t.Errorf("%+v: %v\n%s", list, err, plan)
	}
}

// checkFilters checks that an index finds the rows of each filter for equal values,
// in every order.
func checkFilters(t *testing.T, database *db.DB) {
	text := func(s string) sql.Null[string] { return sql.Null[string]{V: s, Valid: true} }
	for pattern, filter := range map[string]db.Filter{
		"portfolio_links_(portfolio_id_)?name": {Name: text("Link 500")},
		"portfolio_links_url":                  {URL: text("https://example.com/500")},
		"portfolio_links_image_id":             {ImageID: sql.Null[int64]{V: 7, Valid: true}},
	} {
		index := regexp.MustCompile("(SEARCH portfolio_links USING INDEX|Scan (Backward )?(using|on)) " + pattern)
		for _, order := range orders(timestamped...) {
			list := db.List{Filter: filter, Order: order, Limit: 20, WithRows: true}
			for _, portfolios := range [][]int64{nil, {5}, {5, 6, 7}} {
				plan, err := database.ExplainLinks(t.Context(), list, portfolios...)
				if err != nil || !index.MatchString(plan) || strings.Contains(plan, "Seq Scan") {
					t.Errorf("%+v: %v\n%s", list, err, plan)
				}
			}
		}
	}
	list := db.List{Filter: db.Filter{Name: text("Portfolio 5")}, Order: db.NewOrderBy(), Limit: 20, WithRows: true}
	plan, err := database.ExplainPortfolios(t.Context(), list)
	if err != nil || !strings.Contains(plan, "portfolios_name") {
		t.Errorf("%v\n%s", err, plan)
	}
}
