package middleware

import (
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

// LogRequests gives each request an ID, which the client receives as X-Request-Id, and
// identifies the client by the headers of proxies. It logs requests at level info, and health
// checks at level debug, and reports them to instruments. A panic is logged and becomes a
// response with status 500.
func LogRequests(next http.Handler, proxies Proxies, instruments telemetry.Instruments, log *slog.Logger) http.Handler {
	next = recoverPanics(next, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorder := &recorder{ResponseWriter: w, request: telemetry.Request{ID: requestID(r), Method: r.Method, Path: r.URL.Path, API: telemetry.Other}}
		request := &recorder.request
		w.Header()["X-Request-Id"] = []string{request.ID}
		ctx := telemetry.WithRequest(r.Context(), request)
		isRecorded := instruments.Enabled() || log.Enabled(ctx, slog.LevelInfo)
		if isRecorded {
			ctx = db.WithQueryCounter(instruments.Begin(ctx, r.Header, request), &request.Statements)
		}
		ctx, r = proxies.identify(ctx, r)
		request.Client = auth.AddressFrom(ctx)
		if !isRecorded {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(recorder, r)
		request.Duration = time.Since(start)
		if request.Outcome() != telemetry.OK && r.Context().Err() != nil {
			request.Code = telemetry.Canceled
		}
		instruments.End(ctx, request)
		request.Log(ctx, log.Handler())
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

var validID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID returns the ID that the client or a proxy sent if it is well-formed, or else a new
// ID.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && validID.MatchString(id) {
		return id
	}
	var random [8]byte
	n := rand.Uint64()
	for i := range random {
		random[i] = byte(n >> (8 * i))
	}
	return hex.EncodeToString(random[:])
}

// recorder records the size of a response, and its status unless that is 200 by default.
type recorder struct {
	http.ResponseWriter
	request telemetry.Request
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
func (w *recorder) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.request.Bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
