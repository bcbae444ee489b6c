package middleware_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/internal/middleware"
	"portfolio/internal/telemetry"
)

// BenchmarkLogRequests measures the cost of the log and of each instrument, for a request with
// one statement.
func BenchmarkLogRequests(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	b.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	b.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.01")
	off := slog.New(slog.DiscardHandler)
	tracing, err := telemetry.NewTracing(b.Context(), "", off)
	if err != nil {
		b.Fatal(err)
	}
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	metrics := telemetry.NewMetrics("", "")
	toFile := slog.New(telemetry.NewLogHandler(telemetry.NewLogWriter(file), true, slog.LevelInfo))
	for _, c := range []struct {
		name        string
		log         *slog.Logger
		instruments telemetry.Instruments
	}{
		{"off", off, telemetry.Instruments{}},
		{"log", toFile, telemetry.Instruments{}},
		{"log by slog", slog.New(slog.NewJSONHandler(discard{}, nil)), telemetry.Instruments{}},
		{"metrics", off, telemetry.Instruments{Metrics: metrics}},
		{"traces", off, telemetry.Instruments{Tracing: tracing}},
		{"all", toFile, telemetry.Instruments{Metrics: metrics, Tracing: tracing}},
	} {
		b.Run(c.name, func(b *testing.B) {
			statement := c.instruments.Statements("sqlite")
			handler := middleware.LogRequests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				request := telemetry.RequestFrom(r.Context())
				request.API, request.Type, request.Operation, request.UserID = telemetry.GraphQL, "query", "Link", 1
				if c.instruments.Enabled() {
					statement(r.Context(), db.Statement{Name: "SELECT portfolio_links by id", Start: time.Now()})
				}
				w.WriteHeader(http.StatusOK)
			}), nil, c.instruments, c.log)
			request := httptest.NewRequest(http.MethodPost, "/graphql", nil)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(noWriter{http.Header{}}, request)
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

type noWriter struct{ header http.Header }

func (w noWriter) Header() http.Header       { return w.header }
func (noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (noWriter) WriteHeader(int)             {}
