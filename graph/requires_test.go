package graph_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/generated"
	"portfolio/graph/graphtest"
)

// TestGuardedNestedFields adds the directive @requires to nested fields, and
// checks that no form of a query shows them without the permission.
func TestGuardedNestedFields(t *testing.T) {
	source, err := os.ReadFile("../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"description": "لینک مشاهده دمو", "mode": `"P"`}
	guarded := string(source)
	for field := range secrets {
		guarded = strings.Replace(guarded, "  "+field+": String\n", "  "+field+": String @requires(permission: ADMIN)\n", 1) // inputs come later
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: guarded})
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string]string{
		"plain":             `{portfolioLink(id:4){id description}}`,
		"alias":             `{portfolioLink(id:4){id name:description}}`,
		"inline fragment":   `{portfolioLink(id:4){id ...{description}}}`,
		"typed fragment":    `{portfolioLink(id:4){id ...on PortfolioLink{description}}}`,
		"fragment":          `{portfolioLink(id:4){...F}} fragment F on PortfolioLink{id description}`,
		"included":          `{portfolioLink(id:4){id description @include(if:true)}}`,
		"twice":             `{portfolioLink(id:4){id description} portfolioLink(id:4){description}}`,
		"list":              `{portfolioLinks(first:5){nodes{id description}}}`,
		"edges":             `{portfolioLinks(first:5){edges{node{id description}}}}`,
		"nested list":       `{portfolios{nodes{links(first:5){nodes{id description}}}}}`,
		"nested object":     `{portfolioLink(id:4){id imageData{id mode}}}`,
		"nested in a list":  `{portfolioLinks(first:5){nodes{id imageData{id mode}}}}`,
		"alias in an image": `{image(id:6){id type:mode}}`,
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, recorded)
		database := dbtest.Open(t, dsn)
		resolver := &graph.Resolver{DB: database}
		handler := graphtest.NewHandler(t, resolver, func(o *graphtest.Options) {
			o.Schema = generated.NewExecutableSchema(generated.Config{Schema: schema, Resolvers: resolver})
		})
		query := func(key, query string) string {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(`{"query":"`+query+`"}`))
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Token "+key)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request)
			return w.Body.String()
		}
		for name, document := range documents {
			seen, hidden := query(graphtest.Admin, document), query(graphtest.Staff4242, document)
			for field, secret := range secrets {
				if !strings.Contains(document, field) {
					continue
				}
				if !strings.Contains(seen, secret) || strings.Contains(seen, "errors") {
					t.Errorf("%s: an admin sees %.500s", name, seen)
				}
				if strings.Contains(hidden, secret) || !strings.Contains(hidden, `"FORBIDDEN"`) || !strings.Contains(hidden, `"id":"`) {
					t.Errorf("%s: staff see %.500s", name, hidden)
				}
			}
		}
	})
}
