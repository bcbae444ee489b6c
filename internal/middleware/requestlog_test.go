package middleware

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/telemetry"
)

const (
	anonymous = `"msg":"request","api":"other","method":"GET","path":"/path",`
	teapot    = `"level":"INFO",` + anonymous + `"status":418,"code":"BAD_USER_INPUT","duration_ms":0,"bytes":6,"statements":0,"client":"192.0.2.1"`
	panicked  = `"level":"ERROR","msg":"panic","value":"secret","stack":""`
	failed    = `"level":"INFO",` + anonymous + `"status":500,"code":"INTERNAL","duration_ms":0,"bytes":16,"statements":0,"client":"192.0.2.1"`
)

// TestLogRequests_LogsOutcome checks the log record of each way in which a request may end.
func TestLogRequests_LogsOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path string
		level      slog.Level
		handler    http.HandlerFunc
		status     int
		want       []string // records without time, stack, duration and request_id
	}{
		{"status", "/path?token=secret", slog.LevelInfo, respondTeapot, http.StatusTeapot, []string{teapot}},
		{"level warn", "/path", slog.LevelWarn, respondTeapot, http.StatusTeapot, nil},
		{"panic", "/path", slog.LevelInfo, func(http.ResponseWriter, *http.Request) { panic("secret") }, http.StatusInternalServerError, []string{panicked, failed}},
		{"panic at level warn", "/path", slog.LevelWarn, func(http.ResponseWriter, *http.Request) { panic("secret") }, http.StatusInternalServerError, []string{panicked}},
		{"panic after the header", "/path", slog.LevelInfo, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			panic("secret")
		}, http.StatusAccepted, []string{panicked, strings.Replace(failed, "500", "202", 1)}},
		{"no response", "/path", slog.LevelInfo, func(http.ResponseWriter, *http.Request) {}, http.StatusOK,
			[]string{`"level":"INFO",` + anonymous + `"status":200,"code":"ok","duration_ms":0,"bytes":0,"statements":0,"client":"192.0.2.1"`}},
		{"operation", "/path", slog.LevelInfo, func(_ http.ResponseWriter, r *http.Request) {
			request := telemetry.RequestFrom(r.Context())
			request.API, request.Type, request.Operation, request.Cost, request.UserID, request.Code = telemetry.GraphQL, "query", strings.Repeat("n", 201), 12, 7, apierror.Conflict
		}, http.StatusOK, []string{`"level":"INFO","msg":"request","api":"graphql","method":"GET","path":"/path","status":200,"code":"CONFLICT","duration_ms":0,"bytes":0,"statements":0,` +
			`"client":"192.0.2.1","type":"query","operation":"` + strings.Repeat("n", 200) + `…","cost":12,"user_id":7`}},
		{"long path", "/" + strings.Repeat("é", 1000), slog.LevelInfo, respondTeapot, http.StatusTeapot, []string{strings.Replace(teapot, "/path", "/"+strings.Repeat("é", 99)+"…", 1)}},
		{"health check", "/path", slog.LevelInfo, health, http.StatusOK, nil},
		{"health check at level debug", "/path", slog.LevelDebug, health, http.StatusOK,
			[]string{`"level":"DEBUG","msg":"request","api":"health","method":"GET","path":"/path","status":200,"code":"ok","duration_ms":0,"bytes":0,"statements":0,"client":"192.0.2.1"`}},
		{"disconnected", "/path", slog.LevelInfo, respondTeapot, http.StatusTeapot, []string{strings.Replace(teapot, "BAD_USER_INPUT", "canceled", 1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log, logged := newLog(c.level)
			address := ""
			handler := LogRequests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				address = auth.AddressFrom(r.Context()).String()
				c.handler(w, r)
			}), nil, telemetry.Instruments{}, log)
			response := httptest.NewRecorder()
			ctx, disconnect := context.WithCancel(t.Context())
			defer disconnect()
			if c.name == "disconnected" {
				disconnect()
			}
			handler.ServeHTTP(response, httptest.NewRequestWithContext(ctx, http.MethodGet, c.path, nil))
			id := response.Header().Get("X-Request-Id")
			if response.Code != c.status || len(id) != 16 || address != "192.0.2.1" {
				t.Errorf("got status %d, ID %q, client %s, want %d, 16 digits, 192.0.2.1", response.Code, id, address, c.status)
			}
			if got := response.Body.String() + response.Header().Get("Cache-Control"); response.Code == http.StatusInternalServerError && got != "Internal error.\nno-store" {
				t.Errorf("got %q, want an internal error that is not stored", got)
			}
			want := ""
			for _, record := range c.want {
				want += record + `,"request_id":"` + id + "\"}\n"
			}
			if got := constant(logged()); got != want {
				t.Errorf("logged\n%s, want\n%s", got, want)
			}
		})
	}
}

// newLog returns a logger, and a function that returns its records.
func newLog(level slog.Level) (*slog.Logger, func() string) {
	var logged bytes.Buffer
	records := telemetry.NewLogWriter(&logged)
	return slog.New(telemetry.NewLogHandler(records, true, level)), func() string {
		records.Flush()
		return logged.String()
	}
}

// constant removes the parts of records that differ in each run.
func constant(logs string) string {
	logs = regexp.MustCompile(`"stack":"[^"]*"`).ReplaceAllString(logs, `"stack":""`)
	logs = regexp.MustCompile(`"duration_ms":[0-9.]+`).ReplaceAllString(logs, `"duration_ms":0`)
	return regexp.MustCompile(`(?m)^\{"time":"[^"]*",`).ReplaceAllString(logs, "")
}

func respondTeapot(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusTeapot)
	_, _ = io.WriteString(w, "teapot")
}

func health(_ http.ResponseWriter, r *http.Request) {
	telemetry.RequestFrom(r.Context()).API = telemetry.Health
}

// TestLogRequests_KeepsWellFormedID checks which IDs of clients the server keeps.
func TestLogRequests_KeepsWellFormedID(t *testing.T) {
	t.Parallel()
	handler := LogRequests(http.HandlerFunc(health), nil, telemetry.Instruments{}, slog.New(slog.DiscardHandler))
	for sent, kept := range map[string]bool{
		"a":                     true,
		"0.Z_z-9":               true,
		strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false,
		"":                      false,
		"a b":                   false,
		"a\n":                   false,
		`a"`:                    false,
		"é":                     false,
	} {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header["X-Request-Id"] = []string{sent}
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		if got := response.Header()["X-Request-Id"]; len(got) != 1 || (got[0] == sent) != kept || got[0] == "" {
			t.Errorf("%q: got %q, want it kept: %t", sent, got, kept)
		}
	}
}

// TestLogRequests_KeepsSendfile checks that the connection itself copies a file, which it does with
// sendfile.
func TestLogRequests_KeepsSendfile(t *testing.T) {
	t.Parallel()
	copied := int64(0)
	handler := LogRequests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "requestlog_test.go")
		copied = telemetry.RequestFrom(r.Context()).Bytes
	}), nil, telemetry.Instruments{}, slog.New(slog.NewTextHandler(new(bytes.Buffer), nil)))
	response := &fileRecorder{ResponseRecorder: httptest.NewRecorder()}
	handler.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/", nil))
	file, err := os.Stat("requestlog_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if response.copied != file.Size() || copied != file.Size() {
		t.Errorf("%d bytes were copied and %d counted, of %d", response.copied, copied, file.Size())
	}
}

// fileRecorder counts the bytes that a connection would send with sendfile.
type fileRecorder struct {
	*httptest.ResponseRecorder
	copied int64
}

func (r *fileRecorder) ReadFrom(source io.Reader) (int64, error) {
	n, err := io.Copy(r.ResponseRecorder, source)
	r.copied += n
	return n, err
}
