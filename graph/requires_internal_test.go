package graph

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db/dbtest"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
)

// TestGuardedNestedFields adds the directive @requires to nested fields, and
// asks for them in every way: who may not see them never does.
func TestGuardedNestedFields(t *testing.T) {
	const (
		admin     = "be995b582c8bf952546d3819251020d1ad1b2eb1"
		staff4242 = "00171958cefd670268fd8494fa36a50543e861f0"
	)
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
	queries := map[string]string{
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
		dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
		database := dbtest.Open(t, dsn)
		tokens := auth.NewTokens(database, time.Minute, 0)
		handler, err := newHandler(&Resolver{DB: database, Tokens: tokens}, tokens, Options{
			Limits: DefaultLimits(), Admission: admission.NewAdmission(256, 4, 8<<20, nil), Timeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		}, schema)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(key, query string) string {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(`{"query":"`+query+`"}`))
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Token "+key)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request)
			return w.Body.String()
		}
		for name, query := range queries {
			seen, hidden := ask(admin, query), ask(staff4242, query)
			for field, secret := range secrets {
				if !strings.Contains(query, field) {
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
