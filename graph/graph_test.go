package graph_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

const (
	recorded   = "../compat/testdata/fixtures.json"
	uploadRows = "testdata/uploads.json"

	// Values of the header Authorization.
	admin     = "Token " + graphtest.Admin
	staff     = "Token " + graphtest.Staff     // without permissions
	staff4242 = "Token " + graphtest.Staff4242 // may read and write links
)

const documentedQuery = `query L($p: ID, $i: ID!) { portfolioLink(portfolioId: $p, id: $i) { id name url imageData {
	id type name size humanReadableSize url width height mode thumbnails { id url size } } description createdAt updatedAt } }`

type object = map[string]any

type queryCase struct {
	name, authorization, query string
	variables                  object
}

func TestQueries_MatchGoldenResponses(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := slices.Concat(linkCases(), objectCases(), idCases(), viewerCases(), nodeCases(), adminCases())
	graphtest.EachCached(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := graphtest.Query(t, server, c.authorization, c.query, c.variables)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

func linkCases() []queryCase {
	return []queryCase{
		{"all fields", staff4242, documentedQuery, object{"p": "1", "i": "4"}},
		{"IDs as numbers", "Bearer " + graphtest.Admin, documentedQuery, object{"p": 1, "i": 4}},
		{"without portfolioId", "token " + graphtest.Admin, documentedQuery, object{"i": 4}},
		{"scheme in mixed case", "bEARER  " + graphtest.Admin, `{portfolioLink(id:4){id}}`, nil},
		{"null url, description and imageData", admin, documentedQuery, object{"i": 10}},
		{"null width, height and mode, no thumbnails", admin, `{portfolioLink(id:13){imageData{width height mode thumbnails{id}}}}`, nil},
		{"thumbnail with a null size", admin, `{portfolioLink(id:12){imageData{thumbnails{size}}}}`, nil},
		{"aliases, fragments and __typename", admin, `{a:portfolioLink(id:4){...F} b:portfolioLink(id:10){...F}}
			fragment F on PortfolioLink{__typename n:name @include(if:true) id @skip(if:true)}`, nil},
		{"64-bit values", admin, `{portfolioLink(id:"9223372036854775807"){id}
			image:portfolioLink(id:300){imageData{id}} size:portfolioLink(id:130){imageData{size}}}`, nil},
		{"times", admin, `{a:portfolioLink(id:50){createdAt} b:portfolioLink(id:51){createdAt} c:portfolioLink(id:55){createdAt updatedAt}}`, nil},
		{"URL with escapes", admin, `{portfolioLink(id:200){imageData{url}}}`, nil},
	}
}

func objectCases() []queryCase {
	return []queryCase{
		{"image", staff4242, `{image(id:12){name humanReadableSize thumbnails{id size}}}`, nil},
		{"portfolio", staff4242, `{portfolio(id:2){id name createdAt updatedAt links{nodes{id}}}}`, nil},
		{"links adjacent to a link", staff4242, `{portfolioLink(id:11){position previous{id name previous{id previous{id}}} next{id imageData{id} next{portfolio{id}}}}}`, nil},
		{"links adjacent to the last link", staff4242, `{portfolioLinks(portfolioId:2){nodes{previous{id} next{id}}}}`, nil},
		{"portfolio of a link", staff4242, `{portfolioLink(id:900){portfolio{id links{totalCount}}}}`, nil},
		{"missing image and portfolio", admin, `{image(id:999999){id} portfolio(id:77){id}}`, nil},
	}
}

func idCases() []queryCase {
	link := func(arguments string) string { return `{portfolioLink(` + arguments + `){id}}` }
	return []queryCase{
		{"missing link", admin, link("id:999"), nil},
		{"link of another portfolio", admin, link("portfolioId:2,id:4"), nil},
		{"missing portfolio", admin, link("portfolioId:77,id:4"), nil},
		{"ID 0", admin, link("id:0"), nil},
		{"negative ID", admin, link("id:-4"), nil},
		{"ID is a word", admin, link(`id:"four"`), nil},
		{"ID is empty", admin, link(`id:""`), nil},
		{"ID is a fraction", admin, link(`id:"4.0"`), nil},
		{"ID exceeds 64 bits", admin, link(`id:"9223372036854775808"`), nil},
		{"ID is a number that exceeds 64 bits", admin, link("id:9223372036854775808"), nil},
		{"ID is a variable that exceeds 64 bits", admin, documentedQuery, object{"i": json.Number("9223372036854775808")}},
		{"anonymous", "", link("id:4"), nil},
		{"anonymous, missing link", "", link("id:999"), nil},
		{"no permission", staff, link("id:4"), nil},
		{"no permission, missing link", staff, link("id:999"), nil},
	}
}

func viewerCases() []queryCase {
	return []queryCase{
		{"viewer", staff4242, `{viewer{id username isStaff isAdmin permissions}}`, nil},
		{"viewer is an admin", admin, `{viewer{permissions}}`, nil},
		{"viewer without permissions", staff, `{viewer{permissions}}`, nil},
		{"anonymous viewer", "", `{viewer{id}}`, nil},
		{"introspection", "", `{__type(name:"Permission"){enumValues{name}}}`, nil},
	}
}

func nodeID(of string, id string) string {
	return base64.StdEncoding.EncodeToString([]byte(of + ":" + id))
}

func nodeCases() []queryCase {
	const node, nodes = `query($i:ID!){node(nodeId:$i){__typename nodeId}}`, `query($i:[ID!]!){nodes(nodeIds:$i){__typename ...on PortfolioLink{id imageData{nodeId} portfolio{name}} ...on Image{id} ...on User{username}}}`
	link, missing := nodeID("PortfolioLink", "4"), nodeID("PortfolioLink", "77")
	all := []string{link, nodeID("Portfolio", "1"), nodeID("Image", "6"), nodeID("Thumbnail", "213"), missing, link}
	return []queryCase{
		{"global IDs", admin, `{portfolioLink(id:4){nodeId portfolio{nodeId} imageData{nodeId thumbnails{nodeId}}} viewer{nodeId} tokens(first:1){nodes{nodeId}}}`, nil},
		{"global IDs as arguments", admin, documentedQuery, object{"p": nodeID("Portfolio", "1"), "i": link}},
		{"global IDs of other types", admin, documentedQuery, object{"p": link, "i": nodeID("Portfolio", "1")}},
		{"global ID of an unknown type", admin, documentedQuery, object{"i": nodeID("Album", "4")}},
		{"global ID without padding", admin, documentedQuery, object{"i": strings.TrimRight(nodeID("PortfolioLink", "41"), "=")}},
		{"global ID with a leading zero", admin, documentedQuery, object{"i": nodeID("PortfolioLink", "04")}},
		{"node", staff4242, `query($i:ID!){node(nodeId:$i){__typename nodeId ...on PortfolioLink{name portfolio{links(first:1){nodes{id}}}}}}`, object{"i": link}},
		{"node, fragment on the interface", staff4242, `{portfolioLink(id:4){...on Node{__typename nodeId}}}`, nil},
		{"missing node", staff4242, node, object{"i": missing}},
		{"node by number", staff4242, node, object{"i": "4"}},
		{"node of an unknown type", staff4242, node, object{"i": nodeID("Album", "4")}},
		{"node without permission", staff, node, object{"i": link}},
		{"node of the viewer", staff4242, node, object{"i": nodeID("User", "3")}},
		{"node of another user", staff4242, node, object{"i": nodeID("User", "1")}},
		{"node of a token", staff4242, node, object{"i": nodeID("Token", "1")}},
		{"node of a user, as an admin", admin, node, object{"i": nodeID("User", "2")}},
		{"node of a token, as an admin", admin, node, object{"i": nodeID("Token", "1")}},
		{"nodes", staff4242, nodes, object{"i": all}},
		{"no nodes", staff4242, nodes, object{"i": []string{}}},
		{"nodes by numbers", staff4242, nodes, object{"i": []any{link, "4", 5}}},
		{"nodes, one forbidden", staff4242, nodes, object{"i": []any{link, nodeID("User", "1")}}},
		{"too many nodes", staff4242, nodes, object{"i": slices.Repeat([]string{link}, 101)}},
		{"100 nodes", staff4242, `query($i:[ID!]!){nodes(nodeIds:$i){nodeId}}`, object{"i": slices.Repeat([]string{missing}, 100)}},
	}
}

func adminCases() []queryCase {
	return []queryCase{
		{"users", admin, `{users(first:3){totalCount nodes{id username isActive isStaff isAdmin permissions createdAt} pageInfo{hasNextPage endCursor}}}`, nil},
		{"users before the last", admin, `{users(last:1){edges{cursor node{username}} pageInfo{hasPreviousPage}}}`, nil},
		{"tokens", admin, `{tokens(first:2){totalCount nodes{id username label createdAt expiresAt} pageInfo{hasNextPage endCursor}}}`, nil},
		{"page of users with the cursor of links", admin, `{links:portfolioLinks(first:1){pageInfo{endCursor}} users(first:0,after:"BAAAAAA"){totalCount}}`, nil},
	}
}

func TestTokens_AreRefused(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range []struct{ name, authorization string }{
			{"unknown key", "Token wrong"},
			{"no key", "Token"},
			{"key without its first character", "Token " + graphtest.Admin[1:]},
			{"Basic scheme", "Basic " + graphtest.Admin},
			{"no scheme", graphtest.Admin},
			{"inactive user", "Token " + graphtest.Inactive},
		} {
			response, body := graphtest.Query(t, server, c.authorization, "{viewer{id}}", nil)
			golden.Check(t, c.name, response, body)
		}
	})
}

// TestErrors_AreLimited checks that a short query cannot cause a long response, which says
// how many errors are left out.
func TestErrors_AreLimited(t *testing.T) {
	t.Parallel()
	server := graphtest.Serve(t, dbtest.Open(t, dbtest.SQLite(t)), nil)
	for _, c := range []struct {
		query, last string
		count       int
	}{
		{"{" + strings.Repeat("a b c d e f g h i j ", 5) + "}", `"Cannot query field \"j\" on type \"Query\"."`, 50},
		{"{" + strings.Repeat("a b c d e f g h i j k ", 10) + "}", `"61 more errors are left out."`, 50},
	} {
		_, body := graphtest.Query(t, server, "", c.query, nil)
		count, last := strings.Count(body, `"message"`), body[strings.LastIndex(body, `"message"`):]
		if count != c.count || !strings.Contains(last, c.last) {
			t.Errorf("%d errors, the last one %s, want %d and %s", count, last, c.count, c.last)
		}
	}
}

// TestErrors_ExplainEachNullField checks that each field that is null because of an error has one,
// up to the limit.
func TestErrors_ExplainEachNullField(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Limits.Cost = 1e6 })
		fields := func(n int, field string) string {
			var query strings.Builder
			for i := range n {
				fmt.Fprintf(&query, "a%d:%s ", i, field)
			}
			return "{" + query.String() + "}"
		}
		for _, c := range []struct {
			query string
			count int
			last  string
		}{
			{fields(20, "portfolios(first:101){nodes{id}}"), 20, "first must be 1 to 100."},
			{"{nodes(nodeIds:[" + strings.Repeat(`"SW1hZ2U6Ng==" `, 100) + "]){...on Image" + fields(9, "links(first:101){nodes{id}}") + "}}", 900, "first must be 1 to 100."},
			{"{nodes(nodeIds:[" + strings.Repeat(`"UG9ydGZvbGlvOjE=" `, 100) + "]){...on Portfolio{name " + fields(11, "links(first:101){nodes{id}}")[1:] + "}}", 1000, "101 more errors are left out."},
		} {
			_, body := graphtest.Query(t, server, admin, c.query, nil)
			count, last := strings.Count(body, `"message"`), body[strings.LastIndex(body, `"message"`):]
			if count != c.count || !strings.Contains(body, c.last) {
				t.Errorf("%d errors, want %d: %s", count, c.count, last)
			}
		}
	})
}

// TestErrors_HideInternals renames a column that the server reads.
func TestErrors_HideInternals(t *testing.T) {
	t.Parallel()
	const want = `{"errors":[{"message":"Internal error.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],` +
		`"extensions":{"code":"INTERNAL"}}],"data":{"portfolioLink":null}}`
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		var logs bytes.Buffer
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Log = slog.New(slog.NewJSONHandler(&logs, nil)) })
		dbtest.Exec(t, dsn, "ALTER TABLE portfolio_links RENAME COLUMN description TO renamed")
		response, body := graphtest.Query(t, server, admin, "{portfolioLink(id:4){id}}", nil)
		if response.StatusCode != http.StatusOK || body != want {
			t.Errorf("%d %s", response.StatusCode, body)
		}
		if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "description") || strings.Contains(text, graphtest.Admin) {
			t.Errorf("logged %s", text)
		}
	})
}
