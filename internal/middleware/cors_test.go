package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCORS_AllowsOrigins checks that only pages of allowed origins may read responses.
func TestCORS_AllowsOrigins(t *testing.T) {
	t.Parallel()
	handler := CORS([]Origin{"https://app.test"}, http.NotFoundHandler())
	for _, c := range []struct {
		method, origin, allowed string
		status                  int
	}{
		{http.MethodOptions, "https://app.test", "https://app.test", http.StatusNoContent},
		{http.MethodOptions, "https://evil.test", "", http.StatusNoContent},
		{http.MethodPost, "https://app.test", "https://app.test", http.StatusNotFound},
		{http.MethodPost, "https://evil.test", "", http.StatusNotFound},
	} {
		request, response := httptest.NewRequest(c.method, "/", nil), httptest.NewRecorder()
		request.Header.Set("Origin", c.origin)
		request.Header.Set("Access-Control-Request-Method", http.MethodPost)
		request.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		handler.ServeHTTP(response, request)
		if got := response.Header().Get("Access-Control-Allow-Origin"); got != c.allowed || response.Code != c.status || response.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s from %s: got %d %v, want %d and origin %q", c.method, c.origin, response.Code, response.Header(), c.status, c.allowed)
		}
	}
}

// TestCORS_ChecksWebSockets checks that only pages of allowed origins may open WebSockets.
func TestCORS_ChecksWebSockets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed []Origin
		origin  string
		status  int
	}{
		{nil, "", http.StatusNotFound}, // not a browser
		{nil, "http://example.com", http.StatusNotFound},
		{nil, "https://EXAMPLE.com", http.StatusNotFound},
		{nil, "http://example.com:8000", http.StatusForbidden},
		{nil, "https://app.test", http.StatusForbidden},
		{nil, "null", http.StatusForbidden},
		{[]Origin{"https://app.test"}, "https://app.test", http.StatusNotFound},
		{[]Origin{"https://app.test"}, "http://example.com", http.StatusNotFound},
		{[]Origin{"https://app.test"}, "https://evil.test", http.StatusForbidden},
		{[]Origin{"https://*.app.test"}, "https://a.app.test", http.StatusNotFound},
		{[]Origin{"*"}, "https://evil.test", http.StatusNotFound},
	} {
		request, response := httptest.NewRequest(http.MethodGet, "http://example.com/graphql", nil), httptest.NewRecorder()
		request.Header.Set("Upgrade", "websocket")
		if c.origin != "" {
			request.Header.Set("Origin", c.origin)
		}
		CORS(c.allowed, http.NotFoundHandler()).ServeHTTP(response, request)
		if response.Code != c.status {
			t.Errorf("%s with %s: got %d, want %d", c.origin, c.allowed, response.Code, c.status)
		}
	}
}

// TestCORS_IgnoresDefaultPort checks pages of the server itself whose requests name the
// default port of their scheme, which origins leave out.
func TestCORS_IgnoresDefaultPort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		origin, host string
		status       int
	}{
		{"https://example.com", "example.com:443", http.StatusNotFound},
		{"http://example.com", "EXAMPLE.com:80", http.StatusNotFound},
		{"https://example.com:443", "example.com", http.StatusNotFound},
		{"http://[2001:db8::1]", "[2001:db8::1]:80", http.StatusNotFound},
		{"http://[2001:db8::80]", "[2001:db8::80]", http.StatusNotFound},
		{"https://example.com:8443", "example.com:8443", http.StatusNotFound},
		{"https://example.com", "example.com:80", http.StatusForbidden},
		{"http://example.com", "example.com:443", http.StatusForbidden},
		{"https://example.com:8443", "example.com:443", http.StatusForbidden},
		{"https://example.com:8443", "example.com", http.StatusForbidden},
		{"https://evil.test", "example.com:443", http.StatusForbidden},
		{"https://example.com:443.evil.test", "example.com:443", http.StatusForbidden},
		{"ftp://example.com", "example.com", http.StatusForbidden},
		{"chrome-extension://example", "example", http.StatusForbidden},
		{"//example.com", "example.com", http.StatusForbidden},
		{"https://user@example.com", "example.com", http.StatusForbidden},
		{"https://example.com/page", "example.com", http.StatusForbidden},
		{"null", "", http.StatusForbidden}, // of a client of HTTP/1.0
		{"https://", "", http.StatusForbidden},
	} {
		request, response := httptest.NewRequest(http.MethodGet, "/graphql", nil), httptest.NewRecorder()
		request.Host = c.host
		request.Header.Set("Upgrade", "websocket")
		request.Header.Set("Origin", c.origin)
		CORS(nil, http.NotFoundHandler()).ServeHTTP(response, request)
		if response.Code != c.status {
			t.Errorf("%s at %s: %d, want %d", c.origin, c.host, response.Code, c.status)
		}
	}
}

func TestOrigin_RejectsOtherTexts(t *testing.T) {
	t.Parallel()
	const notHost = " is not a scheme and a host, as in https://example.org"
	for text, want := range map[string]string{
		"*":                       "",
		"https://example.org":     "",
		"http://localhost:3000":   "",
		"https://*.example.org":   "",
		"http://[::1]:3000":       "",
		"capacitor://localhost":   "",
		"":                        `"" has no scheme, as in https://example.org`,
		"example.org":             `"example.org" has no scheme, as in https://example.org`,
		"localhost:3000":          `"localhost:3000" has no scheme, as in https://example.org`,
		"//example.org":           `"//example.org" has no scheme, as in https://example.org`,
		"://example.org":          `"://example.org" has no scheme, as in https://example.org`,
		"null":                    `"null" has no scheme, as in https://example.org`,
		"https://":                `"https://"` + notHost,
		"https://a b":             `"https://a b"` + notHost,
		"https://sara@h":          `"https://sara@h"` + notHost,
		"https://bücher.example":  `"https://bücher.example"` + notHost,
		"https://a.*.example":     `"https://a.*.example"` + notHost,
		"https://example.org/":    `"https://example.org/" must end after the host and its port`,
		"https://example.org/a":   `"https://example.org/a" must end after the host and its port`,
		"https://example.org?":    `"https://example.org?" must end after the host and its port`,
		"https://example.org#":    `"https://example.org#" must end after the host and its port`,
		"https://example.org:443": `"https://example.org:443" must not have the port 443: browsers leave it out`,
		"http://example.org:80":   `"http://example.org:80" must not have the port 80: browsers leave it out`,
	} {
		var origin Origin
		got := ""
		if err := origin.UnmarshalText([]byte(text)); err != nil {
			got = err.Error()
		} else if string(origin) != text {
			t.Errorf("%q: %q", text, origin)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
