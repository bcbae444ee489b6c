package graph_test

import (
	"encoding/json"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/auth"
)

// loadLists loads 100 portfolios of 100 links each, all with an image of two
// thumbnails, and the user staff4242.
func loadLists(t testing.TB, dsn string) {
	t.Helper()
	values := func(n int, row string) string {
		rows := make([]string, n)
		for i := range rows {
			rows[i] = strings.ReplaceAll(row, "N", strconv.Itoa(i+1))
		}
		return strings.Join(rows, ", ")
	}
	hash := auth.HashKey(graphtest.Staff4242)
	dbtest.Exec(t, dsn, "INSERT INTO users (id, username, is_staff) VALUES (1, 'staff', true)")
	dbtest.Exec(t, dsn, "INSERT INTO user_permissions VALUES (1, 4242)")
	dbtest.Exec(t, dsn, "INSERT INTO tokens (user_id, key_hash) VALUES (1, $1)", hash[:])
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES "+values(100, "(N, 'Portfolio N')"))
	dbtest.Exec(t, dsn, "INSERT INTO images (id, type, name, path, size) VALUES "+values(100, "(N, 'image', 'image N', 'N.png', N)"))
	dbtest.Exec(t, dsn, "INSERT INTO thumbnails (image_id, path, size) SELECT id, 't' || id, 64 FROM images UNION ALL SELECT id, 'u' || id, 128 FROM images")
	dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (portfolio_id, image_id, name) SELECT p.id, i.id, 'Link ' || p.id || ' ' || i.id FROM portfolios AS p CROSS JOIN images AS i")
}

type statementCase struct {
	name, query string
	statements  int64
}

func imageStatementCases() []statementCase {
	return []statementCase{
		{"images", `{images(first:$n,filter:{unused:false,search:"image"}){nodes{id alt thumbnails{id url}}}}`, 1},
		{"links of images", `{images(first:$n){nodes{links(first:$n){totalCount nodes{id $image}}}}}`, 3},
		{"links of the images of links", `{portfolioLinks(first:$n){nodes{imageData{links(first:2){nodes{id}}}}}}`, 2},
		{"links of the images of links of portfolios", `{portfolios(first:$n){nodes{links(first:$n){nodes{imageData{links(last:2){nodes{id}}}}}}}}`, 3},
		{"portfolios of links of images", `{images(first:$n){nodes{links(first:2){nodes{portfolio{name}}}}}}`, 3},
		{"links of images of links of images", `{images(first:$n){nodes{links(first:2){nodes{imageData{links(first:2){nodes{portfolio{id}}}}}}}}}`, 4},
		{"links of images that are nodes", `{nodes(nodeIds:["SW1hZ2U6MQ==","SW1hZ2U6Mg=="]){...on Image{links(first:$n){nodes{name}}}}}`, 2},
		{"images and totalCount", `{images(first:$n){totalCount edges{cursor node{id}}}}`, 2},
	}
}

// TestStatements_DoNotDependOnNewLinks checks that the number of SQL statements does not depend
// on the number of new links and of their portfolios.
func TestStatements_DoNotDependOnNewLinks(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Parallel()
		loadLists(t, dsn)
		database := dbtest.Open(t, dsn)
		handler := graphtest.NewHandler(t, &graph.Resolver{DB: database}, nil)
		counts := map[int64]bool{}
		for _, n := range []int{1, 10, 100} {
			links := make([]object, n)
			for i := range links {
				links[i] = object{"portfolioId": 1 + i%7, "name": "x", "imageId": i + 1}
			}
			body, err := json.Marshal(object{
				"query":     `mutation($i: CreatePortfolioLinksInput!) {createPortfolioLinks(input: $i) {portfolioLinks {id position imageData {thumbnails {id}}}}}`,
				"variables": object{"i": object{"links": links}},
			})
			if err != nil {
				t.Fatal(err)
			}
			var statements atomic.Int64
			ctx := db.WithQueryCounter(t.Context(), &statements)
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, newRequest(t, staff4242, body).WithContext(ctx))
			if text := response.Body.String(); strings.Count(text, `"position"`) != n {
				t.Fatal(text)
			}
			counts[statements.Load()] = true
			handler.Auth.Invalidate() // so that authentication always takes one statement
		}
		if len(counts) != 1 {
			t.Errorf("numbers of statements: %v", counts)
		}
	})
}

// TestStatements_DependOnFieldsOnly checks that the number of SQL statements depends on the fields
// of a query, not on the length of its lists.
func TestStatements_DependOnFieldsOnly(t *testing.T) {
	t.Parallel()
	cases := append(imageStatementCases(), []statementCase{
		{"links of all portfolios", `{portfolioLinks(first:$n){nodes{id $image}}}`, 1},
		{"links of one portfolio", `{portfolioLinks(portfolioId:1,first:$n){nodes{id $image}}}`, 1},
		{"links without images", `{portfolioLinks(first:$n){nodes{id}}}`, 1},
		{"totalCount alone", `{portfolioLinks(first:$n){totalCount}}`, 1},
		{"__typename alone", `{portfolioLinks(first:$n){__typename}}`, 0},
		{"links and totalCount", `{portfolioLinks(first:$n){totalCount nodes{id}}}`, 2},
		{"links of portfolio(id)", `{portfolio(id:1){name links(first:$n){nodes{id $image}}}}`, 2},
		{"links of many portfolios", `{portfolios(first:$n){nodes{name links(first:$n){nodes{id $image}}}}}`, 2},
		{"edges", `{portfolios(first:$n){edges{cursor node{name links(first:$n){edges{cursor node{id $image}}}}}}}`, 2},
		{"all fields of connections", `{portfolios(first:$n){totalCount pageInfo{hasNextPage hasPreviousPage startCursor endCursor}
			nodes{name links(first:$n,orderBy:[{field:NAME},{field:CREATED_AT,direction:DESC}]){totalCount pageInfo{hasNextPage} nodes{id $image}}}}}`, 4},
		{"portfolios of links", `{portfolioLinks(first:$n){nodes{portfolio{name}}}}`, 2},
		{"portfolios of links of portfolios", `{portfolios(first:$n){nodes{links(first:$n){nodes{portfolio{name}}}}}}`, 2},
		{"links of portfolios of links", `{portfolioLinks(first:$n){nodes{portfolio{links(first:2){nodes{$image}}}}}}`, 3},
		{"links adjacent to links", `{portfolioLinks(first:$n){nodes{previous{id} next{id}}}}`, 3},
		{"links adjacent to links of portfolios", `{portfolios(first:$n){nodes{links(last:9){nodes{next{$image next{name portfolio{name}}}}}}}}`, 4},
		{"portfolios of adjacent links", `{portfolioLinks(first:$n){nodes{next{portfolio{name}}}}}`, 3},
		{"links adjacent to a link", `{portfolioLink(id:2){previous{id} next{id next{$image}}}}`, 4},
		{"same list twice", `{portfolios(first:$n){nodes{a:links(first:2){nodes{id}} b:links(first:2){nodes{name}}}}}`, 2},
		{"two lists", `{portfolios(first:$n){nodes{a:links(first:2){nodes{id}} b:links(last:2){nodes{id}}}}}`, 3},
		{"nodes and edges", `{portfolios(first:$n){nodes{links(first:2){nodes{id}}} edges{node{links(first:2){nodes{id}}}}}}`, 2},
		{"fragments", `{portfolios(first:$n){nodes{...A ...B}}}
			fragment A on Portfolio{links(first:2){nodes{id}}}
			fragment B on Portfolio{links(first:2){...C}}
			fragment C on PortfolioLinkConnection{totalCount nodes{$image}}`, 3},
		{"skipped field", `{portfolios(first:$n){nodes{id links(first:2)@skip(if:true){nodes{id}}}}}`, 1},
		{"two root fields", `{a:portfolios(first:$n){nodes{links(first:2){nodes{id}}}} b:portfolios(last:$n){nodes{links(first:2){nodes{id}}}}}`, 4},
		{"nodes of two types", `{nodes(nodeIds:["UG9ydGZvbGlvTGluazoxMDA=","UG9ydGZvbGlvTGluazoxMDE=","UG9ydGZvbGlvOjE="]){...on PortfolioLink{portfolio{name}} ...on Portfolio{links(first:$n){nodes{id}}}}}`, 4},
		{"filter", `{portfolios(first:$n){nodes{links(first:$n,filter:{search:"LINK",hasImage:true}){totalCount nodes{id}}}}}`, 3},
	}...)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Parallel()
		loadLists(t, dsn)
		database := dbtest.Open(t, dsn)
		tokens := auth.New(database, nil, auth.Options{Timeout: time.Minute, MaxAge: time.Minute})
		handler := graphtest.NewHandler(t, &graph.Resolver{DB: database, Auth: tokens}, func(o *graphtest.Options) {
			o.Limits.Cost = 1_000_000
			o.Timeout = 10 * time.Minute // SQLite is up to 60 times slower with -race
		})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				for _, rows := range []int{1, 10, 100} {
					query := strings.NewReplacer("$n", strconv.Itoa(rows), "$image", `imageData{id url thumbnails{id url}}`).Replace(c.query)
					body, err := json.Marshal(object{"query": query})
					if err != nil {
						t.Fatal(err)
					}
					tokens.Invalidate() // so that authentication always takes one statement
					var statements atomic.Int64
					ctx := db.WithQueryCounter(t.Context(), &statements)
					response := httptest.NewRecorder()
					handler.ServeHTTP(response, newRequest(t, staff4242, body).WithContext(ctx))
					if text := response.Body.String(); strings.Contains(text, `"errors"`) || statements.Load()-1 != c.statements {
						t.Errorf("%d rows: %d statements, want %d: %.200s", rows, statements.Load()-1, c.statements, text)
					}
				}
			})
		}
	})
}
