package middleware

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"portfolio/internal/auth"
)

func TestLogRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		level   slog.Level
		handler http.HandlerFunc
		status  int
		message string // of the only log record, if any
	}{
		{"info", slog.LevelInfo, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, http.StatusTeapot, ""},
		{"debug", slog.LevelDebug, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, http.StatusTeapot, "request"},
		{"panic", slog.LevelInfo, func(http.ResponseWriter, *http.Request) { panic("secret") }, http.StatusInternalServerError, "panic"},
		{"panic at level debug", slog.LevelDebug, func(http.ResponseWriter, *http.Request) { panic("secret") }, http.StatusInternalServerError, "panic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			log := slog.New(RequestIDHandler{slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: c.level})}).With("server", "test")
			address := ""
			handler := LogRequests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				address = auth.AddressFrom(r.Context()).String()
				c.handler(w, r)
			}), nil, log)
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/path", nil))
			header := response.Header()
			if response.Code != c.status || len(header.Get("X-Request-Id")) != 16 || address != "192.0.2.1" {
				t.Errorf("%d %v, client %s", response.Code, header, address)
			}
			if got := response.Body.String() + header.Get("Cache-Control") + " " + header.Get("X-Content-Type-Options"); c.message == "panic" && got != "Internal error.\nno-store nosniff" {
				t.Errorf("%s", got)
			}
			type record struct {
				Message   string `json:"msg"`
				RequestID string `json:"request_id"`
				Path      string
				Status    int
				Server    string
			}
			var got, want record
			if c.message != "" {
				want = record{Message: c.message, RequestID: header.Get("X-Request-Id"), Server: "test"}
				if err := json.Unmarshal(logged.Bytes(), &got); err != nil {
					t.Fatalf("%v: %s", err, logged.Bytes())
				}
			}
			if c.message == "request" {
				want.Path, want.Status = "/path", c.status
			}
			if got != want || c.message == "" && logged.Len() > 0 {
				t.Errorf("logged %s", logged.Bytes())
			}
		})
	}
}
