// Package graphtest serves the GraphQL API in tests.
package graphtest

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/alecthomas/kong"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/model"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
	"portfolio/internal/document"
	"portfolio/internal/graphqlhttp"
	"portfolio/internal/livequery"
	"portfolio/internal/responsecache"
)

// Keys of the users in the recorded rows.
const (
	Admin     = "be995b582c8bf952546d3819251020d1ad1b2eb1"
	Staff4242 = "00171958cefd670268fd8494fa36a50543e861f0"
	Staff     = "65502ab9351a915b620189ad2c3b42e945937fcc"
	Inactive  = "c4c792b71d7cf7da5886a9aaabb082ca71837034"
)

// Recorded is the path of the file with the recorded rows, for tests of packages
// two levels below the root.
const Recorded = "../../compat/testdata/fixtures.json"

type documentOptions = document.Options

// Options are the settings of a handler.
type Options struct {
	documentOptions
	graphqlhttp.Options
	Schema graphql.ExecutableSchema // default: the schema of the resolver
	Feed   *changefeed.Feed         // nil without a change feed
}

// DefaultLimits returns the limits of documents that the server has by default.
func DefaultLimits(t testing.TB) document.Limits {
	t.Helper()
	var flags struct {
		document.Limits `embed:""`
	}
	parser, err := kong.New(&flags)
	if err == nil {
		_, err = parser.Parse(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return flags.Limits
}

// NewHandler returns a handler with the default settings as modified by change,
// which may be nil.
func NewHandler(t testing.TB, resolver *graph.Resolver, change func(*Options)) *graphqlhttp.Handler {
	t.Helper()
	o := Options{
		documentOptions: document.Options{Limits: DefaultLimits(t), Introspection: document.IntrospectionOn},
		Options: graphqlhttp.Options{
			Admission: admission.New(admission.Options{Lookups: 256, Connections: 4, MaxResponse: 8 << 20}), MaxValues: 2000, MaxResponse: 8 << 20,
			Timeout: time.Minute, UploadTimeout: time.Minute, StallTimeout: time.Minute, InitTimeout: time.Minute, KeepAlive: time.Minute,
			Log: slog.New(slog.DiscardHandler),
		},
		Schema: graph.NewSchema(resolver),
	}
	if resolver.Images != nil {
		o.MaxUpload = resolver.Images.MaxBytes()
	}
	if change != nil {
		change(&o)
	}
	if resolver.Auth == nil {
		resolver.Auth = auth.New(resolver.DB, o.Feed, auth.Options{Timeout: time.Minute, MaxAge: time.Minute})
	}
	o.Budget, o.CheckScalar = o.Admission.Documents, model.CheckScalar
	documents, err := document.NewCache(o.Schema.Schema(), o.documentOptions)
	if err != nil {
		t.Fatal(err)
	}
	o.Execute, o.Documents, o.Auth = graph.NewExecutor(o.Schema, o.Log), documents, resolver.Auth
	o.Authorize, o.PresentError = graph.Authorize, graph.PresentError(o.Log)
	if o.Hub == nil {
		o.Hub = livequery.New(livequery.Options{Feed: o.Feed, MaxAge: time.Minute, Limit: 10_000, Budget: o.Admission.LiveQueries, Parts: admission.SubscriptionParts})
		t.Cleanup(o.Hub.Shutdown)
	}
	return graphqlhttp.New(o.Options)
}

// NewCached is NewHandler with a change feed and a cache.
func NewCached(t testing.TB, database *db.DB, change func(*Options)) *graphqlhttp.Handler {
	t.Helper()
	changes := changefeedtest.Start(t, database)
	return NewHandler(t, &graph.Resolver{DB: database}, func(o *Options) {
		o.Feed, o.Cache = changes, responsecache.New(changes, responsecache.Options{Limit: 64 << 20, MaxAge: time.Minute})
		if change != nil {
			change(o)
		}
	})
}

// Serve starts a server for a database, with a cache, and closes it when the test ends.
func Serve(t testing.TB, database *db.DB, change func(*Options)) *httptest.Server {
	t.Helper()
	return serve(t, NewCached(t, database, change))
}

func serve(t testing.TB, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// Each runs a parallel subtest for each kind of database, with a server that has the
// rows of a file.
func Each(t *testing.T, rows string, test func(t *testing.T, server *httptest.Server)) {
	t.Helper()
	dbtest.EachLoaded(t, rows, func(t *testing.T, dsn string) {
		t.Parallel()
		test(t, Serve(t, dbtest.Open(t, dsn), nil))
	})
}

// EachCached is Each for tests that change nothing. It runs the test once without a cache, and
// three times with a cache, which has the responses in the last run.
func EachCached(t *testing.T, rows string, test func(t *testing.T, server *httptest.Server)) {
	t.Helper()
	dbtest.EachLoaded(t, rows, func(t *testing.T, dsn string) {
		t.Parallel()
		database := dbtest.Open(t, dsn)
		t.Run("no cache", func(t *testing.T) { test(t, serve(t, NewHandler(t, &graph.Resolver{DB: database}, nil))) })
		cached := NewCached(t, database, nil)
		server := serve(t, cached)
		for _, name := range []string{"first", "second", "third"} {
			t.Run(name, func(t *testing.T) { test(t, server) })
		}
		if cached.Cache.Stats().Hits == 0 {
			t.Error("the cache had no response")
		}
	})
}

// Query posts a query and returns the response and its body, in which
// the URL of the server is HOST.
func Query(t *testing.T, server *httptest.Server, authorization, query string, variables map[string]any) (*http.Response, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	return Send(t, server, http.MethodPost, "", header, body)
}

// Send sends a request and returns the response and its body, in which the URL
// of the server is HOST.
func Send(t *testing.T, server *httptest.Server, method, target string, header http.Header, body []byte) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, strings.ReplaceAll(string(text), server.URL, "HOST")
}
