package db_test

import (
	"crypto/sha256"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestPrepared_SurvivesChangesOfColumns changes types of columns while connections have prepared
// statements that select them.
func TestPrepared_SurvivesChangesOfColumns(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, "../compat/testdata/fixtures.json")
	database := dbtest.Open(t, dsn+"&pool_max_conns=3")
	hash := sha256.Sum256([]byte("be995b582c8bf952546d3819251020d1ad1b2eb1"))
	list := db.List{Order: db.NewOrderBy(), Limit: 5, WithRows: true, WithTotal: true, WithImages: true}
	readAll := func(change string) {
		t.Helper()
		for range 9 { // on several connections, as each holds one
			results := make(chan error)
			for _, read := range []func() error{
				func() error { _, err := database.PortfolioLink(t.Context(), nil, 4); return err },
				func() error { _, err := database.UserByToken(t.Context(), hash); return err },
				func() error { _, err := database.Portfolio(t.Context(), 1); return err },
				func() error { _, err := database.Image(t.Context(), 6); return err },
				func() error { _, err := database.PortfolioLinks(t.Context(), new(int64(1)), list); return err },
				func() error { _, err := database.Users(t.Context(), list); return err },
			} {
				go func() { results <- read() }()
			}
			for range 6 {
				if err := <-results; err != nil {
					t.Errorf("after %s: %v", change, err)
				}
			}
		}
	}
	readAll("nothing")
	for _, change := range []string{
		"ALTER TABLE portfolio_links ALTER COLUMN name TYPE varchar(9000), ALTER COLUMN description TYPE varchar",
		`ALTER TABLE portfolio_links ALTER COLUMN name TYPE text COLLATE "C"`,
		"ALTER TABLE users ALTER COLUMN username TYPE varchar(200)",
		"ALTER TABLE tokens ALTER COLUMN expires_at TYPE timestamptz(3)",
		"ALTER TABLE images ALTER COLUMN width TYPE bigint, ALTER COLUMN height TYPE bigint",
		"ALTER TABLE portfolios ALTER COLUMN name TYPE varchar(9000)",
		"ALTER TABLE thumbnails ALTER COLUMN size TYPE bigint",
	} {
		dbtest.Exec(t, dsn, change)
		readAll(change)
	}
	link, err := database.PortfolioLink(t.Context(), nil, 4)
	if err != nil || !cmp.Equal(link.ImageData.Name, "technology") {
		t.Errorf("link %+v, %v", link, err)
	}
}
