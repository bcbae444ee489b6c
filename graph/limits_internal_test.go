package graph

import (
	"context"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func newTestDocuments(t testing.TB) *documents {
	t.Helper()
	schema := NewExecutableSchema(Config{Resolvers: &Resolver{}}).Schema()
	found, err := newDocuments(schema, DefaultLimits(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestDocumentsAreBounded fills the memory for documents with more than fits.
func TestDocumentsAreBounded(t *testing.T) {
	d := newTestDocuments(t)
	padding := string(make([]byte, 60_000))
	for i := range 1000 {
		d.keep(textHash{byte(i), byte(i >> 8)}, &document{text: padding, bytes: minDocument + len(padding)*bytesPerByte})
	}
	sum := 0
	for _, kept := range d.sent.Values() {
		sum += kept.bytes
	}
	if d.sent.Len() == 0 || sum > maxSent || sum != d.bytes {
		t.Errorf("%d documents of %d bytes, accounted for as %d", d.sent.Len(), sum, d.bytes)
	}
	if d.cached(textHash{999 & 0xff, 999 >> 8}) == nil {
		t.Error("the last document was not kept")
	}
}

const pagedSchema = `
	type Query { portfolios(first: Int, last: Int, after: String): Portfolios! links(first: Int = 50): Links! plain: Portfolio }
	type Portfolios { nodes: [Portfolio!]! totalCount: Int! }
	type Links { nodes: [Link!]! }
	type Portfolio { id: ID! links(first: Int = 50): Links! }
	type Link { id: ID! }`

func TestCost(t *testing.T) {
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: pagedSchema})
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDocuments(schema, DefaultLimits(), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      float64
	}{
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
		if got := costOf(found.Operations[0].SelectionSet, c.variables); got != c.want {
			t.Errorf("%s costs %.0f, want %.0f", c.query, got, c.want)
		}
	}
	found, _ := d.parse("{portfolios(first:100){nodes{links(first:100){nodes{id}}}}}", nil)
	refusal := d.limits.tooCostly(found.Operations[0], nil)
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
		if err := d.limits.tooCostly(found.Operations[0], nil); err != nil {
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
