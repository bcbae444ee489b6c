package db_test

import (
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// fold maps texts that differ in case only to the same text. The iota subscript is a mark.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		folded := r
		if r == '\u0345' {
			return r
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if other != '\u0345' {
				folded = min(folded, other)
			}
		}
		return folded
	}, text)
}

// matches reports whether a search finds a text. Some letters are composed in one case only.
func matches(text, search string) bool {
	decomposed := norm.NFD.String(search)
	upper := strings.Map(func(r rune) rune {
		if upper := unicode.ToUpper(r); fold(string(upper)) == fold(string(r)) {
			return upper
		}
		return r
	}, decomposed)
	lower := strings.Map(func(r rune) rune {
		if lower := unicode.ToLower(r); fold(string(lower)) == fold(string(r)) {
			return lower
		}
		return r
	}, decomposed)
	for _, form := range []string{search, norm.NFC.String(search), decomposed, norm.NFC.String(lower), norm.NFC.String(upper)} {
		if strings.Contains(fold(text), fold(form)) {
			return true
		}
	}
	return false
}

// FuzzSearch checks that both databases find what matches reports, with and
// without an index.
func FuzzSearch(f *testing.F) {
	for _, seed := range [][2]string{
		{"Demo", "dEMO"}, {"100%", "%"}, {"a_b", "_"}, {"axb", "a_b"}, {`a\b`, `\`}, {`\d`, `\D`}, {"5", `\d`}, {"[a]", "[A]"}, {"^a$", "^A$"}, {"a.b", "a.B"}, {"ab", "a.b"},
		{"***:x", "***:X"}, {"(?i)x", "(?I)X"}, {"a\nb", "\nB"}, {"\u212a", "k"}, {"ſ", "S"}, {"Σίσυφος", "σΊΣΥΦΟΣ"}, {"İı", "i"}, {"ß", "ẞ"}, {"😀", "😀"}, {"دمو", "مو"}, {"é", "e\u0301"},
		{"a{2}", "A{2}"}, {"aa", "a{2}"}, {"a|b", "A|B"}, {"b", "a|b"}, {"]", "]"}, {"a-c", "A-C"}, {"b", "[a-c]"}, {"xe\u0301y", "X\u00c9Y"}, {"x\u00e9y", "xe\u0301y"}, {"вот", "В\u1c82\u1c84"}, {"\u1c90\u1c91\u1c92", "\u10d0\u10d1\u10d2"}, {"\u13a0\u13a1\u13a2", "\uab70\uab71\uab72"},
		{`say "quote" AND`, `"QUOTE" and`}, {"a NEAR b", "near b"}, {"aaaaaaaaaaaaaaaaaaaab0", "AAAAAAAAAAAAAAAAB0"}, {"دمو پروژه", "پروژه"}, {"😀😀😀", "😀😀😀"}, {"100%__", "%__"}, {"\x7f", "\x7f"}, {"Ǆ", "ǆ"}, {"x", ""}, {"İSTANBUL", "i\u0307stanbul"}, {"i\u0307stanbul", "İSTANBUL"}, {"ǰe", "J\u030ce"},
	} {
		f.Add(seed[0], seed[1])
	}
	plain := dbtest.EmptyPostgresWith(f, "LOCALE 'C' TEMPLATE template0") // which folds the case of ASCII only
	if _, err := dbtest.Open(f, plain).Migrate(f.Context()); err != nil {
		f.Fatal(err)
	}
	const indexed = "&enable_seqscan=off&enable_indexscan=off" // the planner would not use an index for a few rows
	databases := []*db.DB{
		dbtest.Open(f, dbtest.SQLite(f)), dbtest.Open(f, dbtest.Postgres(f)),
		dbtest.Open(f, dbtest.Postgres(f)+indexed), dbtest.Open(f, plain+indexed),
	}
	f.Fuzz(func(t *testing.T, name, search string) {
		if !utf8.ValidString(name) || !utf8.ValidString(search) || strings.ContainsRune(name+search, 0) || utf8.RuneCountInString(search) > 255 {
			t.Skip()
		}
		for _, database := range databases {
			portfolio, err := database.CreatePortfolio(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			page, err := database.Portfolios(t.Context(), db.List{
				Filter: db.Filter{Search: search}, Order: db.NewOrderBy(db.Order{Field: db.OrderByID, Direction: db.Descending}), Limit: 1,
				WithRows: true, WithPreceding: true, Cursor: sql.Null[db.Cursor]{V: db.Cursor{ID: portfolio.ID + 1}, Valid: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			found := len(page.Rows) > 0 && page.Rows[0].ID == portfolio.ID
			if want := matches(name, search); found != want {
				t.Errorf("PostgreSQL %t: found %q in %q: %t, want %t", database.Postgres(), search, name, found, want)
			}
		}
	})
}

// TestSearch_FollowsChanges checks that the index follows changes of the tables
// by any program.
func TestSearch_FollowsChanges(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		replace := func(id int, name string) string {
			if database.Postgres() {
				return fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (%d, 1, '%s') ON CONFLICT (id) DO UPDATE SET name = excluded.name", id, name)
			}
			return fmt.Sprintf("INSERT OR REPLACE INTO portfolio_links (id, portfolio_id, name) VALUES (%d, 1, '%s')", id, name)
		}
		for _, step := range []struct {
			statement, search string
			want              []int64
		}{
			{"INSERT INTO portfolios (id, name) VALUES (1, 'one'), (2, 'two')", "report", nil},
			{"INSERT INTO portfolio_links (id, portfolio_id, name, description) VALUES (1, 1, 'Report', NULL), (2, 1, 'x', 'the report'), (3, 2, 'Reports', 'x')", "report", []int64{1, 2, 3}},
			{"UPDATE portfolio_links SET name = 'summary' WHERE id = 1", "report", []int64{2, 3}},
			{"UPDATE portfolio_links SET name = 'Report' WHERE id = 1", "summary", nil},
			{"UPDATE portfolio_links SET id = 9 WHERE id = 2", "report", []int64{1, 3, 9}},
			{"UPDATE portfolio_links SET description = NULL WHERE id = 9", "report", []int64{1, 3}},
			{replace(1, "replaced"), "report", []int64{3}},
			{replace(1, "report again"), "report", []int64{1, 3}},
			{"DELETE FROM portfolio_links WHERE id = 1", "report", []int64{3}},
			{"DELETE FROM portfolios WHERE id = 2", "report", nil}, // with its links
			{"INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (3, 1, 'other')", "report", nil},
		} {
			dbtest.Exec(t, dsn, step.statement)
			page, err := database.PortfolioLinks(t.Context(), nil, db.List{
				Filter: db.Filter{Search: step.search}, Order: db.NewOrderBy(), Limit: 10, WithRows: true, WithTotal: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, link := range page.Rows {
				got = append(got, link.ID)
			}
			if diff := cmp.Diff(step.want, got); diff != "" || page.Total != len(got) {
				t.Errorf("after %s: total %d, %s", step.statement, page.Total, diff)
			}
		}
	})
}

// TestSearch_FollowsChangesOfImages checks the same of the index of images.
func TestSearch_FollowsChangesOfImages(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		for _, step := range []struct {
			statement, search string
			want              []int64
		}{
			{"INSERT INTO images (id, name, alt, type, path, size) VALUES (1, 'Report', NULL, '', '', 0), (2, 'x', 'the report', '', '', 0), (3, 'Reports', 'x', '', '', 0)", "report", []int64{1, 2, 3}},
			{"UPDATE images SET name = 'summary' WHERE id = 1", "report", []int64{2, 3}},
			{"UPDATE images SET alt = 'REPORT', size = 1 WHERE id = 1", "report", []int64{1, 2, 3}},
			{"UPDATE images SET alt = NULL", "report", []int64{3}},
			{"UPDATE images SET id = 9 WHERE id = 3", "report", []int64{9}},
			{"DELETE FROM images WHERE id = 9", "report", nil},
			{"INSERT INTO images (id, name, type, path, size) VALUES (9, 'other', '', '', 0)", "report", nil},
		} {
			dbtest.Exec(t, dsn, step.statement)
			page, err := database.Images(t.Context(), db.List{
				Filter: db.Filter{Search: step.search}, Order: db.NewOrderBy(), Limit: 10, WithRows: true, WithTotal: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, image := range page.Rows {
				got = append(got, image.ID)
			}
			if diff := cmp.Diff(step.want, got); diff != "" || page.Total != len(got) {
				t.Errorf("after %s: total %d, %s", step.statement, page.Total, diff)
			}
		}
	})
}

// TestSearch_WorksWithoutExtension checks that searches work without an index if the
// role may not create the extension.
func TestSearch_WorksWithoutExtension(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptyPostgres(t)
	role := fmt.Sprintf("plain_%d", os.Getpid()) // may create tables but no extension
	dbtest.Exec(t, dsn, "CREATE ROLE "+role)
	dbtest.Exec(t, dsn, "GRANT ALL ON SCHEMA public TO "+role)
	defer func() { dbtest.Exec(t, dsn, "DROP OWNED BY "+role); dbtest.Exec(t, dsn, "DROP ROLE "+role) }()
	database := dbtest.Open(t, dsn+"&role="+role)
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if problems, err := database.SearchProblems(t.Context()); err != nil || problems == nil {
		t.Errorf("got problems %q, %v", problems, err)
	}
	if _, err := database.CreatePortfolio(t.Context(), "Demo"); err != nil {
		t.Fatal(err)
	}
	page, err := database.Portfolios(t.Context(), db.List{Filter: db.Filter{Search: "demo"}, Order: db.NewOrderBy(), Limit: 1, WithRows: true})
	if err != nil || len(page.Rows) != 1 {
		t.Errorf("%v, %v", page, err)
	}
	if _, err := database.Images(t.Context(), db.List{Filter: db.Filter{Search: "demo"}, Order: db.NewOrderBy(), Limit: 1, WithRows: true}); err != nil {
		t.Error(err)
	}
}

// TestMigrate_FindsExtensionInAnySchema migrates databases whose extension is in another schema.
func TestMigrate_FindsExtensionInAnySchema(t *testing.T) {
	t.Parallel()
	for _, schema := range []string{"extensions", `"odd Schema"`, "pg_catalog"} {
		dsn := dbtest.EmptyPostgres(t)
		if schema != "pg_catalog" {
			dbtest.Exec(t, dsn, "CREATE SCHEMA "+schema)
		}
		dbtest.Exec(t, dsn, "CREATE EXTENSION pg_trgm SCHEMA "+schema)
		database := dbtest.Open(t, dsn)
		if _, err := database.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if problems, err := database.Problems(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("%s: %q, %v", schema, problems, err)
		}
		dbtest.Exec(t, dsn, "DROP INDEX images_search")
		if problems, err := database.SearchProblems(t.Context()); err != nil || problems == nil {
			t.Errorf("%s: without an index: got problems %q, %v", schema, problems, err)
		}
		if names, err := database.Migrate(t.Context()); err != nil || len(names) > 0 {
			t.Fatal(names, err)
		}
		if problems, err := database.SearchProblems(t.Context()); err != nil || problems != nil {
			t.Errorf("%s: migrated again: got problems %q, %v", schema, problems, err)
		}
	}
}

// TestMigrate_CreatesSearchIndexesOnceExtensionExists migrates as a role that may not create the
// extension, names what is missing, and migrates again when the extension exists.
func TestMigrate_CreatesSearchIndexesOnceExtensionExists(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptyPostgres(t)
	role := fmt.Sprintf("later_%d", os.Getpid())
	dbtest.Exec(t, dsn, "CREATE ROLE "+role)
	dbtest.Exec(t, dsn, "GRANT ALL ON SCHEMA public TO "+role)
	defer func() { dbtest.Exec(t, dsn, "DROP OWNED BY "+role); dbtest.Exec(t, dsn, "DROP ROLE "+role) }()
	database := dbtest.Open(t, dsn+"&role="+role)
	check := func(want ...string) {
		t.Helper()
		if _, err := database.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		problems, err := database.Problems(t.Context())
		if diff := cmp.Diff(want, problems); diff != "" || err != nil {
			t.Errorf("%v, %s", err, diff)
		}
	}
	const lacking = " is missing or invalid: the database lacks the extension pg_trgm: CREATE EXTENSION IF NOT EXISTS pg_trgm; and then migrate"
	check("searches of portfolios read every row: the index portfolios_search"+lacking,
		"searches of portfolio_links read every row: the index portfolio_links_search"+lacking,
		"searches of images read every row: the index images_search"+lacking)
	dbtest.Exec(t, dsn, "CREATE SCHEMA extensions")
	dbtest.Exec(t, dsn, "CREATE EXTENSION pg_trgm SCHEMA extensions")
	hidden := " is missing or invalid: GRANT USAGE ON SCHEMA extensions TO " + role + "; DROP INDEX IF EXISTS "
	check("searches of portfolios read every row: the index portfolios_search"+hidden+"portfolios_search; CREATE INDEX portfolios_search ON portfolios USING gin (name extensions.gin_trgm_ops)",
		"searches of portfolio_links read every row: the index portfolio_links_search"+hidden+"portfolio_links_search; CREATE INDEX portfolio_links_search ON portfolio_links USING gin (name extensions.gin_trgm_ops, description extensions.gin_trgm_ops)",
		"searches of images read every row: the index images_search"+hidden+"images_search; CREATE INDEX images_search ON images USING gin (name extensions.gin_trgm_ops, alt extensions.gin_trgm_ops)")
	dbtest.Exec(t, dsn, "GRANT USAGE ON SCHEMA extensions TO "+role)
	check()
}

// TestMigrate_ReplacesUnfitSearchIndexes creates indexes that have the name of a search index
// and do not support searches.
func TestMigrate_ReplacesUnfitSearchIndexes(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	database := dbtest.Open(t, dsn)
	for _, definition := range []string{
		"ON images (name, alt)", "ON images USING gin (name gin_trgm_ops)", "ON images USING gin (alt gin_trgm_ops, name gin_trgm_ops)",
		"ON images USING gin (name gin_trgm_ops, mode gin_trgm_ops)", "ON images USING gin (name gin_trgm_ops, alt gin_trgm_ops) WHERE alt <> ''",
		"ON images USING gin (name gin_trgm_ops, lower(alt) gin_trgm_ops)", "ON images USING gist (name gist_trgm_ops, alt gist_trgm_ops)",
		"ON portfolio_links USING gin (name gin_trgm_ops, description gin_trgm_ops)", "ON images USING hash (name)",
	} {
		dbtest.Exec(t, dsn, "DROP INDEX images_search")
		dbtest.Exec(t, dsn, "CREATE INDEX images_search "+definition)
		if problems, err := database.Problems(t.Context()); err != nil || len(problems) != 1 || !strings.Contains(problems[0], "the index images_search is missing or invalid: DROP INDEX") {
			t.Errorf("%s: got problems %q, %v, want one", definition, problems, err)
		}
		if names, err := database.Migrate(t.Context()); err != nil || len(names) > 0 {
			t.Fatal(names, err)
		}
		if problems, err := database.Problems(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("%s: got problems %q, %v after migrate, want none", definition, problems, err)
		}
	}
}

// TestSearch_FindsEveryLetter searches for each letter that has cases, by the index.
func TestSearch_FindsEveryLetter(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	var letters []rune
	var values []string
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if unicode.SimpleFold(r) != r || unicode.ToLower(r) != r || unicode.ToUpper(r) != r {
			letters, values = append(letters, r), append(values, fmt.Sprintf("(%d, '%s')", r, string([]rune{r, r, r, 'b'})))
		}
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES "+strings.Join(values, ", "))
		if strings.HasPrefix(dsn, "postgres") {
			dsn += "&enable_seqscan=off"
		}
		database := dbtest.Open(t, dsn)
		for _, letter := range letters {
			text := string([]rune{letter, letter, letter, 'b'})
			page, err := database.Portfolios(t.Context(), db.List{Filter: db.Filter{Search: text}, Order: db.NewOrderBy(), Limit: 10, WithRows: true})
			if err != nil || !slices.ContainsFunc(page.Rows, func(found *db.Portfolio) bool { return found.ID == int64(letter) }) {
				t.Errorf("%U is not found by itself, %v", letter, err)
			}
		}
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (-1, 'aus İstanbul')")
		for search, want := range map[string]int{"İstanbul": 1, "AUS İSTANBUL": 1, "i\u0307stanbul": 1, "I\u0307STANBUL": 1, "stanbul": 1, "istanbul": 0, "Istanbul": 0} {
			page, err := database.Portfolios(t.Context(), db.List{Filter: db.Filter{Search: search}, Order: db.NewOrderBy(), Limit: 10, WithRows: true})
			if err != nil || len(page.Rows) != want {
				t.Errorf("%s: %d rows, %v", search, len(page.Rows), err)
			}
		}
	})
}
