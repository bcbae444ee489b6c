package db

import (
	"database/sql"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// TestVariants_CoverCaseFoldingOfFTS5 checks for every character with several cases that FTS5 folds
// each of them to one of its variants.
func TestVariants_CoverCaseFoldingOfFTS5(t *testing.T) {
	t.Parallel()
	connections, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "fold.db")+"?_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connections.Close() }()
	tx, err := connections.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	run := func(statement string, args ...any) {
		if _, err := tx.ExecContext(t.Context(), statement, args...); err != nil {
			t.Fatal(statement, err)
		}
	}
	run("CREATE VIRTUAL TABLE folded USING fts5(text, tokenize='trigram')")
	run("CREATE VIRTUAL TABLE terms USING fts5vocab(folded, 'instance')")
	const last = 0x1ffff // later characters have one case
	for r := rune(1); r <= last; r++ {
		if unicode.SimpleFold(r) != r {
			run("INSERT INTO folded (rowid, text) VALUES (?, ?)", r, string([]rune{r, r, r}))
		}
	}
	rows, err := tx.QueryContext(t.Context(), "SELECT doc, term FROM terms")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	folded := map[rune]string{}
	for rows.Next() {
		var r rune
		var term string
		if err := rows.Scan(&r, &term); err != nil {
			t.Fatal(err)
		}
		folded[r] = term
	}
	if err := rows.Err(); err != nil || len(folded) < 2800 {
		t.Fatal(len(folded), err)
	}
	for r, term := range folded {
		for search := unicode.SimpleFold(r); search != r; search = unicode.SimpleFold(search) {
			if !slices.ContainsFunc(variants(search), func(variant rune) bool { return folded[variant] == term }) {
				t.Errorf("%U is not found by %U", r, search)
			}
		}
	}
}

// TestSearch_IsSymmetric checks for every letter that each of its forms finds the remaining forms:
// in either case, composed and decomposed.
func TestSearch_IsSymmetric(t *testing.T) {
	t.Parallel()
	const last = 0x1ffff // later characters have one case and no decomposition of letters
	letters := 0
	for r := rune(1); r <= last; r++ {
		decomposed := norm.NFD.String(string(r))
		if !unicode.IsLetter(r) || unicode.Is(unicode.Hangul, r) || unicode.SimpleFold(r) == r && decomposed == string(r) {
			continue
		}
		letters++
		forms := []string{}
		for _, form := range []string{string(r), decomposed, inCase(decomposed, unicode.ToLower), inCase(decomposed, unicode.ToUpper)} {
			forms = append(forms, norm.NFC.String(form), norm.NFD.String(form))
		}
		for variant := nextCase(r); variant != r; variant = nextCase(variant) {
			forms = append(forms, norm.NFC.String(string(variant)), norm.NFD.String(string(variant)))
		}
		for _, search := range forms {
			patterns := []string{}
			for _, form := range searchForms("x" + search + "y") {
				patterns = append(patterns, regexPattern(form))
			}
			pattern := regexp.MustCompile(strings.Join(patterns, "|"))
			for _, text := range forms {
				if !pattern.MatchString("x" + text + "y") {
					t.Errorf("%+q does not find %+q", search, text)
				}
			}
		}
	}
	if letters < 3400 {
		t.Errorf("got %d letters, want 3400", letters)
	}
}
