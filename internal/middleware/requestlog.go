package middleware

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"portfolio/db"
)

type requestIDKey struct{}

// RequestIDHandler is a slog.Handler that adds the id of the context's request
// to each record.
type RequestIDHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h RequestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h RequestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return RequestIDHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h RequestIDHandler) WithGroup(name string) slog.Handler {
	return RequestIDHandler{h.Handler.WithGroup(name)}
}

// LogRequests gives each request an id, which the client receives as
// X-Request-Id, and finds out from the proxies who sent it. It logs
// requests at level debug. A panic is logged and becomes a response with
// status 500.
func LogRequests(next http.Handler, proxies Proxies, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := newRequestID()
		w.Header()["X-Request-Id"] = []string{id}
		ctx := context.WithValue(r.Context(), requestIDKey{}, id)
		ctx, r = proxies.identify(ctx, r)
		defer func() {
			if value := recover(); value != nil {
				log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
				w.Header().Set("Cache-Control", "no-store")
				http.Error(w, "Internal error.", http.StatusInternalServerError)
			}
		}()
		if !log.Enabled(ctx, slog.LevelDebug) {
			next.ServeHTTP(w, r)
			return
		}
		ctx, statements := db.WithQueryCounter(ctx)
		recorder, start := &statusRecorder{ResponseWriter: w, status: http.StatusOK}, time.Now()
		next.ServeHTTP(recorder, r.WithContext(ctx))
		log.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", recorder.status,
			"duration", time.Since(start), "statements", statements.Load())
	})
}

func newRequestID() string {
	var id [8]byte
	n := rand.Uint64()
	for i := range id {
		id[i] = byte(n >> (8 * i))
	}
	return hex.EncodeToString(id[:])
}

// statusRecorder records the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
