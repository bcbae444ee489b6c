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

// LogRequests gives each request an id, which the client receives as
// X-Request-Id, and finds out from the proxies who sent it. It logs each
// request at level info, and health checks at level debug, and tells it to watch. A
// panic is logged and becomes a response with status 500.
func LogRequests(next http.Handler, proxies Proxies, watch telemetry.Watch, log *slog.Logger) http.Handler {
	next = recoverPanics(next, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorder := &recorder{ResponseWriter: w, told: telemetry.Request{ID: requestID(r), Method: r.Method, Path: r.URL.Path, API: telemetry.Other}}
		request := &recorder.told
		w.Header()["X-Request-Id"] = []string{request.ID}
		ctx := telemetry.WithRequest(r.Context(), request)
		observed := watch.IsOn() || log.Enabled(ctx, slog.LevelInfo)
		if observed {
			ctx = db.WithQueryCounter(watch.Begin(ctx, r.Header, request), &request.Statements)
		}
		ctx, r = proxies.identify(ctx, r)
		request.Client = auth.AddressFrom(ctx)
		if !observed {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(recorder, r)
		request.Duration = time.Since(start)
		if request.Outcome() != telemetry.OK && r.Context().Err() != nil {
			request.Code = telemetry.Canceled
		}
		watch.End(ctx, request)
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
	told telemetry.Request
}

func (w *recorder) WriteHeader(status int) {
	if w.told.Status == 0 {
		w.told.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.told.Bytes += int64(n)
	return n, err
}

// ReadFrom lets files be sent with sendfile.
func (w *recorder) ReadFrom(from io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, from)
	w.told.Bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
