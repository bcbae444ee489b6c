package graph_test

import (
	"net/http/httptest"
	"portfolio/graph/graphtest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadLists: whatever is wrong with the arguments is said, with its place.
func TestBadLists(t *testing.T) {
	const (
		bad     = "BAD_USER_INPUT"
		pair    = "first and after cannot be combined with last and before."
		foreign = " is not a cursor of this list in this order."
		nul     = "search must be valid UTF-8 without NUL."
	)
	first := fault("portfolioLinks", "first must be 1 to 100.", bad, `["first"]`)
	last := fault("portfolioLinks", "last must be 1 to 100.", bad, `["last"]`)
	after := fault("portfolioLinks", "after"+foreign, bad, `["after"]`)
	cases := []struct {
		name string
		args map[string]any
		want []string
	}{
		{"first 0", map[string]any{"first": 0}, []string{first}},
		{"first -1", map[string]any{"first": -1}, []string{first}},
		{"first 101", map[string]any{"first": 101}, []string{first}},
		{"last 0", map[string]any{"last": 0}, []string{last}},
		{"last 101", map[string]any{"last": 101}, []string{last}},
		{"both ways", map[string]any{"first": 1, "last": 1}, []string{fault("portfolioLinks", pair, bad, `["first"]`)}},
		{"both cursors", map[string]any{"after": "x", "before": "x"}, []string{fault("portfolioLinks", pair, bad, `["first"]`), fault("portfolioLinks", "before"+foreign, bad, `["before"]`)}},
		{"no cursor", map[string]any{"after": ""}, []string{after}},
		{"a word", map[string]any{"after": "word"}, []string{after}},
		{"not base64", map[string]any{"after": "÷"}, []string{after}},
		{"another kind's cursor", map[string]any{"after": "portfolio"}, []string{after}},
		{"another order's cursor", map[string]any{"after": "NAME ASC"}, []string{after}},
		{"another direction's cursor", map[string]any{"after": "ID DESC"}, []string{after}},
		{"search for NUL", map[string]any{"filter": map[string]any{"search": "a\x00"}}, []string{fault("portfolioLinks", nul, bad, `["filter","search"]`)}},
		{"search too long", map[string]any{"filter": map[string]any{"search": strings.Repeat("ا", 256)}}, []string{fault("portfolioLinks", "search must have at most 255 characters.", bad, `["filter","search"]`)}},
		{"empty ranges", map[string]any{"filter": map[string]any{
			"createdAt": map[string]any{"from": "2026-01-01T00:00:00Z", "before": "2026-01-01T00:00:00Z"},
			"updatedAt": map[string]any{"from": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"},
		}}, []string{fault("portfolioLinks", "before must be after from.", bad, `["filter","createdAt","before"]`), fault("portfolioLinks", "before must be after from.", bad, `["filter","updatedAt","before"]`)}},
		{"everything", map[string]any{"filter": map[string]any{"search": "\x00"}, "first": 0, "after": "x"}, []string{fault("portfolioLinks", nul, bad, `["filter","search"]`), first, after}},
	}
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var cursors struct{ Portfolio, Name, Descending connection }
		tryTo(t, server, `{portfolio:portfolios{pageInfo{endCursor}} name:portfolioLinks(orderBy:{field:NAME}){pageInfo{endCursor}} descending:portfolioLinks(orderBy:{direction:DESC}){pageInfo{endCursor}}}`, nil, &cursors)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				switch c.args["after"] {
				case "portfolio":
					c.args["after"] = cursors.Portfolio.PageInfo.EndCursor
				case "NAME ASC":
					c.args["after"] = cursors.Name.PageInfo.EndCursor
				case "ID DESC":
					c.args["after"] = cursors.Descending.PageInfo.EndCursor
				}
				response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, `query($filter: PortfolioLinkFilter, $first: Int, $after: String, $last: Int, $before: String) {portfolioLinks(filter: $filter, first: $first, after: $after, last: $last, before: $before) {totalCount}}`, c.args)
				golden.Check(t, c.name, response, body)
				if diff := cmp.Diff(refused("portfolioLinks", c.want...), locations.ReplaceAllString(body, "")); diff != "" {
					t.Error(diff)
				}
			})
		}
	})
}

// TestFilters finds recorded rows. Times are those of links 50 to 58.
func TestFilters(t *testing.T) {
	cases := []struct{ name, args, want string }{
		{"no words", `filter:{search:""},first:2`, "4 10"},
		{"description", `filter:{search:"مشاهده"}`, "4"},
		{"case", `filter:{search:"SHARES"}`, "18"},
		{"case beyond ASCII", `filter:{search:"É Ñ"},orderBy:{direction:DESC}`, ""},
		{"letters that fold alike", `filter:{search:"SK"}`, "41"},
		{"a letter that is its own case", `filter:{search:"iisk"}`, ""},
		{"percent", `filter:{search:"%3c"}`, "36"},
		{"underscore", `filter:{search:"_"}`, ""},
		{"backslash", `filter:{search:"\\u0041"}`, "35"},
		{"brackets and star", `filter:{search:"*"}`, ""},
		{"quotes", `filter:{search:"'SINGLE'"}`, "35"},
		{"created from", `filter:{createdAt:{from:"2026-01-13T10:05:43.000001Z",before:"2026-01-13T10:05:43.123Z"}}`, "51 52"},
		{"created in a second", `filter:{createdAt:{from:"2026-01-13T10:05:43Z",before:"2026-01-13T10:05:43.2Z"}},orderBy:{field:CREATED_AT}`, "50 52 51 53"},
		{"created long ago", `filter:{createdAt:{before:"1970-01-01T00:00:00.000001Z"}},orderBy:{field:CREATED_AT,direction:DESC}`, "56 54 58 55"},
		{"updated", `filter:{updatedAt:{from:"2038-01-19T03:14:08Z"}},orderBy:{field:UPDATED_AT}`, "56 55"},
		{"updated, half the way back", `filter:{updatedAt:{from:"2026-01-13T10:05:43.01Z"}},orderBy:{field:UPDATED_AT},first:2`, "52 51"},
		{"one portfolio", `portfolioId:2`, "900"},
		{"no portfolio", `portfolioId:77`, ""},
		{"without image", `portfolioId:1,filter:{hasImage:false},first:3`, "10 16 50"},
		{"with image", `portfolioId:1,filter:{hasImage:true},last:1`, "9223372036854775807"},
		{"null is left out", `portfolioId:null,filter:{search:null,hasImage:null,createdAt:null},orderBy:null,first:1,after:null,last:null`, "4"},
		{"the last 20", `before:null,last:2,orderBy:{field:ID,direction:DESC}`, "10 4"},
	}
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				var answer struct{ PortfolioLinks struct{ Nodes []entry } }
				if code := tryTo(t, server, "{portfolioLinks("+c.args+"){nodes{id}}}", nil, &answer); code != "" {
					t.Fatal(code)
				}
				var ids []string
				response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, "{portfolioLinks("+c.args+"){nodes{id}}}", nil)
				golden.Check(t, c.name, response, body)
				for _, node := range answer.PortfolioLinks.Nodes {
					ids = append(ids, node.ID)
				}
				if got := strings.Join(ids, " "); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		}
	})
}

// TestPlainLists: lists that are encoded straight, and lists that gqlgen
// encodes because of one field more, are the same text.
func TestPlainLists(t *testing.T) {
	const more = ` x: portfolio{__typename}`
	cases := []string{
		`{portfolioLinks(first:100){__typename nodes{id name url description createdAt updatedAt imageData{id type name size humanReadableSize url width height mode thumbnails{id url size}}` + more + `}}}`,
		`{l:portfolioLinks(portfolioId:1,first:3,orderBy:{field:NAME}){totalCount edges{__typename c:cursor node{__typename id` + more + `}} pageInfo{__typename hasNextPage hasPreviousPage startCursor endCursor}}}`,
		`{portfolioLinks(filter:{search:"nowhere"}){totalCount nodes{id` + more + `} edges{node{id}} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}`,
		`{portfolioLinks(first:2){...C}} fragment C on PortfolioLinkConnection{edges{...E} nodes{id} nodes{name` + more + `}} fragment E on PortfolioLinkEdge{cursor node{...on PortfolioLink{id @skip(if:true) name}}}`,
		`{portfolios(first:2){totalCount nodes{id} edges{cursor node{id name createdAt updatedAt x: links(first:1){__typename}}} pageInfo{endCursor}}}`,
	}
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, slow := range cases {
			plain := strings.NewReplacer(more, "", " x: links(first:1){__typename}", "").Replace(slow)
			_, want := graphtest.Query(t, server, "Token "+graphtest.Admin, slow, nil)
			want = strings.NewReplacer(`,"x":{"__typename":"Portfolio"}`, "", `,"x":{"__typename":"PortfolioLinkConnection"}`, "").Replace(want)
			_, got := graphtest.Query(t, server, "Token "+graphtest.Admin, plain, nil)
			if diff := cmp.Diff(want, got); diff != "" || strings.Contains(got, "errors") || plain == slow {
				t.Errorf("%s: %s", plain, diff)
			}
		}
	})
}
