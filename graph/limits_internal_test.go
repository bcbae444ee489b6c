package graph

import (
	"context"
	"portfolio/internal/admission"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func testOptions() Options {
	return Options{Limits: DefaultLimits(), Admission: admission.NewAdmission(256, 4, 8<<20, nil)}
}

func newTestDocuments(t testing.TB) *documents {
	t.Helper()
	schema := NewExecutableSchema(Config{Resolvers: &Resolver{}}).Schema()
	found, err := newDocuments(schema, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDocumentsAreBounded fills the memory for documents with more than fits.
func TestDocumentsAreBounded(t *testing.T) {
	d := newTestDocuments(t)
	d.budget = admission.NewBudget(10*maxDocument, nil)
	for i := range 1000 {
		d.keep(textHash{byte(i), byte(i >> 8)}, &document{bytes: maxDocument})
	}
	if d.sent.Len() != 10 || d.cached(textHash{999 & 0xff, 999 >> 8}) == nil {
		t.Errorf("%d documents were kept", d.sent.Len())
	}
	d.keep(textHash{1}, &document{bytes: maxDocument + 1})
	if d.sent.Len() != 10 || d.cached(textHash{1}) != nil {
		t.Error("a document that is too large was kept")
	}
}

const pagedSchema = `
	directive @cost(weight: Int!) on FIELD_DEFINITION | INPUT_FIELD_DEFINITION
	type Query { portfolios(first: Int, last: Int, after: String, filter: Filter): Portfolios! links(first: Int = 50): Links! plain: Portfolio }
	input Filter { name: String search: String @cost(weight: 500) or: [Filter!] }
	type Portfolios { nodes: [Portfolio!]! totalCount: Int! @cost(weight: 50) }
	type Links { nodes: [Link!]! }
	type Portfolio { id: ID! links(first: Int = 50): Links! }
	type Link { id: ID! }`

func TestCost(t *testing.T) {
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: pagedSchema})
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDocuments(schema, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      float64
	}{
		{"{portfolios(first:1){totalCount}}", nil, 1 + 50},
		{`{portfolios(first:1,filter:{name:"a"}){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,filter:{search:"a"}){nodes{id}}}`, nil, 1 + 500 + 2},
		{`{portfolios(first:1,filter:{search:null}){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,filter:{search:"a",or:[{search:"b"},{or:{search:"c"}}]}){nodes{id}}}`, nil, 1 + 3*500 + 2},
		{`query($s:String){portfolios(first:1,filter:{search:$s}){nodes{id}}}`, map[string]any{"s": "a"}, 1 + 500 + 2},
		{`query($f:Filter){portfolios(first:1,filter:$f){nodes{id}}}`, map[string]any{"f": map[string]any{"or": []any{map[string]any{"search": "a"}}}}, 1 + 500 + 2},
		{`query($f:Filter){portfolios(first:1,filter:$f){nodes{id}}}`, nil, 1 + 2},
		{"{plain{id}}", nil, 2},
		{"{plain{...{...F}}} fragment F on Portfolio{id}", nil, 2},
		{"{portfolios(first:100){nodes{id}}}", nil, 1 + 100*2},
		{"{portfolios(last:100){nodes{id}}}", nil, 1 + 100*2},
		{"{portfolios(first:3,last:7){nodes{id}}}", nil, 1 + 7*2},
		{"{portfolios{nodes{id}}}", nil, 1 + assumedPage*2},
		{"{portfolios(first:null){nodes{id}}}", nil, 1 + assumedPage*2},
		{"{portfolios(first:-5){nodes{id}}}", nil, 1},
		{"{links{nodes{id}}}", nil, 1 + 50*2},
		{"query($n:Int){portfolios(first:$n){nodes{id}}}", map[string]any{"n": int64(30)}, 1 + 30*2},
		{"query($n:Int){portfolios(first:$n){nodes{id}}}", nil, 1 + assumedPage*2},
		{"query($n:Int=4){portfolios(first:$n){nodes{id}}}", nil, 1 + 4*2},
		{"query($n:Int){links(first:$n){nodes{id}}}", nil, 1 + 50*2},
		{"{portfolios(first:100){nodes{links(first:100){nodes{id}}}}}", nil, 1 + 100*(1+1+100*2)},
		{"{portfolios(first:2147483647){nodes{links(first:2147483647){nodes{id}}}}}", nil, 1 + 2147483647*(1+1+2147483647.0*2)},
	} {
		found, errs := d.parse(c.query, nil)
		if errs != nil {
			t.Fatal(errs)
		}
		got := priceOf(schema, found.Operations[0], c.variables)
		if scans := strings.Contains(c.query, "totalCount") || c.want > 500 && c.want < 2000; got.cost != c.want || got.scans != scans {
			t.Errorf("%s costs %+v, want %.0f", c.query, got, c.want)
		}
	}
	found, _ := d.parse("{portfolios(first:100){nodes{links(first:100){nodes{id}}}}}", nil)
	refusal := d.limits.tooCostly(priceOf(schema, found.Operations[0], nil))
	if want := "The operation costs 20201, more than 10000. Ask for smaller pages or fewer fields."; refusal == nil || refusal.Message != want || refusal.Extensions["cost"] != 20201.0 {
		t.Errorf("%v", refusal)
	}
}

// TestToolsPass: the questions of the tools that everybody uses fit the
// limits.
func TestToolsPass(t *testing.T) {
	d := newTestDocuments(t)
	for _, query := range []string{introspection.Query, graphiQL, documentedQuery} {
		if _, errs := d.parse(query, nil); errs != nil {
			t.Error(errs)
		}
	}
}

// graphiQL is what GraphiQL 4 asks first; Relay's compiler and graphql-codegen
// ask for less.
const graphiQL = `query IntrospectionQuery {
	__schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind } types { ...FullType }
		directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
	fragment FullType on __Type { kind name description specifiedByURL isOneOf
		fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
		inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
		enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
	fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
	fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
		ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`

// BenchmarkChecks is what a request pays for all checks of the documented
// query, its document being known.
func BenchmarkChecks(b *testing.B) {
	d, ctx := newTestDocuments(b), context.Background()
	for b.Loop() {
		request := params{RawParams: graphql.RawParams{Query: documentedQuery}}
		found, errs := d.find(&request, nil)
		if errs != nil {
			b.Fatal(errs)
		}
		if !IntrospectionOn.allowed(ctx) {
			b.Fatal("introspection is off")
		}
		if err := d.limits.tooCostly(priceOf(d.schema, found.Operations[0], nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse is what the first request with a document pays: parsing,
// counting and validation.
func BenchmarkParse(b *testing.B) {
	d := newTestDocuments(b)
	for b.Loop() {
		if _, errs := d.parse(documentedQuery, nil); errs != nil {
			b.Fatal(errs)
		}
	}
}

// BenchmarkCount is the part of the checks in it.
func BenchmarkCount(b *testing.B) {
	d := newTestDocuments(b)
	found, errs := d.parse(documentedQuery, nil)
	if errs != nil {
		b.Fatal(errs)
	}
	for b.Loop() {
		if _, err := d.limits.count(found.QueryDocument); err != nil {
			b.Fatal(err)
		}
	}
}
