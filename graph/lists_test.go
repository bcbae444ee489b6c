package graph_test

import (
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/graph/graphtest"
)

// TestLists_ReportInvalidArguments checks that each invalid argument is reported with its path.
func TestLists_ReportInvalidArguments(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	const (
		query = `query($filter: PortfolioLinkFilter, $order: [Order!], $first: Int, $after: String, $last: Int, $before: String) ` +
			`{portfolioLinks(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {totalCount}}`
		cursorsQuery = `{portfolio:portfolios{pageInfo{endCursor}} name:portfolioLinks(orderBy:{field:NAME}){pageInfo{endCursor}} ` +
			`descending:portfolioLinks(orderBy:{direction:DESC}){pageInfo{endCursor}} ` +
			`two:portfolioLinks(orderBy:[{field:NAME},{field:CREATED_AT}]){pageInfo{endCursor}}}`
		day1, day2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
	)
	cases := []struct {
		name      string
		arguments object
	}{
		{"first is 0", object{"first": 0}},
		{"first is -1", object{"first": -1}},
		{"first is 101", object{"first": 101}},
		{"last is 0", object{"last": 0}},
		{"last is 101", object{"last": 101}},
		{"first and last", object{"first": 1, "last": 1}},
		{"after and before", object{"after": "x", "before": "x"}},
		{"cursor is empty", object{"after": ""}},
		{"cursor is a word", object{"after": "word"}},
		{"cursor is not base64", object{"after": "÷"}},
		{"cursor of another list", object{"after": "portfolio"}},
		{"cursor of another field", object{"after": "NAME ASC"}},
		{"cursor of another direction", object{"after": "ID DESC"}},
		{"cursor of another second field", object{"after": "NAME ASC, CREATED_AT ASC", "order": []object{{"field": "NAME"}, {"field": "UPDATED_AT"}}}},
		{"repeated fields", object{"order": []object{{"field": "NAME"}, {}, {"field": "NAME", "direction": "DESC"}, {"direction": "DESC"}}}},
		{"position without portfolioId", object{"order": []object{{"field": "NAME"}, {"field": "POSITION"}}}},
		{"search contains NUL", object{"filter": object{"search": "a\x00"}}},
		{"search is too long", object{"filter": object{"search": long(256)}}},
		{"empty time ranges", object{"filter": object{"createdAt": object{"from": day1, "before": day1}, "updatedAt": object{"from": day2, "before": day1}}}},
		{"name, url and imageId are invalid", object{"filter": object{"name": long(256), "url": "a\x00", "imageId": "UG9ydGZvbGlvOjE="}}},
		{"url is too long", object{"filter": object{"url": long(2001)}}},
		{"several invalid arguments", object{"filter": object{"search": "\x00"}, "first": 0, "after": "x"}},
	}
	graphtest.EachCached(t, recorded, func(t *testing.T, server *httptest.Server) {
		var lists struct{ Portfolio, Name, Descending, Two connection }
		mutate(t, server, cursorsQuery, nil, &lists)
		cursors := map[any]string{
			"portfolio": lists.Portfolio.PageInfo.EndCursor, "NAME ASC": lists.Name.PageInfo.EndCursor, "ID DESC": lists.Descending.PageInfo.EndCursor,
			"NAME ASC, CREATED_AT ASC": lists.Two.PageInfo.EndCursor,
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				arguments := maps.Clone(c.arguments)
				if cursor, ok := cursors[arguments["after"]]; ok {
					arguments["after"] = cursor
				}
				response, body := graphtest.Query(t, server, admin, query, arguments)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

// TestFilters_SelectLinks finds recorded links. Links 50 to 58 have special times.
func TestFilters_SelectLinks(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := []struct{ name, arguments string }{
		{"empty search", `filter:{search:""},first:2`},
		{"search in descriptions", `filter:{search:"مشاهده"}`},
		{"search ignores case", `filter:{search:"SHARES"}`},
		{"search for two accented letters", `filter:{search:"É Ñ"},orderBy:{direction:DESC}`},
		{"search for letters with several foldings", `filter:{search:"SK"}`},
		{"search for a letter without case", `filter:{search:"iisk"}`},
		{"search for a percent sign", `filter:{search:"%3c"}`},
		{"search for an underscore", `filter:{search:"_"}`},
		{"search for a backslash", `filter:{search:"\\u0041"}`},
		{"search for an asterisk", `filter:{search:"*"}`},
		{"search for quotes", `filter:{search:"'SINGLE'"}`},
		{"name", `filter:{name:"link"},first:3`},
		{"name differs in case", `filter:{name:"LINK"}`},
		{"name has more characters", `filter:{name:"lin"}`},
		{"url", `filter:{url:"https://example.com/"},first:3`},
		{"url in another order", `filter:{url:"https://example.com/"},orderBy:[{field:NAME},{field:CREATED_AT,direction:DESC}],last:3`},
		{"imageId", `filter:{imageId:12}`},
		{"imageId as a nodeId", `filter:{imageId:"SW1hZ2U6MTI="}`},
		{"missing image", `filter:{imageId:999999}`},
		{"all equal", `portfolioId:1,filter:{name:"link",url:"https://example.com/",imageId:12,hasImage:true,search:"LINK"}`},
		{"createdAt range", `filter:{createdAt:{from:"2026-01-13T10:05:43.000001Z",before:"2026-01-13T10:05:43.123Z"}}`},
		{"createdAt within a second", `filter:{createdAt:{from:"2026-01-13T10:05:43Z",before:"2026-01-13T10:05:43.2Z"}},orderBy:{field:CREATED_AT}`},
		{"createdAt before 1970", `filter:{createdAt:{before:"1970-01-01T00:00:00.000001Z"}},orderBy:{field:CREATED_AT,direction:DESC}`},
		{"updatedAt after 2038", `filter:{updatedAt:{from:"2038-01-19T03:14:08Z"}},orderBy:{field:UPDATED_AT}`},
		{"updatedAt, first page", `filter:{updatedAt:{from:"2026-01-13T10:05:43.01Z"}},orderBy:{field:UPDATED_AT},first:2`},
		{"several orders", `portfolioId:1,orderBy:[{field:NAME,direction:DESC},{field:CREATED_AT,direction:DESC}],first:8`},
		{"no order", `orderBy:[],first:1`},
		{"one portfolio", `portfolioId:2`},
		{"missing portfolio", `portfolioId:77`},
		{"without an image", `portfolioId:1,filter:{hasImage:false},first:3`},
		{"with an image", `portfolioId:1,filter:{hasImage:true},last:1`},
		{"null arguments are ignored", `portfolioId:null,filter:{search:null,hasImage:null,createdAt:null},orderBy:null,first:1,after:null,last:null`},
		{"last with a null cursor", `before:null,last:2,orderBy:{field:ID,direction:DESC}`},
	}
	graphtest.EachCached(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := graphtest.Query(t, server, admin, "{portfolioLinks("+c.arguments+"){nodes{id}}}", nil)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

// TestEncoder_MatchesGqlgen compares lists that graph/encode.go writes with the same
// lists written by gqlgen, which takes over because of one additional field.
func TestEncoder_MatchesGqlgen(t *testing.T) {
	t.Parallel()
	const (
		portfolio = ` x: portfolio{__typename}`
		links     = ` x: links(first:1){__typename}`
	)
	cases := []string{
		`{portfolioLinks(first:100){__typename nodes{id name url description position createdAt updatedAt
			imageData{id type name size humanReadableSize url width height mode thumbnails{id url size}}` + portfolio + `}}}`,
		`{l:portfolioLinks(portfolioId:1,first:3,orderBy:{field:NAME}){totalCount edges{__typename c:cursor node{__typename id` + portfolio + `}}
			pageInfo{__typename hasNextPage hasPreviousPage startCursor endCursor}}}`,
		`{portfolioLinks(filter:{search:"nowhere"}){totalCount nodes{id` + portfolio + `} edges{node{id}}
			pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}`,
		`{portfolioLinks(first:2){...C}}
			fragment C on PortfolioLinkConnection{edges{...E} nodes{id} nodes{name` + portfolio + `}}
			fragment E on PortfolioLinkEdge{cursor node{...on PortfolioLink{id @skip(if:true) name}}}`,
		`{images(first:100){__typename totalCount nodes{__typename id nodeId name alt createdAt placeholder thumbnails{id}` + links + `}}}`,
		`{portfolios(first:2){totalCount nodes{id} edges{cursor node{id name createdAt updatedAt` + links + `}} pageInfo{endCursor}}}`,
	}
	fromQuery := strings.NewReplacer(portfolio, "", links, "")
	fromBody := strings.NewReplacer(`,"x":{"__typename":"Portfolio"}`, "", `,"x":{"__typename":"PortfolioLinkConnection"}`, "")
	graphtest.EachCached(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, slow := range cases {
			fast := fromQuery.Replace(slow)
			_, want := graphtest.Query(t, server, admin, slow, nil)
			_, got := graphtest.Query(t, server, admin, fast, nil)
			if diff := cmp.Diff(fromBody.Replace(want), got); diff != "" || strings.Contains(got, "errors") || fast == slow {
				t.Errorf("%s: %s", fast, diff)
			}
		}
	})
}
