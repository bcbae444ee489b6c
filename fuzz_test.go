package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"portfolio/db/dbtest"
	"portfolio/internal/demo"
	"portfolio/internal/health"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// newRoutes returns the handler of the demo with the given flags, and the key of
// the demo.
func newRoutes(t testing.TB, args ...string) (http.Handler, string) {
	t.Helper()
	var line commands
	parser, err := kong.New(&line)
	if err == nil {
		_, err = parser.Parse(append([]string{"serve"}, args...))
	}
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), "file:"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	database := dbtest.Open(t, dbtest.SQLite(t))
	key, err := demo.Load(t.Context(), database, store, filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	handler, _, err := line.Serve.handler(database, store, nil, health.NewChecker(database, store, log), key, tuneMemory(database), telemetry.Watch{}, log)
	if err != nil {
		t.Fatal(err)
	}
	return handler, key
}

// FuzzHTTP sends any request that can be parsed. No response is a 500, and JSON
// responses are valid.
func FuzzHTTP(f *testing.F) {
	handler, key := newRoutes(f, "--failed-logins=0")
	const (
		token     = "Authorization: Token KEY\r\n"
		jsonBody  = token + "Content-Type: application/json\r\n"
		multipart = token + "Content-Type: multipart/form-data; boundary=b\r\n"
	)
	for _, seed := range [][4]string{
		{"GET", "/graphql?query={viewer{id}}", token, ""},
		{"GET", "/graphql?query={a:__typename}&variables={}&extensions={}", "If-None-Match: *\r\nAccept: */*;q=0.1\r\n", ""},
		{"GET", `/graphql?extensions={"persistedQuery":{"version":1,"sha256Hash":"00"}}`, "", ""},
		{"POST", "/graphql", jsonBody, `{"query":"query($i:ID!){portfolioLink(id:$i){...F}} fragment F on PortfolioLink{imageData{thumbnails{url}}}","variables":{"i":"4"}}`},
		{"POST", "/graphql", jsonBody, `{"query":"{__schema{types{fields{type{name}}}}}","operationName":null}`},
		{"POST", "/graphql", jsonBody, `{"query":"query A{viewer{...@include(if:true){id}}} query B{__type(name:\"Query\"){name}}","operationName":"A"}`},
		{"POST", "/graphql", jsonBody, `{"query":"query($f:Boolean=true,$l:[ID!]=[1,{a:2}]){viewer{id @skip(if:$f)}}","variables":{"f":[]}}`},
		{"POST", "/graphql", multipart, "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"mutation($f:Upload!){x(f:$f)}\",\"variables\":{\"f\":null}}\r\n--b\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{\"0\":[\"variables.f\"]}\r\n--b\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.png\"\r\n\r\n\x89PNG\r\n--b--\r\n"},
		{"OPTIONS", "/graphql", "Origin: https://a\r\n", ""},
		{"GET", "/api/portfolios/1/links/4?format=json", token + "Accept: application/json; indent=4\r\n", ""},
		{"PUT", "/api/portfolios/1/links/4", token, "{}"},
		{"GET", "/api/openapi.json", "", ""},
		{"GET", "/media/core_media/2025/12/02/technology.png", "Range: bytes=0-3\r\n", ""},
		{"GET", "/", "Accept: text/html\r\n", ""},
		{"GET", "/readyz", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, method, target, headers, body string) {
		raw := method + " " + strings.ReplaceAll(target, " ", "%20") + " HTTP/1.1\r\nHost: h\r\n" + strings.ReplaceAll(headers, "KEY", key) + "\r\n"
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		request.RemoteAddr, request.Body = "192.0.2.1:1", io.NopCloser(strings.NewReader(body))
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, request)
		answer := recorded.Result()
		if answer.StatusCode == http.StatusInternalServerError {
			t.Errorf("%s", recorded.Body)
		}
		graphql := request.URL.Path == "/graphql" && answer.StatusCode != http.StatusNotModified && method != http.MethodHead
		promised := strings.Contains(answer.Header.Get("Content-Type"), "json")
		if graphql && !promised || promised && recorded.Body.Len() > 0 && method != http.MethodHead && !isPartial(answer) && !json.Valid(recorded.Body.Bytes()) {
			t.Errorf("%d %s %q", answer.StatusCode, answer.Header.Get("Content-Type"), recorded.Body)
		}
	})
}

// isPartial reports whether the response is a part of a document.
func isPartial(response *http.Response) bool { return response.StatusCode == http.StatusPartialContent }
