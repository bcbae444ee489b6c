package graphqlhttp_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"portfolio/graph/graphtest"
)

// TestSpecification covers rules of the GraphQL specification that gqlparser and gqlgen break or do not
// check.
func TestSpecification(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := slices.Concat(unicodeCases(), stringCases(), nullCases(), literalCases(), introspectionCases(), subscriptionCases(), mergeCases(), locationCases())
	graphtest.EachCached(t, graphtest.Recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			c.headers = maps.Clone(c.headers)
			if c.headers == nil {
				c.headers = map[string]string{}
			}
			c.headers["Authorization"] = admin
			t.Run(c.name, func(t *testing.T) { checkHTTP(t, server, golden, c) })
		}
	})
}

// bodyOf returns the body of a request with a document, and variables as JSON.
func bodyOf(document, variables string) string {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // a string can be encoded
	}
	if variables == "" {
		variables = "null"
	}
	return `{"query":` + string(text) + `,"variables":` + variables + `}`
}

func documentCase(name, document string) httpCase {
	return httpCase{name: name, body: bodyOf(document, ""), headers: accept(newType)}
}

func variablesCase(name, document, variables string) httpCase {
	return httpCase{name: name, body: bodyOf(document, variables), headers: accept(newType)}
}

func unicodeCases() []httpCase {
	search := func(text string) string { return `{portfolios(filter:{name:` + text + `}){nodes{id}}}` }
	const variable = `query($n:String){portfolios(filter:{name:$n}){nodes{id}}}`
	return []httpCase{
		documentCase("lead surrogate in a document", search(`"a\uD83Db"`)),
		documentCase("trail surrogate in a document", search(`"\uDE00"`)),
		documentCase("two lead surrogates in a document", search(`"\uD83D\uD83D\uDE00"`)),
		documentCase("lead surrogate before an escape of another form", search(`"\uD83D\u{1F600}"`)),
		documentCase("lead surrogate at the end of a string", search(`"\ud83d"`)),
		documentCase("lead surrogate in an unused operation", `query A{__typename} query B{portfolios(filter:{name:"\uD83D"}){nodes{id}}}`),
		documentCase("pair of surrogates in a document", search(`"\uD83D\uDE00 \\uD83D"`)),
		documentCase("surrogate in a block string", search(`"""\uD83D"""`)),
		variablesCase("lead surrogate in variables", variable, `{"n":"\ud800"}`),
		variablesCase("trail surrogate in the name of a variable", variable, `{"\uDC00":1}`),
		variablesCase("pair of surrogates in variables", variable, `{"n":"\ud83d\ude00 \\ud83d"}`),
		{name: "surrogate in operationName", body: `{"query":"{__typename}","operationName":"\ud800"}`},
		{name: "surrogate in extensions", body: `{"query":"{__typename}","extensions":{"x":["\udfff"]}}`},
		{name: "body that is not UTF-8", body: strings.Replace(bodyOf(variable, `{"n":"caf?"}`), "?", "\xe9", 1)},
		{name: "surrogate in UTF-8", body: strings.Replace(bodyOf(variable, `{"n":"?"}`), "?", "\xed\xa0\x80", 1)},
		{name: "GET with a query that is not UTF-8", query: `query={portfolios(filter:{name:"%E9"}){nodes{id}}}`},
		{name: "GET with variables that are not UTF-8", query: get(variable) + `&variables={"n":"%E9"}`},
		{name: "GET with a surrogate in variables", query: get(variable) + `&variables={"n":"\ud800"}`},
	}
}

// stringCases show values in the messages of errors.
func stringCases() []httpCase {
	value := func(text string) string { return `{portfolios(first:` + text + `){nodes{id}}}` }
	return []httpCase{
		documentCase("block string with an indented first line", value("\"\"\"  first\n    second\n      third\"\"\"")),
		documentCase("block string with a first line that is not indented", value("\"\"\"first\n    second\n\n  third\n  \"\"\"")),
		documentCase("block string with CR and CR LF", value("\"\"\"\r\n\ta\r\tb\r\n\"\"\"")),
		documentCase("block string with quotes", value(`"""a \""" ""b"""`)),
		documentCase("block string and a quote", value(`"""a""""`)),
		documentCase("block string and an empty string", `{nodes(nodeIds:["""x"""""]){nodeId}}`),
		documentCase("number and a name", `{portfolios(first:2last:2){nodes{id}}}`),
		documentCase("number and a spread", `{portfolios(first:20...F){nodes{id}}}`),
		documentCase("number that begins with 0 and a name", `{portfolios(first:00F){nodes{id}}}`),
		documentCase("numbers without white space", `{nodes(nodeIds:[1-2 1.5-1 2e+1-2F]){nodeId}}`),
		documentCase("hexadecimal number", `{portfolio(id:0xF){id}}`),
		documentCase("fragment with a variable", `{...F} fragment F($x:Int) on Query{__typename}`),
	}
}

func nullCases() []httpCase {
	const skipped = `query($id:ID=4,$all:Boolean=false){portfolioLink(id:$id)@include(if:$all){id} viewer{username}}`
	return []httpCase{
		variablesCase("null argument", `query($id:ID=4){portfolioLink(id:$id){id} viewer{username}}`, `{"id":null}`),
		variablesCase("null argument of a field that is skipped", skipped, `{"id":null}`),
		variablesCase("null list", `query($ids:[ID!]=[]){nodes(nodeIds:$ids){nodeId} viewer{username}}`, `{"ids":null}`),
		variablesCase("null element", `query($o:Order={}){portfolio(id:1){name links(orderBy:[{field:ID},$o]){totalCount}}}`, `{"o":null}`),
		variablesCase("null input", `query($f:OrderField=ID){portfolioLinks(first:1,orderBy:{field:$f}){nodes{id}}}`, `{"f":null}`),
		variablesCase("null in a mutation", `mutation($s:Boolean=true){createUser(input:{username:"x",isStaff:$s}){user{id}}}`, `{"s":null}`),
		variablesCase("null of a nested field", `query($n:Int=64){portfolioLink(id:4){name imageData{id thumbnail(size:$n){id}}}}`, `{"n":null}`),
		variablesCase("null of @include at the root", `query($b:Boolean=true){viewer@include(if:$b){id}}`, `{"b":null}`),
		variablesCase("null of @skip", `query($b:Boolean=true){viewer{id @skip(if:$b)} portfolio(id:1){id}}`, `{"b":null}`),
		variablesCase("null of @include in encoded objects", `query($b:Boolean=true){portfolioLink(id:4){name imageData{id ...{thumbnails@include(if:$b){id}}}}}`, `{"b":null}`),
		variablesCase("null of @skip in a fragment that is excluded", `query($b:Boolean=true){viewer{username ...@include(if:false){id @skip(if:$b)}}}`, `{"b":null}`),
		variablesCase("null of @skip in a missing object", `query($b:Boolean=true){portfolio(id:99){id @skip(if:$b)}}`, `{"b":null}`),
		variablesCase("null of @skip that a list looks at", `query($b:Boolean=true){portfolios(first:1){totalCount@skip(if:$b) nodes{id}}}`, `{"b":null}`),
		variablesCase("null of @include in a list", `query($b:Boolean=true){portfolios(first:1){nodes{id@include(if:$b)} totalCount}}`, `{"b":null}`),
		variablesCase("null of @include in an empty list", `query($b:Boolean=true){portfolios(filter:{name:"none"}){nodes{id@include(if:$b)}}}`, `{"b":null}`),
		variablesCase("null of @include for another type", `query($b:Boolean=true){node(nodeId:"UG9ydGZvbGlvTGluazo0"){nodeId ...on Image{name@include(if:$b)} ...on PortfolioLink{name}}}`, `{"b":null}`),
		variablesCase("null of @include for the type", `query($b:Boolean=true){node(nodeId:"SW1hZ2U6Ng=="){...on Node{...F}}} fragment F on Image{name@include(if:$b)}`, `{"b":null}`),
		variablesCase("null of @include for one of several nodes", `query($b:Boolean=true){
			nodes(nodeIds:["UG9ydGZvbGlvTGluazo0","SW1hZ2U6Ng==","UG9ydGZvbGlvOjk5","UG9ydGZvbGlvOjE="]){nodeId ...on Image{name@include(if:$b)}}}`, `{"b":null}`),
		variablesCase("null of @skip for another type in an object", `query($b:Boolean=true){portfolioLink(id:4){name ...on Node{...on Image{id@skip(if:$b)}}}}`, `{"b":null}`),
		variablesCase("null of @skip at a repeated fragment", `query($b:Boolean=true){viewer{...F ...F@skip(if:$b)}} fragment F on User{username}`, `{"b":null}`),
		variablesCase("null of @skip in a mutation", `mutation($b:Boolean=true){createPortfolio(input:{name:"null"}){portfolio@skip(if:$b){id}}}`, `{"b":null}`),
		documentCase("the mutation with a null of @skip", `{portfolios(filter:{name:"null"}){totalCount}}`),
		variablesCase("null beside introspection", `query($id:ID=4){portfolioLink(id:$id){id} __type(name:"ID"){fields{name} isOneOf}}`, `{"id":null}`),
		variablesCase("null in introspection", `query($t:String="ID"){a:__type(name:$t){name} b:__type(name:"Direction"){fields{name} possibleTypes{name} enumValues{name}}}`, `{"t":null}`),
		variablesCase("null where it is allowed", `query($a:String="x"){portfolios(first:1,after:$a){nodes{name}}}`, `{"a":null}`),
		{name: "default of another operation", headers: accept(newType),
			body: `{"query":"query A($n:String){...F} query B($n:String=\"x\"){...F} fragment F on Query{portfolios(first:1,filter:{name:$n}){nodes{name}}}","operationName":"A"}`},
	}
}

func literalCases() []httpCase {
	return []httpCase{
		documentCase("literal of an ID", `{portfolio(id:"x"){id}}`),
		documentCase("literal of a time", `{portfolios(filter:{createdAt:{from:"yesterday"}}){nodes{id}}}`),
		documentCase("literals of unused fields", `{portfolio(id:1)@skip(if:true){id} nodes(nodeIds:["1","x",2]){nodeId}}`),
		documentCase("name for a URL", `{portfolioLinks(filter:{url:NAME}){nodes{id}}}`),
		documentCase("number for a URL", `{portfolioLinks(filter:{url:1}){nodes{id}}}`),
		documentCase("list for a URL", `{portfolioLinks(filter:{url:["http://a.example"]}){nodes{id}}}`),
		documentCase("numbers out of range", `{portfolios(orderBy:[{field:99999999999999999999}],filter:{name:99999999999999999999}){nodes{id}} portfolio(id:99999999999999999999){id}}`),
		documentCase("objects for an enum and a number", `{portfolios(first:{a:1,b:2},orderBy:{field:{a:1}}){nodes{id}}}`),
		documentCase("literal in a fragment of two operations", `query A{...F} query B{...F} fragment F on Query{portfolios(first:"x"){nodes{id}}}`),
		documentCase("default of a variable", `query($t:DateTime="now",$i:[ID!]=[1,"y"]){nodes(nodeIds:$i){nodeId} portfolios(filter:{createdAt:{from:$t}}){nodes{id}}}`),
		documentCase("text for a file", `mutation{uploadImage(input:{image:"x"}){image{id}}}`),
		documentCase("valid literals", `{portfolio(id:"UG9ydGZvbGlvOjE="){id} portfolioLinks(filter:{url:"""x""",createdAt:{from:"2026-01-13T10:05:43Z"},imageId:null}){nodes{id}}}`),
	}
}

func introspectionCases() []httpCase {
	const lists = `kind isOneOf fields{name} interfaces{name} possibleTypes{name} enumValues{name} inputFields{name}`
	return []httpCase{
		documentCase("introspection of a scalar", `{__type(name:"URL"){`+lists+`}}`),
		documentCase("introspection of an enum", `{__type(name:"Direction"){`+lists+`}}`),
		documentCase("introspection of an input", `{__type(name:"DateTimeRange"){`+lists+`}}`),
		documentCase("introspection of an interface", `{__type(name:"Node"){`+lists+`}}`),
		documentCase("introspection of wrapped types", `{__type(name:"Thumbnail"){fields{type{`+lists+` ofType{kind isOneOf fields{name} enumValues{name}}}}}}`),
	}
}

func subscriptionCases() []httpCase {
	subscription := func(name, selections string) httpCase {
		return httpCase{name: "subscription " + name, body: bodyOf("subscription($b:Boolean=true){"+selections+"}", ""), headers: accept("text/event-stream")}
	}
	return []httpCase{
		subscription("to two aliases of a field", `a:portfolioChanged(portfolioId:1){id@include(if:$b)} b:portfolioChanged(portfolioId:1){id}`),
		subscription("to two fields of a fragment", `...{...F}} fragment F on Subscription{a:portfolioChanged(portfolioId:1){id@include(if:$b)} portfolioChanged(portfolioId:1){id}`),
		subscription("with @skip", `portfolioChanged(portfolioId:1)@skip(if:$b){id}`),
		subscription("with @include of a fragment", `...@include(if:$b){portfolioChanged(portfolioId:1){id}}`),
		subscription("to __typename", `a:__typename@include(if:$b)`),
	}
}

func mergeCases() []httpCase {
	return []httpCase{
		documentCase("__typename beside a String that is not null", `{nodes(nodeIds:["UG9ydGZvbGlvOjE="]){...on Portfolio{x:__typename} ...on User{x:username}}}`),
		documentCase("__typename beside a nullable String", `{nodes(nodeIds:[1]){...on Image{x:__typename} ...on Token{x:label}}}`),
		documentCase("__typename of introspection", `{__type(name:"URL"){...{x:__typename} ...{x:__typename}}}`),
	}
}

func locationCases() []httpCase {
	return []httpCase{
		documentCase("location after CR LF", "{\r\n  viewer {\r\n    nothing\r\n  }\r\n}"),
		documentCase("location after CR", "{\r  viewer {\r\r    nothing\r  }\r}"),
		documentCase("location after characters of several bytes", "{ # é😀\r\n viewer(é:1){id}}"),
		documentCase("location of a syntax error after CR LF", "{\r\n  viewer {\r\n    id(\r\n  }\r\n}"),
		documentCase("location of a directive", `{viewer{id @nothing @skip}}`),
		documentCase("location of a string", `{portfolios(first:"x"){nodes{id}}}`),
		documentCase("location of a block string", "{portfolios(\n first:\n  \"\"\"\n x\n \"\"\"){nodes{id nothing}}}"),
		documentCase("location after a block string and a quote", "{nodes(nodeIds:[\"\"\"a\"\"\"\"b\"]){nothing} a:nodes(nodeIds:[\"\"\"\"\"\"\"\"]){nothing} b:nodes(nodeIds:[\"\"\"\n\n é\"\"\"\"b\"]){nothing}}"),
		documentCase("location after a block string that ends a line", "{nodes(nodeIds:[\"\"\"a\n\"\"\"\"b\",nothing]){nothing}}"),
		documentCase("location of a string after a block string", `{viewer{id(a:"""a""""b")}}`),
		documentCase("control character in a block string before a quote", "{nodes(nodeIds:[\"\"\"\x01\"\"\"\"b\"]){nodeId}}"),
		documentCase("location of a string that is not expected", `{viewer{"id"}}`),
		documentCase("location of a block string that is not expected", "{viewer{ \"\"\"a\nb\"\"\" }}"),
		documentCase("location of spreads", "{viewer{... on Portfolio{id} ...F\n ... # x\n G ...H}} fragment F on Image{id}"),
		documentCase("location of a cycle", "{viewer{...F}} fragment F on User{id ...G} fragment G on User{\n  ...F}"),
		documentCase("location of unknown arguments", "{viewer @skip(iff:true, if:false){id}\n portfolios(first:1, fist:1, lst:2){nodes{id}}}"),
		documentCase("location of unknown types", "query($x:[Nothing!]!, $y:Image){... # on X\n on Nothing{id} ...F ...on String{__typename}} fragment F on None{id}"),
		documentCase("location of unknown fragments", "{viewer{... # x\n F ...G @skip(if:true)}}"),
		{name: "location of operations", body: `{"query":"query A{__typename} query B{__typename}"}`},
	}
}
