package graph_test

import (
	"net/http/httptest"
	"testing"

	"portfolio/graph/graphtest"
)

// TestLiterals_OfOtherTypesAreRefused checks that literals of other types are refused.
func TestLiterals_OfOtherTypesAreRefused(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := literalCases()
	graphtest.EachCached(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := graphtest.Query(t, server, admin, c.query, c.variables)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

func literalCases() []queryCase {
	link := func(arguments string) string { return `{portfolioLinks(` + arguments + `){totalCount}}` }
	return []queryCase{
		{"empty objects", admin, link(`first:{},after:{},filter:{hasImage:{},createdAt:{from:{}}},orderBy:{field:{}}`), nil},
		{"empty object for a list", admin, `mutation{createUser(input:{username:"x",permissions:{}}){user{id}}}`, nil},
		{"empty object for a directive", admin, `{viewer@skip(if:{}){id}}`, nil},
		{"empty object for an introspection", admin, `{__type(name:{}){name}}`, nil},
		{"other types", admin, link(`first:"2",after:2,filter:{search:true,hasImage:"yes"},orderBy:{field:"NAME",direction:desc}`), nil},
		{"whole number with a fraction", admin, link(`first:2.0`), nil},
		{"numbers of 33 and 65 bits", admin, `query($n:Int=-2147483649){a:portfolios(first:$n){totalCount} b:portfolios(first:2147483648,last:99999999999999999999){totalCount}}`, nil},
		{"numbers of 32 bits", admin, `{image(id:12){a:thumbnail(size:-2147483648){size} b:thumbnail(size:2147483647){size}}}`, nil},
		{"times", admin, link(`filter:{createdAt:{from:NOW,before:2026}}`), nil},
	}
}
