package graph_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"portfolio/graph/graphtest"
)

// TestVariables_ReportAllErrors checks that all errors in variables are reported at once, with
// the paths in the arguments that resolvers report too.
func TestVariables_ReportAllErrors(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := slices.Concat(inputMistakes(), variableMistakes(), nullVariables(), validVariables())
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := graphtest.Query(t, server, admin, c.query, c.variables)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

const (
	createLink = `mutation($input:CreatePortfolioLinkInput!){createPortfolioLink(input:$input){portfolioLink{id}}}`
	createUser = `mutation($data:CreateUserInput!){createUser(input:$data){user{username isStaff isAdmin permissions}}}`
	listLinks  = `query($filter:PortfolioLinkFilter,$orderBy:[Order!],$first:Int,$after:String){
		portfolioLinks(filter:$filter,orderBy:$orderBy,first:$first,after:$after){nodes{id}}}`
)

func inputMistakes() []queryCase {
	many := slices.Repeat([]string{"x"}, 20)
	return []queryCase{
		{"every field of a new link", admin, createLink, object{"input": object{
			"portfolioId": true, "url": 5, "description": []string{}, "imageId": 4.5, "image": "x", "position": 1}}},
		{"every field of a new user", admin, createUser, object{"data": object{
			"isStaff": nil, "isAdmin": "yes", "permissions": []any{"PORTFOLIO_LINK", "portfolio_link", 2.5, nil, object{}}, "nickname": "x", "__typename": "User"}}},
		{"every field of a new token", admin, `mutation($input:CreateTokenInput!){createToken(input:$input){key}}`,
			object{"input": object{"username": object{}, "label": false, "expiresAt": "tomorrow"}}},
		{"every field of a link update", admin, `mutation($input:UpdatePortfolioLinkInput!){updatePortfolioLink(input:$input){portfolioLink{id}}}`,
			object{"input": object{"id": "four", "portfolioId": "9223372036854775808", "name": 1, "imageId": []int{1}, "expectedUpdatedAt": 1_768_298_743}}},
		{"every argument of a list", admin, listLinks, object{
			"filter": object{"search": 1, "hasImage": "yes", "createdAt": object{"from": "yesterday", "before": 5, "after": nil}, "updatedAt": "2026"},
			"first":  "2", "after": 2, "orderBy": object{"field": "name", "direction": 1}}},
		{"more than ten", admin, createUser, object{"data": object{"permissions": many}}},
		{"no object", admin, createUser, object{"data": "sara"}},
		{"a list for an object", admin, createUser, object{"data": []object{{"username": "sara"}}}},
		{"name of 500 bytes", admin, createUser, object{"data": object{"username": "x", strings.Repeat("ا", 250): 1}}},
	}
}

func variableMistakes() []queryCase {
	return []queryCase{
		{"missing variables", admin, `query($i:ID!,$j:ID!){portfolioLink(portfolioId:$i,id:$j){id}}`, nil},
		{"variables in an object and a list", admin, `mutation($name:String!,$permission:Permission!,$staff:Boolean){
			createUser(input:{username:$name,permissions:[PORTFOLIO_LINK,$permission],isStaff:$staff}){user{id}}}`, object{"name": 5, "permission": "EDIT", "staff": 1}},
		{"variables in fragments", admin, `query($n:Int,$d:Direction!){...F}
			fragment F on Query{portfolios{nodes{...G ... on Portfolio{a:links(orderBy:{direction:$d}){totalCount}}}}}
			fragment G on Portfolio{b:links(last:$n){totalCount}}`, object{"n": 1.5, "d": "UP"}},
		{"variables in directives", admin, `query($a:Boolean!,$b:Boolean!,$c:Boolean!){viewer@skip(if:$a){id} ...@include(if:$b){__typename} ...F@skip(if:$c)}
			fragment F on Query{__typename}`, object{"a": "true", "b": 1, "c": nil}},
		{"first of several uses", admin, `query($n:Int){portfolios(last:$n){nodes{links(first:$n){totalCount}}}}`, object{"n": "x"}},
		{"default of the variable", admin, `query($t:DateTime="2026",$u:DateTime={from:1}){portfolioLinks(filter:{createdAt:{from:$t,before:$u}}){totalCount}}`, nil},
		{"file as a string", admin, `mutation($file:Upload!){uploadImage(input:{image:$file}){image{id}}}`, object{"file": "a.png"}},
		{"number beyond all floats", admin, `query($n:Int){portfolios(first:$n){totalCount}}`, object{"n": json.Number("1e400")}},
	}
}

// nullVariables are about variables that may be null, used where there is a default
// but null is not allowed.
func nullVariables() []queryCase {
	return []queryCase{
		{"null for fields with defaults", admin, `mutation($name:String="x",$flag:Boolean,$permissions:[Permission!]){
			createUser(input:{username:$name,isStaff:$flag,isAdmin:$flag,permissions:$permissions}){user{id}}}`, object{"name": nil, "flag": nil, "permissions": nil}},
		{"null for an enum with a default", admin, `query($f:OrderField){portfolioLinks(orderBy:{field:$f}){totalCount}}`, object{"f": nil}},
		{"null for an element of a list", admin, `mutation($p:Permission=PORTFOLIO_LINK){createUser(input:{username:"x",permissions:[$p]}){user{id}}}`, object{"p": nil}},
		{"null for a directive", admin, `query($skip:Boolean=true){viewer@skip(if:$skip){id}}`, object{"skip": nil}},
		{"null beside an error", admin, `query($skip:Boolean=true,$n:Int){portfolios(first:$n){totalCount@skip(if:$skip)}}`, object{"skip": nil, "n": "x"}},
		{"null for arguments that may be null", admin, listLinks, object{"filter": object{"search": "shares", "createdAt": nil}, "orderBy": nil, "first": nil, "after": nil}},
	}
}

func validVariables() []queryCase {
	return []queryCase{
		{"whole numbers", admin, `query($a:Int,$b:Int,$c:Int){a:portfolios(first:$a){nodes{id}} b:portfolios(last:$b){nodes{id}} c:portfolios(first:$c){nodes{id}}}`,
			object{"a": json.Number("2.0"), "b": json.Number("2e0"), "c": json.Number("20e-1")}},
		{"defaults of fields and single values for lists", admin, createUser, object{"data": object{"username": "sara", "isStaff": true, "permissions": "PORTFOLIO_LINK"}}},
		{"defaults of variables", admin, `query($f:PortfolioLinkFilter={hasImage:true,createdAt:{from:"2026-01-01T00:00:00Z"}},$o:[Order!]={direction:DESC},$n:Int=2,$p:ID=1){
			portfolioLinks(portfolioId:$p,filter:$f,orderBy:$o,first:$n){nodes{id}}}`, nil},
		{"omitted variables", admin, `query($f:OrderField,$d:Direction,$n:Int){portfolioLinks(first:$n,orderBy:{field:$f,direction:$d}){totalCount}}`, nil},
		{"undeclared variables", admin, `query($n:Int){portfolios(first:$n){nodes{id}}}`, object{"n": 1, "m": []int{1}}},
	}
}
