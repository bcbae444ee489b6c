package compat_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/auth"
	"portfolio/compat"
	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
)

// recorded is a request to the old system and its answer.
type recorded struct {
	Name    string `json:"name"`
	Request struct {
		Method      string            `json:"method"`
		Path        string            `json:"path"`
		Headers     map[string]string `json:"headers"` // one character a byte
		Body        string            `json:"body"`
		HTTPVersion string            `json:"http_version"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"response"`
	StatusOnly bool `json:"status_only"` // the web framework's own page
}

// TestRecorded replays what the old system answered, byte for byte.
func TestRecorded(t *testing.T) {
	cases := readRecorded(t)
	eachServer(t, func(t *testing.T, address string) {
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { replay(t, address, c) })
		}
	})
}

// eachServer serves the recorded rows from each kind of database.
func eachServer(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, "testdata/fixtures.json")
		test(t, serve(t, newHandler(dbtest.Open(t, dsn))))
	})
}

func newHandler(database *db.DB) *compat.Handler {
	resolver := &graph.Resolver{DB: database}
	return compat.New(resolver.Query(), auth.NewTokens(database), "", slog.New(slog.DiscardHandler))
}

func serve(t testing.TB, handler http.Handler) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(compat.Listen(listener, handler)) }()
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return listener.Addr().String()
}

func readRecorded(t testing.TB) []recorded {
	t.Helper()
	file, err := os.Open("testdata/golden.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var cases []recorded
	for decoder := json.NewDecoder(file); ; {
		var c recorded
		err := decoder.Decode(&c)
		if err == io.EOF {
			return cases
		}
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
}

// comparedHeaders are those that a recorded answer lists; one that it does
// not list must not be sent.
var comparedHeaders = []string{"Content-Type", "WWW-Authenticate", "Allow", "Vary", "Location"}

func replay(t *testing.T, address string, c recorded) {
	t.Helper()
	request := rawRequest(c)
	got := send(t, address, c.Request.Method, request)
	want := recorded{Name: c.Name, Request: c.Request, Response: c.Response, StatusOnly: c.StatusOnly}
	if c.StatusOnly {
		got.body, got.headers = "", nil
	}
	if got.status != want.Response.Status || got.body != want.Response.Body || !cmp.Equal(got.headers, want.Response.Headers) {
		t.Errorf("request:\n%s\n\nanswer, - wanted, + got:\n%s", request, cmp.Diff(
			answer{want.Response.Status, want.Response.Headers, want.Response.Body}, got, cmp.AllowUnexported(answer{})))
	}
}

type answer struct {
	status  int
	headers map[string]string
	body    string
}

func rawRequest(c recorded) []byte {
	version := c.Request.HTTPVersion
	if version == "" {
		version = "1.1"
	}
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/%s\r\n", c.Request.Method, c.Request.Path, version)
	for name, value := range c.Request.Headers {
		fmt.Fprintf(&raw, "%s: %s\r\n", name, latin1(value))
	}
	if c.Request.Body != "" {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(c.Request.Body))
	}
	raw.WriteString("Connection: close\r\n\r\n" + c.Request.Body)
	return raw.Bytes()
}

func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

func send(t *testing.T, address, method string, raw []byte) answer {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := connection.Write(raw); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := answer{response.StatusCode, map[string]string{}, string(body)}
	for _, name := range comparedHeaders {
		if values, ok := response.Header[http.CanonicalHeaderKey(name)]; ok {
			got.headers[name] = strings.Join(slices.Clone(values), ", ")
		}
	}
	return got
}

// TestSameAfterGraphQL: no answer depends on what was asked before.
func TestSameAfterGraphQL(t *testing.T) {
	documented := readRecorded(t)[0]
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, "testdata/fixtures.json")
		database := dbtest.Open(t, dsn)
		address := serve(t, newHandler(database))
		tokens, log := auth.NewTokens(database), slog.New(slog.DiscardHandler)
		graphql := httptest.NewServer(graph.NewHandler(&graph.Resolver{DB: database}, tokens, "https://cdn.example/", log))
		t.Cleanup(graphql.Close)
		replay(t, address, documented)
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
		replay(t, address, documented)
	})
}
