package legacyimport_test

import (
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/legacyimport"
	"portfolio/internal/legacyimport/legacytest"
)

// TestImport_OverridesDatabaseSettings imports a database whose settings change the meaning of texts.
func TestImport_OverridesDatabaseSettings(t *testing.T) {
	t.Parallel()
	dsn := legacytest.Tables(t)
	for _, setting := range []string{"standard_conforming_strings = off", "datestyle = ''German''", "timezone = ''Asia/Tehran''", "bytea_output = ''escape''"} {
		dbtest.Exec(t, dsn, "DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET "+setting+"', current_database()); END $do$")
	}
	dbtest.Exec(t, dsn, "INSERT INTO core_portfolio (id, name) VALUES (1, E'a\\\\b')")
	dbtest.Exec(t, dsn, "INSERT INTO core_portfoliolink (id, portfolio_id, name, created_at, updated_at) VALUES (1, 1, 'x', '2026-01-13T10:05:43.29627Z', now())")
	for _, suffix := range []string{"", "&default_query_exec_mode=exec"} {
		o := options(t, dsn+suffix)
		var err error
		if o.Mapping, err = legacyimport.ParseMapping(`links.name = '\'`); err != nil {
			t.Fatal(err)
		}
		dbtest.Each(t, func(t *testing.T, database *db.DB) {
			_, text := newTarget(t, database).run(o)
			link, err := database.PortfolioLink(t.Context(), nil, 1)
			if err != nil || link.Name != `\` || link.CreatedAt.Format("2006-01-02T15:04:05.999999Z07:00") != "2026-01-13T10:05:43.29627Z" {
				t.Errorf("got link %+v, %v, and the report %s, want the name \\ and the documented time", link, err, text)
			}
			if portfolio, err := database.Portfolio(t.Context(), 1); err != nil || portfolio.Name != `a\b` {
				t.Errorf(`got portfolio %+v, %v, want the name a\b`, portfolio, err)
			}
		})
	}
}
