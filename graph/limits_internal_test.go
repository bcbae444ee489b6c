package graph

import (
	"context"
	"testing"

	"github.com/99designs/gqlgen/graphql"
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
