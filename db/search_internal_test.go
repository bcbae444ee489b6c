package db

import (
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"unicode"
)

// TestVariants checks for every character with several cases that FTS5 folds
// each of them to one of its variants.
func TestVariants(t *testing.T) {
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
