package compat_test

import (
	"io"
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

// BenchmarkAnswer is one whole answer in process, over SQLite.
func BenchmarkAnswer(b *testing.B) {
	dsn := dbtest.SQLite(b)
	dbtest.LoadFile(b, dsn, "testdata/fixtures.json")
	handler, request := newHandler(dbtest.Open(b, dsn)), documentedRequest()
	b.ReportAllocs()
	for b.Loop() {
		w := discard{header: http.Header{}}
		handler.ServeHTTP(&w, request)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

// discard is the cheapest response there can be.
type discard struct {
	io.Writer
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
