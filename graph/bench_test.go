package graph_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
)

// BenchmarkLinks answers 50 links of one portfolio with everything.
func BenchmarkLinks(b *testing.B) {
	const query = `query L($p: ID!, $n: Int!) { portfolioLinks(portfolioId: $p, first: $n) { nodes { id name url description createdAt updatedAt imageData { id type name size humanReadableSize url width height mode thumbnails { id url size } } } } }`
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			dsn := dsn(b)
			loadLists(b, dsn)
			database := dbtest.Open(b, dsn)
			handler := graphtest.NewHandler(b, &graph.Resolver{DB: database}, nil)
			b.ReportAllocs()
			for b.Loop() {
				body, _ := json.Marshal(map[string]any{"query": query, "variables": map[string]any{"p": 1 + rand.IntN(100), "n": 50}})
				request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", strings.NewReader(string(body)))
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Token "+graphtest.Staff4242)
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				if !strings.Contains(answer.Body.String(), `"nodes":[{`) {
					b.Fatal(answer.Body.String())
				}
			}
		})
	}
}
