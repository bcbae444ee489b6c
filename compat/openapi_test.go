package compat_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"portfolio/compat"
	"portfolio/compat/compattest"
	"portfolio/db/dbtest"
)

// TestOpenAPI_DescribesAllResponses validates every recorded response and the server's own against
// the document, and checks that each documented status is among them.
func TestOpenAPI_DescribesAllResponses(t *testing.T) {
	t.Parallel()
	served := httptest.NewRecorder()
	compat.ServeOpenAPI(served, httptest.NewRequest(http.MethodGet, "/api/openapi.json", nil))
	document, err := openapi3.NewLoader().LoadFromData(served.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	seen := map[string]bool{}
	for _, c := range append(compattest.Cases(t, golden), ownCases(t)...) {
		if !c.StatusOnly {
			validate(t, document, c)
			seen[strconv.Itoa(c.Response.Status)] = true
		}
	}
	for status := range document.Paths.Value("/api/portfolios/links/{id}").Get.Responses.Map() {
		if !seen[status] {
			t.Errorf("status %s is documented but was never seen", status)
		}
	}
}

// ownCases returns responses with the statuses that were not recorded: responses of
// invalid hosts, of limits and of failures.
func ownCases(t *testing.T) []compattest.Case {
	t.Helper()
	dsn := dbtest.LoadedSQLite(t, "testdata/fixtures.json")
	handler := newHandler(dbtest.Open(t, dsn))
	dbtest.Exec(t, dsn, "DROP TABLE thumbnails")
	reject := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { handler.Reject(w, r, status, time.Second) }
	}
	var cases []compattest.Case
	for _, own := range []struct {
		host    string
		handler http.Handler
		status  int
	}{
		{"a_b", handler, http.StatusBadRequest},
		{"h", reject(http.StatusTooManyRequests), http.StatusTooManyRequests},
		{"h", handler, http.StatusInternalServerError},
		{"h", reject(http.StatusServiceUnavailable), http.StatusServiceUnavailable},
	} {
		served := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/portfolios/1/links/4", nil)
		request.Host = own.host
		request.Header.Set("Authorization", "Token "+documentedToken)
		own.handler.ServeHTTP(served, request)
		if served.Code != own.status {
			t.Errorf("got %d, want %d", served.Code, own.status)
		}
		c := compattest.Case{Name: "status " + strconv.Itoa(served.Code)}
		c.Request.Method = http.MethodGet
		c.Response = compattest.Response{Status: served.Code, Headers: map[string]string{}, Body: served.Body.String()}
		for name := range served.Header() {
			c.Response.Headers[name] = served.Header().Get(name)
		}
		cases = append(cases, c)
	}
	return cases
}

func validate(t *testing.T, document *openapi3.T, c compattest.Case) {
	t.Helper()
	path := document.Paths.Value("/api/portfolios/{portfolio_id}/links/{id}")
	operation := path.GetOperation(c.Request.Method)
	if operation == nil { // other methods get the same response as POST
		operation = path.Post
	}
	header := http.Header{}
	for name, value := range c.Response.Headers {
		header.Set(name, value)
	}
	response := openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: httptest.NewRequest(c.Request.Method, "/", nil),
			Route:   &routers.Route{Spec: document, PathItem: path, Method: c.Request.Method, Operation: operation},
		},
		Status:  c.Response.Status,
		Header:  header,
		Body:    io.NopCloser(bytes.NewReader([]byte(c.Response.Body))),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: c.Request.Method == http.MethodHead},
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &response); err != nil {
		t.Errorf("%s: %v", c.Name, err)
	}
}
