package main

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"portfolio/db"
	"portfolio/internal/auth"
	"portfolio/internal/middleware"
)

type requestIDKey struct{}

// requestIDs adds the id of the request to what is logged while it is
// answered.
type requestIDs struct{ slog.Handler }

func (h requestIDs) Handle(ctx context.Context, record slog.Record) error {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

// identified gives each request an id, which the client sees as X-Request-Id,
// and the address of its client, and logs it at level debug. A panic is logged
// and answered with 500.
func identified(next http.Handler, proxies middleware.Proxies, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := newRequestID()
		w.Header()["X-Request-Id"] = []string{id}
		ctx := context.WithValue(r.Context(), requestIDKey{}, id)
		ctx = auth.WithAddress(ctx, proxies.Client(r))
		defer func() {
			if value := recover(); value != nil {
				log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
				writeText(w, http.StatusInternalServerError, "Internal error.")
			}
		}()
		if !log.Enabled(ctx, slog.LevelDebug) {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		ctx, statements := db.WithCounter(ctx)
		seen, begun := &statusWriter{ResponseWriter: w, status: http.StatusOK}, time.Now()
		next.ServeHTTP(seen, r.WithContext(ctx))
		log.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", seen.status,
			"duration", time.Since(begun), "statements", statements.Load())
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

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
