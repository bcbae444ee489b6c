package graph_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
)

// BenchmarkPortfolioLink is one whole answer in process, over SQLite.
func BenchmarkPortfolioLink(b *testing.B) {
	dsn := dbtest.SQLite(b)
	dbtest.LoadFile(b, dsn, recorded)
	database := dbtest.Open(b, dsn)
	handler := graphtest.NewHandler(b, &graph.Resolver{DB: database}, nil)
	body, err := json.Marshal(map[string]any{"query": everything, "variables": map[string]any{"p": "1", "i": "4"}})
	if err != nil {
		b.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, "/graphql", nil)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Token "+graphtest.Admin)
	b.ReportAllocs()
	for b.Loop() {
		request.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Body)
		}
	}
}
