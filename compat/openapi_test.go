package compat_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"portfolio/compat"
	"portfolio/compat/compattest"
)

// TestOpenAPI validates every recorded response against the document, and
// checks that each documented status was recorded.
func TestOpenAPI(t *testing.T) {
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
	seen := map[string]bool{}
	for _, c := range compattest.Cases(t, golden) {
		if !c.StatusOnly {
			validate(t, document, c)
			seen[strconv.Itoa(c.Response.Status)] = true
		}
	}
	for status := range document.Paths.Value("/api/portfolios/links/{id}").Get.Responses.Map() {
		if !seen[status] && status != "400" && status != "503" { // the web framework's page, and this server's own status
			t.Errorf("status %s is documented but was never recorded", status)
		}
	}
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
