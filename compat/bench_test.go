package compat_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"portfolio/db/dbtest"
)

const documentedToken = "be995b582c8bf952546d3819251020d1ad1b2eb1"

func documentedRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8000/api/portfolios/1/links/4", nil)
	r.Header.Set("Authorization", "Token "+documentedToken)
	return r
}

// BenchmarkHandler measures one request in process, over SQLite.
func BenchmarkHandler(b *testing.B) {
	dsn := dbtest.LoadedSQLite(b, "testdata/fixtures.json")
	handler, request := newHandler(dbtest.Open(b, dsn)), documentedRequest()
	b.ReportAllocs()
	for b.Loop() {
		w := discardWriter{header: http.Header{}}
		handler.ServeHTTP(&w, request)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// BenchmarkCached measures one request whose response the cache has.
func BenchmarkCached(b *testing.B) {
	for name, create := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		b.Run(name, func(b *testing.B) {
			dsn := create(b)
			dbtest.LoadFile(b, dsn, "testdata/fixtures.json")
			database := dbtest.Open(b, dsn)
			handler, responses := newCached(b, database, links(database))
			request := documentedRequest()
			b.ReportAllocs()
			for b.Loop() {
				w := discardWriter{header: http.Header{}}
				handler.ServeHTTP(&w, request)
				if w.status != http.StatusOK {
					b.Fatal(w.status)
				}
			}
			if responses.Stats().Misses > 2 {
				b.Error("the cache did not have the response")
			}
		})
	}
}

// discardWriter drops the response but its status.
type discardWriter struct {
	header http.Header
	status int
}

func (d *discardWriter) Header() http.Header         { return d.header }
func (d *discardWriter) WriteHeader(status int)      { d.status = status }
func (d *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
