package document

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
)

// testLimits returns limits that the documents of common tools meet.
func testLimits() Limits {
	return Limits{Bytes: 65536, Tokens: 2000, Fields: 1000, Depth: 20, Aliases: 100, Duplicates: 20, Directives: 50, RootFields: 20, Introspections: 2, Cost: 10_000}
}

func newTestCache(t testing.TB, schema string) *Cache {
	t.Helper()
	parsed, err := gqlparser.LoadSchema(&ast.Source{Input: schema})
	if err != nil {
		t.Fatal(err)
	}
	cache, err := NewCache(parsed, Options{
		Limits: testLimits(), Introspection: IntrospectionOn, Budget: admission.NewBudget(10*maxCached, nil),
		CheckScalar: func(string, any) *apierror.InputError { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func readSchema(t testing.TB) string {
	t.Helper()
	schema, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	return string(schema)
}

// TestCache_BoundsMemory adds more documents than fit into the budget.
func TestCache_BoundsMemory(t *testing.T) {
	t.Parallel()
	c := newTestCache(t, pagedSchema)
	for i := range 1000 {
		c.add(Hash{byte(i), byte(i >> 8)}, &Document{memory: maxCached})
	}
	if c.sent.Len() != 10 || c.get(Hash{999 & 0xff, 999 >> 8}) == nil {
		t.Errorf("got %d cached documents, want 10 with the last", c.sent.Len())
	}
	c.add(Hash{1}, &Document{memory: maxCached + 1})
	if c.sent.Len() != 10 || c.get(Hash{1}) != nil {
		t.Error("a document that is too large is cached")
	}
}

const pagedSchema = `
	directive @cost(weight: Int!) on FIELD_DEFINITION | INPUT_FIELD_DEFINITION | INPUT_OBJECT
	type Query { portfolios(first: Int, last: Int, after: String, filter: Filter, orderBy: [Order!]): Portfolios! links(first: Int = 50): Links! plain: Portfolio }
	input Filter { name: String search: String @cost(weight: 500) or: [Filter!] }
	input Order @cost(weight: 50) { field: String }
	type Mutation { create(input: NewLinks): Links! }
	input NewLinks { links: [NewLink!]! }
	input NewLink @cost(weight: 20) { name: String }
	type Portfolios { nodes: [Portfolio!]! totalCount: Int! @cost(weight: 50) }
	type Links { nodes: [Link!]! }
	type Portfolio { id: ID! links(first: Int = 50): Links! }
	type Link { id: ID! }`

// TestCost_CountsFieldsAndWeights checks the costs of pages, filters, orders and inputs.
func TestCost_CountsFieldsAndWeights(t *testing.T) {
	t.Parallel()
	cache := newTestCache(t, pagedSchema)
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      float64
	}{
		{"{portfolios(first:1){totalCount}}", nil, 1 + 50},
		{"{portfolios(first:100){totalCount}}", nil, 1 + 50},
		{"{portfolios(first:100){...{...F} nodes{id}}} fragment F on Portfolios{totalCount}", nil, 1 + 50 + 100*2},
		{`{portfolios(first:1,filter:{name:"a"}){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,filter:{search:"a"}){nodes{id}}}`, nil, 1 + 500 + 2},
		{`{portfolios(first:1,filter:{search:null}){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,filter:{search:"a",or:[{search:"b"},{or:{search:"c"}}]}){nodes{id}}}`, nil, 1 + 3*500 + 2},
		{`query($s:String){portfolios(first:1,filter:{search:$s}){nodes{id}}}`, map[string]any{"s": "a"}, 1 + 500 + 2},
		{`query($f:Filter){portfolios(first:1,filter:$f){nodes{id}}}`, map[string]any{"f": map[string]any{"or": []any{map[string]any{"search": "a"}}}}, 1 + 500 + 2},
		{`query($f:Filter){portfolios(first:1,filter:$f){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,orderBy:{field:"a"}){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,orderBy:[{field:"a"}]){nodes{id}}}`, nil, 1 + 2},
		{`{portfolios(first:1,orderBy:[{field:"a"},{field:"b"},{}]){nodes{id}}}`, nil, 1 + 2*50 + 2},
		{`mutation{create(input:{links:[{name:"a"}]}){nodes{id}}}`, nil, 1 + 2},
		{`mutation{create(input:{links:{name:"a"}}){nodes{id}}}`, nil, 1 + 2},
		{`mutation{create(input:{links:[{name:"a"},{name:"b"},{name:"c"}]}){nodes{id}}}`, nil, 1 + 2*20 + 3*2},
		{`mutation($i:NewLinks){create(input:$i){nodes{id}}}`, nil, 1 + 2},
		{"{plain{id}}", nil, 2},
		{"{plain{...{...F}}} fragment F on Portfolio{id}", nil, 2},
		{"{portfolios(first:100){nodes{id}}}", nil, 1 + 100*2},
		{"{portfolios(last:100){nodes{id}}}", nil, 1 + 100*2},
		{"{portfolios(first:3,last:7){nodes{id}}}", nil, 1 + 7*2},
		{"{portfolios{nodes{id}}}", nil, 1 + DefaultPageSize*2},
		{"{portfolios(first:null){nodes{id}}}", nil, 1 + DefaultPageSize*2},
		{"{portfolios(first:-5){nodes{id}}}", nil, 1},
		{"{links{nodes{id}}}", nil, 1 + 50*2},
		{"query($n:Int){portfolios(first:$n){nodes{id}}}", map[string]any{"n": int64(30)}, 1 + 30*2},
		{"query($n:Int){portfolios(first:$n){nodes{id}}}", nil, 1 + DefaultPageSize*2},
		{"query($n:Int=4){portfolios(first:$n){nodes{id}}}", nil, 1 + 4*2},
		{"query($n:Int){links(first:$n){nodes{id}}}", nil, 1 + 50*2},
		{"{portfolios(first:100){nodes{links(first:100){nodes{id}}}}}", nil, 1 + 100*(1+1+100*2)},
		{"{portfolios(first:2147483647){nodes{links(first:2147483647){nodes{id}}}}}", nil, 1 + 2147483647*(1+1+2147483647.0*2)},
	} {
		document, errs := cache.parse(c.query, nil)
		if errs != nil {
			t.Fatal(errs)
		}
		got := costOf(cache.Schema, document.Operations[0], c.variables)
		if weighted := strings.Contains(c.query, "totalCount") || strings.Contains(c.query, `"b"`) || c.want > 500 && c.want < 2000; got.Fields != c.want || got.weighted != weighted {
			t.Errorf("%s costs %+v, want %.0f", c.query, got, c.want)
		}
	}
}

// TestLimits_RejectCost checks that the error has the cost.
func TestLimits_RejectCost(t *testing.T) {
	t.Parallel()
	cache := newTestCache(t, pagedSchema)
	document, _ := cache.parse("{portfolios(first:100){nodes{links(first:100){nodes{id}}}}}", nil)
	err := testLimits().checkCost(costOf(cache.Schema, document.Operations[0], nil))
	if want := "The operation costs 20201, more than 10000. Ask for smaller pages or fewer fields."; err == nil || err.Message != want || err.Extensions["cost"] != 20201.0 {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestLimits_AcceptQueriesOfTools checks the introspection queries of common tools.
func TestLimits_AcceptQueriesOfTools(t *testing.T) {
	t.Parallel()
	c := newTestCache(t, readSchema(t))
	for _, query := range []string{introspection.Query, graphiQL, documentedQuery} {
		if _, errs := c.parse(query, nil); errs != nil {
			t.Error(errs)
		}
	}
}

const documentedQuery = `query DocumentedLink { portfolioLink(portfolioId: 1, id: 4) { id name url imageData {
	id type name size humanReadableSize url width height mode thumbnails { id url size } } description createdAt updatedAt } }`

// graphiQL is the introspection query of GraphiQL 4. Relay's compiler and graphql-codegen send
// smaller queries.
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

// BenchmarkResolve measures the lookup of a cached document and its cost.
func BenchmarkResolve(b *testing.B) {
	c, limits := newTestCache(b, readSchema(b)), testLimits()
	for b.Loop() {
		document, errs := c.Resolve(Request{Text: documentedQuery}, false)
		if errs != nil {
			b.Fatal(errs)
		}
		if err := limits.checkCost(costOf(c.Schema, document.Operations[0], nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse measures parsing, checking and validating a new document.
func BenchmarkParse(b *testing.B) {
	c := newTestCache(b, readSchema(b))
	for b.Loop() {
		if _, errs := c.parse(documentedQuery, nil); errs != nil {
			b.Fatal(errs)
		}
	}
}

// BenchmarkLimits measures checking the limits alone.
func BenchmarkLimits(b *testing.B) {
	c, limits := newTestCache(b, readSchema(b)), testLimits()
	document, errs := c.parse(documentedQuery, nil)
	if errs != nil {
		b.Fatal(errs)
	}
	for b.Loop() {
		if _, err := limits.check(document.QueryDocument); err != nil {
			b.Fatal(err)
		}
	}
}

// TestReadPersisted_RejectsInvalidManifests checks the errors of manifests and their documents.
func TestReadPersisted_RejectsInvalidManifests(t *testing.T) {
	t.Parallel()
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: pagedSchema})
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string]string{
		`{"1":"{nothing}"}`: `persisted document 1: Cannot query field "nothing" on type "Query".`,
		`[]`:                "m.json: not a manifest of persisted documents: must be a JSON object of texts by ID",
		`{}`:                "there are no documents",
	} {
		file := filepath.Join(t.TempDir(), "m.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		texts, err := ReadPersisted(file)
		if err == nil {
			_, err = NewCache(schema, Options{Limits: testLimits(), Persisted: texts})
		}
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", content, err, want)
		}
	}
}
