package graph_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
)

// BenchmarkLinks reads 50 links of one portfolio with all fields.
func BenchmarkLinks(b *testing.B) {
	const query = `query L($p: ID!, $n: Int!) { portfolioLinks(portfolioId: $p, first: $n) { nodes { id name url description createdAt updatedAt ` +
		`imageData { id type name size humanReadableSize url width height mode thumbnails { id url size } } } } }`
	for name, create := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			dsn := create(b)
			loadLists(b, dsn)
			database := dbtest.Open(b, dsn)
			handler := graphtest.NewHandler(b, &graph.Resolver{DB: database}, nil)
			b.ReportAllocs()
			for b.Loop() {
				body, _ := json.Marshal(object{"query": query, "variables": object{"p": 1 + rand.IntN(100), "n": 50}})
				request := newRequest(b, staff4242, body)
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, request)
				if !strings.Contains(response.Body.String(), `"nodes":[{`) {
					b.Fatal(response.Body.String())
				}
			}
		})
	}
}

// BenchmarkPortfolioLink executes the documented query in process, on SQLite.
func BenchmarkPortfolioLink(b *testing.B) {
	dsn := dbtest.LoadedSQLite(b, recorded)
	database := dbtest.Open(b, dsn)
	handler := graphtest.NewHandler(b, &graph.Resolver{DB: database}, nil)
	body, err := json.Marshal(object{"query": documentedQuery, "variables": object{"p": "1", "i": "4"}})
	if err != nil {
		b.Fatal(err)
	}
	request := newRequest(b, admin, nil)
	b.ReportAllocs()
	for b.Loop() {
		request.Body = io.NopCloser(bytes.NewReader(body))
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if response.Code != http.StatusOK {
			b.Fatal(response.Body)
		}
	}
}

// BenchmarkCached sends the documented query, whose response the cache has.
func BenchmarkCached(b *testing.B) {
	body, err := json.Marshal(object{"query": documentedQuery, "variables": object{"p": "1", "i": "4"}})
	if err != nil {
		b.Fatal(err)
	}
	for name, create := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			dsn := create(b)
			dbtest.LoadFile(b, dsn, recorded)
			handler := graphtest.NewCached(b, dbtest.Open(b, dsn), nil)
			request, content := newRequest(b, admin, nil), bytes.NewReader(body)
			b.ReportAllocs()
			for b.Loop() {
				content.Reset(body)
				request.Body = io.NopCloser(content)
				w := discardWriter{http.Header{}}
				handler.ServeHTTP(w, request)
			}
			if handler.Cache.Stats().Misses > 2 {
				b.Error("the cache did not have the response")
			}
		})
	}
}

// discardWriter drops a response.
type discardWriter struct{ header http.Header }

func (d discardWriter) Header() http.Header         { return d.header }
func (d discardWriter) WriteHeader(int)             {}
func (d discardWriter) Write(b []byte) (int, error) { return len(b), nil }

// newRequest returns a POST request with a JSON body, for handlers in process.
func newRequest(t testing.TB, authorization string, body []byte) *http.Request {
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", authorization)
	return request
}
