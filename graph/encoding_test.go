package graph_test

import (
	"testing"
	"unicode/utf8"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// TestTextsOfOtherEncodings reads texts of SQLite that are not UTF-8, by the encoder of this
// package and by that of gqlgen.
func TestTextsOfOtherEncodings(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedSQLite(t, "../compat/testdata/fixtures.json")
	for _, statement := range []string{
		"INSERT INTO portfolios (id, name) VALUES (7900, x'61ffc362')",
		"INSERT INTO images (id, type, name, path, size, alt) VALUES (7900, CAST(x'ff' AS text), CAST(x'61ff' AS text), CAST(x'ff2e706e67' AS text), 1, x'ff')",
		"INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, description) VALUES (7900, 7900, 7900, CAST(x'61ff62' AS text), CAST(x'ff' AS text), x'22ff')",
		"INSERT INTO users (id, username) VALUES (7900, CAST(x'ff75' AS text))",
		"INSERT INTO tokens (id, user_id, key_hash, label) VALUES (-1, 7900, 'h', CAST(x'ff' AS text))",
	} {
		dbtest.Exec(t, dsn, statement)
	}
	server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
	const bad = "\ufffd"
	link := `"name":"a` + bad + `b","url":"` + bad + `","description":"\"` + bad + `"`
	for text, want := range map[string]string{
		`{portfolioLink(id: 7900) {name url description}}`:                  `{"portfolioLink":{` + link + `}}`,
		`{portfolioLink(id: 7900) {name url description portfolio {name}}}`: `{"portfolioLink":{` + link + `,"portfolio":{"name":"a` + bad + bad + `b"}}}`,
		`{portfolioLink(id: 7900) {imageData {type name alt}}}`:             `{"portfolioLink":{"imageData":{"type":"` + bad + `","name":"a` + bad + `","alt":"` + bad + `"}}}`,
		`{image(id: 7900) {type name alt links {nodes {name}}}}`:            `{"image":{"type":"` + bad + `","name":"a` + bad + `","alt":"` + bad + `","links":{"nodes":[{"name":"a` + bad + `b"}]}}}`,
		`{tokens(first: 1) {nodes {username label}}}`:                       `{"tokens":{"nodes":[{"username":"` + bad + `u","label":"` + bad + `"}]}}`,
		`mutation {updateImage(input: {id: 7900}) {image {name}}}`:          `{"updateImage":{"image":{"name":"a` + bad + `"}}}`,
	} {
		if _, got := graphtest.Query(t, server, "Token "+graphtest.Admin, text, nil); got != `{"data":`+want+`}` {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	if _, got := graphtest.Query(t, server, "Token "+graphtest.Admin, `{image(id: 7900) {url srcset}}`, nil); !utf8.ValidString(got) {
		t.Errorf("URLs: %q", got)
	}
}
