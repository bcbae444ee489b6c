package compat_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"portfolio/compat"
	"portfolio/compat/compattest"
	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/changefeed/changefeedtest"
	"portfolio/internal/responsecache"
)

const golden = "testdata/golden.jsonl"

// TestHandler_MatchesRecordedResponses compares responses, byte for byte, with the responses of the
// legacy system.
func TestHandler_MatchesRecordedResponses(t *testing.T) {
	t.Parallel()
	cases := compattest.Cases(t, golden)
	eachServer(t, func(t *testing.T, address string) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { compattest.Replay(t, address, c) })
		}
	})
}

// eachServer runs test against servers of the recorded rows on each database: one without
// a cache, and three times one with a cache, which has the responses the last time.
func eachServer(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	dbtest.EachLoaded(t, "testdata/fixtures.json", func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		address := serve(t, newHandler(database))
		t.Run("no cache", func(t *testing.T) { test(t, address) })
		handler, responses := newCached(t, database, links(database))
		address = serve(t, handler)
		for _, name := range []string{"first", "second", "third"} {
			t.Run(name, func(t *testing.T) { test(t, address) })
		}
		if responses.Stats().Hits == 0 {
			t.Error("the cache had no response")
		}
	})
}

func newHandler(database *db.DB) *compat.Handler {
	return compat.New(links(database), auth.New(database, nil, auth.Options{Timeout: time.Minute, MaxAge: time.Minute}), options())
}

// links returns the resolver of links.
func links(database *db.DB) compat.Links { return (&graph.Resolver{DB: database}).Query() }

// newCached returns a handler with a feed and a cache.
func newCached(t testing.TB, database *db.DB, links compat.Links) (*compat.Handler, *responsecache.Cache) {
	t.Helper()
	changes := changefeedtest.Start(t, database)
	o := options()
	o.Cache = responsecache.New(changes, responsecache.Options{Limit: 64 << 20, MaxAge: time.Minute})
	return compat.New(links, auth.New(database, changes, auth.Options{Timeout: time.Minute, MaxAge: time.Minute}), o), o.Cache
}

func options() compat.Options {
	return compat.Options{Admission: admission.New(admission.Options{Lookups: 256, Connections: 4, MaxResponse: 8 << 20}), Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

func serve(t testing.TB, handler http.Handler) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return listener.Addr().String()
}

// TestHandler_IsUnaffectedByGraphQL checks that GraphQL requests leave no trace in later
// responses.
func TestHandler_IsUnaffectedByGraphQL(t *testing.T) {
	t.Parallel()
	documented := compattest.Cases(t, golden)[0]
	dbtest.EachLoaded(t, "testdata/fixtures.json", func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		address := serve(t, newHandler(database))
		handler := graphtest.NewHandler(t, &graph.Resolver{DB: database}, func(o *graphtest.Options) { o.MediaURL = "https://cdn.example/" })
		graphql := httptest.NewServer(handler)
		t.Cleanup(graphql.Close)
		compattest.Replay(t, address, documented)
		request := httptest.NewRequest(http.MethodGet, graphql.URL+"/?query={portfolioLink(id:4){name%20imageData{url%20thumbnails{id}}}}", nil)
		request.RequestURI = ""
		request.Header.Set("Authorization", "Token "+documentedToken)
		response, err := graphql.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || !bytes.Contains(body, []byte(`"url":"https://cdn.example/core_media/`)) {
			t.Errorf("%v %s", err, body)
		}
		compattest.Replay(t, address, documented)
	})
}

// TestHandler_AnswersRawRequests sends requests that the clients of the recordings could not
// send. net/http rejects some of them before the handler runs.
func TestHandler_AnswersRawRequests(t *testing.T) {
	t.Parallel()
	const (
		line   = "GET /api/portfolios/1/links/10 HTTP/1.1\r\n"
		host   = "Host: h\r\n"
		token  = "Authorization: Token " + documentedToken + "\r\n"
		link10 = `{"id":10,"name":"link","url":null,"image_data":null,"description":null,"created_at":"2026-01-13T10:05:43.296270Z","updated_at":"2026-01-13T10:05:43.296310Z"}`
		end    = "Connection: close\r\n\r\n"
	)
	page := func(title string) string {
		return "<!doctype html>\n<html lang=\"en\"><title>" + title + "</title><h1>" + title + "</h1></html>\n"
	}
	cases := []struct {
		name, request string
		status        int
		body          string
	}{
		{"vertical tab in Authorization", line + host + "Authorization: Token\v" + documentedToken + "\r\n" + end, 400, "400 Bad Request"},
		{"control character in a token", line + host + "Authorization: Token \x01\r\n" + end, 400, "400 Bad Request"},
		{"control character in Accept", line + host + token + "Accept: \x1capplication/json\r\n" + end, 400, "400 Bad Request"},
		{"repeated Accept", line + host + token + "Accept: text/html\r\nAccept: */*\r\n" + end, 200, link10},
		{"repeated Authorization", line + host + token + token + end, 401, `{"detail":"Invalid token header. Token string should not contain spaces."}`},
		{"HTTP/1.0 without Host", strings.Replace(line, "1.1", "1.0", 1) + token + "\r\n", 200, link10},
		{"HTTP/1.1 without Host", line + token + end, 400, "400 Bad Request: missing required Host header"},
		{"two Hosts", line + host + host + token + end, 400, "400 Bad Request"},
		{"empty Host", line + "Host:\r\n" + token + end, 400, page("400 Bad Request")},
		{"Host with an underscore", line + "Host: a_b\r\n" + token + end, 400, page("400 Bad Request")},
		{"Host is checked before the route", strings.Replace(line, "/api", "/none", 1) + "Host: a_b\r\n" + end, 400, page("400 Bad Request")},
		{"fragment", strings.Replace(line, "10 ", "10#x ", 1) + host + token + end, 200, link10},
		{"stray percent sign", strings.Replace(line, "10 ", "10% ", 1) + host + token + end, 400, "400 Bad Request"},
		{"too many query fields", strings.Replace(line, "10 ", "10?"+strings.Repeat("a&", 1000)+" ", 1) + host + token + end, 400, page("400 Bad Request")},
		{"not a request", "nonsense\r\n\r\n", 400, "400 Bad Request"},
	}
	eachServer(t, func(t *testing.T, address string) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				if got := compattest.Send(t, address, http.MethodGet, []byte(c.request)); got.Status != c.status || got.Body != c.body {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
		}
	})
}
