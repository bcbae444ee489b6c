package db_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// fold makes texts equal that differ in case only.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for folded := unicode.SimpleFold(r); folded != r; folded = unicode.SimpleFold(folded) {
			least = min(least, folded)
		}
		return least
	}, text)
}

// FuzzSearch: both databases find a text in another if it is there in any
// case, and then only.
func FuzzSearch(f *testing.F) {
	for _, seed := range [][2]string{
		{"Demo", "dEMO"}, {"100%", "%"}, {"a_b", "_"}, {"axb", "a_b"}, {`a\b`, `\`}, {`\d`, `\D`}, {"5", `\d`}, {"[a]", "[A]"}, {"^a$", "^A$"}, {"a.b", "a.B"}, {"ab", "a.b"},
		{"***:x", "***:X"}, {"(?i)x", "(?I)X"}, {"a\nb", "\nB"}, {"\u212a", "k"}, {"ſ", "S"}, {"Σίσυφος", "σΊΣΥΦΟΣ"}, {"İı", "i"}, {"ß", "ẞ"}, {"😀", "😀"}, {"دمو", "مو"}, {"é", "e\u0301"},
		{"a{2}", "A{2}"}, {"aa", "a{2}"}, {"a|b", "A|B"}, {"b", "a|b"}, {"]", "]"}, {"a-c", "A-C"}, {"b", "[a-c]"}, {"\x7f", "\x7f"}, {"Ǆ", "ǆ"}, {"x", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	databases := []*db.DB{dbtest.Open(f, dbtest.SQLite(f)), dbtest.Open(f, dbtest.Postgres(f))}
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
				Filter: db.Filter{Search: search}, Order: db.Order{Field: db.OrderByID, Direction: db.Descending}, Limit: 1,
				WithRows: true, WithBeyond: true, From: sql.Null[db.Cursor]{V: db.Cursor{ID: portfolio.ID + 1}, Valid: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			found := len(page.Rows) > 0 && page.Rows[0].ID == portfolio.ID
			if want := strings.Contains(fold(name), fold(search)); found != want {
				t.Errorf("PostgreSQL %t: %q in %q is %t, want %t", database.Postgres(), search, name, found, want)
			}
		}
	})
}

// TestLoadedTimes: rows that others load are listed in the order of time,
// however the time is written.
func TestLoadedTimes(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		written := []string{
			"2026-01-13T10:05:43.296270Z", "2026-01-13T10:05:43Z", "2026-01-13 10:05:43.5", "2026-01-13 10:05:43.123+00:00",
			"2026-01-13T13:35:44.000001+03:30", "2026-01-13T10:05:43.999999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-13 10:05:43.1+00:00",
		}
		for _, text := range written {
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (name, created_at, updated_at) VALUES ($1, $2, $2)", text, text)
		}
		page, err := dbtest.Open(t, dsn).Portfolios(t.Context(), db.List{Order: db.Order{Field: db.OrderByCreatedAt, Direction: db.Ascending}, Limit: 100, WithRows: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, portfolio := range page.Rows {
			got = append(got, portfolio.CreatedAt.Format(time.RFC3339Nano))
		}
		if diff := cmp.Diff([]string{
			"0001-01-01T00:00:00Z", "2026-01-13T10:05:43Z", "2026-01-13T10:05:43.1Z", "2026-01-13T10:05:43.123Z", "2026-01-13T10:05:43.29627Z",
			"2026-01-13T10:05:43.5Z", "2026-01-13T10:05:43.999999Z", "2026-01-13T10:05:44.000001Z", "9999-12-31T23:59:59.999999Z",
		}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestListsWithoutPreparing: with default_query_exec_mode=exec PostgreSQL is
// not asked for the types of the arguments.
func TestListsWithoutPreparing(t *testing.T) {
	dsn := dbtest.Postgres(t)
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	database := dbtest.Open(t, dsn+"&default_query_exec_mode=exec")
	for _, field := range []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt} {
		start := sql.Null[db.Time]{V: db.Time{Time: time.Unix(0, 0).UTC()}, Valid: true}
		list := db.List{
			Filter: db.Filter{Search: "LINK", CreatedFrom: start, UpdatedFrom: start, HasImage: sql.Null[bool]{V: true, Valid: true}},
			Order:  db.Order{Field: field, Direction: db.Ascending}, Limit: 3, WithRows: true, WithImages: true, WithTotal: true, WithBeyond: true,
		}
		var one, two []int64
		for range 3 {
			page, err := database.PortfolioLinks(t.Context(), nil, list)
			if err != nil {
				t.Fatal(field, err)
			}
			for _, link := range page.Rows {
				one = append(one, link.ID)
			}
			list.From = sql.Null[db.Cursor]{V: page.Rows[len(page.Rows)-1].Cursor(field), Valid: true}
		}
		list.From, list.Limit = sql.Null[db.Cursor]{}, 9
		portfolios, err := database.Portfolios(t.Context(), db.List{Order: list.Order, Limit: 10, WithRows: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, portfolio := range portfolios.Rows {
			page, err := database.Links(t.Context(), portfolio, list)
			if err != nil {
				t.Fatal(field, err)
			}
			for _, link := range page.Rows {
				if portfolio.ID == 1 {
					two = append(two, link.ID)
				}
			}
		}
		if diff := cmp.Diff(one, two); diff != "" || len(one) != 9 {
			t.Errorf("%s: %s", field, diff)
		}
	}
}
