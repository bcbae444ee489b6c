package middleware

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"portfolio/db"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/telemetry"
)

// RequestIDHandler is a slog.Handler that adds the id of the context's request
// to each record.
type RequestIDHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h RequestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := telemetry.RequestFrom(ctx).ID; id != "" {
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
// X-Request-Id, and finds out from the proxies who sent it. It logs each
// request at level info, and health checks at level debug, and tells it to watch. A
// panic is logged and becomes a response with status 500.
func LogRequests(next http.Handler, proxies Proxies, watch telemetry.Watch, log *slog.Logger) http.Handler {
	next = recoverPanics(next, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := &telemetry.Request{ID: requestID(r), API: telemetry.Other}
		w.Header()["X-Request-Id"] = []string{request.ID}
		ctx := telemetry.WithRequest(r.Context(), request)
		ctx, r = proxies.identify(ctx, r)
		if !watch.IsOn() && !log.Enabled(ctx, slog.LevelInfo) {
			next.ServeHTTP(w, r)
			return
		}
		recorder, start := &recorder{ResponseWriter: w, request: request}, time.Now()
		ctx = watch.Begin(ctx, r, request)
		ctx, statements := db.WithQueryCounter(ctx)
		next.ServeHTTP(recorder, r.WithContext(ctx))
		request.Duration, request.Statements = time.Since(start), statements.Load()
		if request.Outcome() != telemetry.OK && r.Context().Err() != nil {
			request.Code = telemetry.Canceled
		}
		watch.End(ctx, r, request)
		logRequest(ctx, log.Handler(), r, request)
	})
}

// recoverPanics logs a panic and responds with status 500.
func recoverPanics(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer recoverPanic(r.Context(), w, log)
		next.ServeHTTP(w, r)
	})
}

func recoverPanic(ctx context.Context, w http.ResponseWriter, log *slog.Logger) {
	if value := recover(); value != nil {
		telemetry.RequestFrom(ctx).Code = apierror.Internal
		log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "Internal error.", http.StatusInternalServerError)
	}
}

// logRequest logs a request that is over. What the client chose is shortened;
// handlers escape it.
func logRequest(ctx context.Context, handler slog.Handler, r *http.Request, request *telemetry.Request) {
	level := slog.LevelInfo
	if request.API == telemetry.Health {
		level = slog.LevelDebug
	}
	if !handler.Enabled(ctx, level) {
		return
	}
	record := slog.NewRecord(time.Now(), level, "request", 0)
	attrs := [14]slog.Attr{
		slog.String("api", string(request.API)),
		slog.String("method", telemetry.Shorten(r.Method)),
		slog.String("path", telemetry.Shorten(r.URL.Path)),
		slog.Int("status", cmp.Or(request.Status, http.StatusOK)),
		slog.String("code", string(request.Outcome())),
		slog.Float64("duration_ms", float64(request.Duration.Microseconds())/1000),
		slog.Int64("bytes", request.Bytes),
		slog.Int64("statements", request.Statements),
		slog.String("client", auth.AddressFrom(ctx).String()),
	}
	n := 9
	if request.Type != "" {
		attrs[n], attrs[n+1] = slog.String("type", request.Type), slog.String("operation", telemetry.Shorten(request.Operation))
		attrs[n+2] = slog.Float64("cost", request.Cost)
		n += 3
	}
	if request.UserID != 0 {
		attrs[n] = slog.Int64("user_id", request.UserID)
		n++
	}
	if request.TraceID != "" {
		attrs[n] = slog.String("trace_id", request.TraceID)
		n++
	}
	record.AddAttrs(attrs[:n]...)
	_ = handler.Handle(ctx, record) // nothing can be done
}

var sentID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID returns the id that the client or a proxy sent, if it is of sane form,
// or a new one.
func requestID(r *http.Request) string {
	if sent := r.Header.Get("X-Request-Id"); sent != "" && sentID.MatchString(sent) {
		return sent
	}
	var id [8]byte
	n := rand.Uint64()
	for i := range id {
		id[i] = byte(n >> (8 * i))
	}
	return hex.EncodeToString(id[:])
}

// recorder records the status of a response, unless it is 200 by default, and its
// size.
type recorder struct {
	http.ResponseWriter
	request *telemetry.Request
}

func (w *recorder) WriteHeader(status int) {
	if w.request.Status == 0 {
		w.request.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.request.Bytes += int64(n)
	return n, err
}

// ReadFrom lets files be sent with sendfile.
func (w *recorder) ReadFrom(from io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, from)
	w.request.Bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
