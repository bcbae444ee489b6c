package graph_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// TestTexts_AreValidUTF8InBothEncoders reads texts of SQLite that are not UTF-8, by the encoder of
// this package and by the encoder of gqlgen.
func TestTexts_AreValidUTF8InBothEncoders(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedSQLite(t, "../compat/testdata/fixtures.json")
	for _, statement := range []string{
		"INSERT INTO portfolios (id, name) VALUES (7900, CAST(x'61ffc362' AS text))",
		"INSERT INTO images (id, type, name, path, size, alt) VALUES (7900, CAST(x'ff' AS text), CAST(x'61ff' AS text), CAST(x'ff2e706e67' AS text), 1, CAST(x'ff' AS text))",
		"INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, description) VALUES (7900, 7900, 7900, CAST(x'61ff62' AS text), CAST(x'ff' AS text), CAST(x'22ff' AS text))",
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

// TestPages_OfNamesThatAreNotUTF8 reads portfolios of SQLite in pages, whose names have any
// bytes. An index holds the first characters of each, as SQLite counts them.
func TestPages_OfNamesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	exec := dbtest.Session(t, dsn)
	exec("PRAGMA foreign_keys = ON")
	exec("DELETE FROM portfolios")
	parts := []string{"80", "c3", "c380", "e282", "f09f98", "ff", "61", "00", "edA080", "e282ac"}
	for i, part := range parts {
		for j, other := range parts {
			for _, repeated := range []int{1, 254, 255, 300} {
				name := part + strings.Repeat(other, repeated)
				exec("INSERT INTO portfolios (name) VALUES (CAST(x'" + name + "' AS text))")
			}
			exec("INSERT INTO portfolios (name) VALUES (CAST(x'" + part + strings.Repeat(parts[(i+j)%10]+other, 150) + "' AS text))")
		}
	}
	server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
	for _, direction := range []string{"ASC", "DESC"} {
		for _, page := range []struct{ first, after, cursor, more string }{{"first", "after", "endCursor", "hasNextPage"}, {"last", "before", "startCursor", "hasPreviousPage"}} {
			seen, after := map[string]bool{}, "null"
			for pages := 0; ; pages++ {
				_, body := graphtest.Query(t, server, "Token "+graphtest.Admin, `{portfolios(orderBy:{field:NAME,direction:`+direction+`},`+page.first+`:7,`+page.after+`:`+after+`)
					{nodes{id}pageInfo{cursor:`+page.cursor+` more:`+page.more+`}}}`, nil)
				var response struct {
					Data struct {
						Portfolios struct {
							Nodes    []struct{ ID string }
							PageInfo struct {
								Cursor string
								More   bool
							}
						}
					}
				}
				if err := json.Unmarshal([]byte(body), &response); err != nil || strings.Contains(body, "errors") || pages > 100 {
					t.Fatalf("page %d: %v, %s", pages, err, body)
				}
				for _, node := range response.Data.Portfolios.Nodes {
					if seen[node.ID] {
						t.Errorf("%s %s: %s twice", direction, page.first, node.ID)
					}
					seen[node.ID] = true
				}
				if after = strconv.Quote(response.Data.Portfolios.PageInfo.Cursor); !response.Data.Portfolios.PageInfo.More {
					break
				}
			}
			if len(seen) != 500 {
				t.Errorf("%s %s: got %d portfolios, want 500", direction, page.first, len(seen))
			}
		}
	}
}

// TestLists_OfTextsThatAreNotUTF8 reads, filters and changes rows of SQLite whose texts are not
// UTF-8. Every response is JSON without errors.
func TestLists_OfTextsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	for _, statement := range []string{
		"INSERT INTO portfolios (id, name) VALUES (7900, CAST(x'61ff62' AS text))",
		"INSERT INTO images (id, type, name, path, size, mode, mime_type, placeholder, alt) VALUES (7900, CAST(x'ff' AS text), CAST(x'61ff62' AS text), CAST(x'2f00ff2e706e67' AS text), 1, CAST(x'ff' AS text), CAST(x'ff' AS text), CAST(x'ff00' AS text), CAST(x'ff' AS text))",
		"INSERT INTO thumbnails (id, image_id, path, size, width, height, file_size) VALUES (7900, 7900, CAST(x'61ff2000620a' AS text), 8, 8, 8, 8), (7901, 7900, CAST(x'c3' AS text), 9, 9, 9, 9)",
		"INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url) VALUES (7900, 7900, 7900, CAST(x'61ff62' AS text), CAST(x'687474703a2f2fff' AS text))",
		"INSERT INTO users (id, username) VALUES (7900, CAST(x'ff75' AS text)), (7901, CAST(x'fe75' AS text))",
		"INSERT INTO tokens (id, user_id, key_hash, label) VALUES (-1, 7900, 'h', CAST(x'ff00' AS text))",
	} {
		dbtest.Exec(t, dsn, statement)
	}
	server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
	for _, c := range []struct{ query, want string }{
		{`{portfolios(filter:{search:"a"},last:1){nodes{name links{nodes{name url imageData{name url thumbnails{url size}}}}}}}`, `"size":9`},
		{`{portfolioLinks(filter:{search:"a",imageId:7900}){totalCount nodes{name}}}`, `"name":"a` + "\ufffd" + `b"`},
		{`{image(id:7900){type mode mimeType placeholder alt srcset path:url}}`, `"mode":"` + "\ufffd" + `"`},
		{`{images(filter:{type:"\ufffd"}){totalCount}}`, `{"totalCount":0}`},
		{`{portfolios(filter:{name:"a\ufffdb"}){totalCount}}`, `{"totalCount":0}`},
		{`{users(last:2){nodes{username}}}`, `"username":"` + "\ufffd" + `u"`},
		{`mutation{updatePortfolioLink(input:{id:7900,name:"x"}){portfolioLink{name url}}}`, `"name":"x"`},
		{`mutation{updatePortfolio(input:{id:7900,name:"y"}){portfolio{name}}}`, `"name":"y"`},
		{`mutation{revokeToken(input:{id:-1}){token{label username}}}`, `"username":"` + "\ufffd" + `u"`},
	} {
		if _, got := graphtest.Query(t, server, "Token "+graphtest.Admin, c.query, nil); !json.Valid([]byte(got)) || !utf8.ValidString(got) || strings.Contains(got, `"errors"`) || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %s", c.query, got, c.want)
		}
	}
}
