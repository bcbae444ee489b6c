package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	handler := CORS([]string{"https://app.test"}, http.NotFoundHandler())
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
			t.Errorf("%s from %s: %d %v", c.method, c.origin, response.Code, response.Header())
		}
	}
}
