package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"portfolio/db"
)

// Watch receives what the server does. A part that is nil does nothing.
type Watch struct {
	Metrics *Metrics
	Tracing *Tracing
}

// IsOn reports whether anything is watched.
func (w Watch) IsOn() bool { return w.Metrics != nil || w.Tracing != nil }

// Close exports what is left of the traces.
func (w Watch) Close(ctx context.Context, log *slog.Logger) {
	if w.Tracing == nil {
		return
	}
	if err := w.Tracing.close(ctx); err != nil {
		log.WarnContext(ctx, "spans were not exported", "error", Truncate(err.Error()))
	}
}

// Begin begins a request. The header is nil for an operation over WebSocket.
func (w Watch) Begin(ctx context.Context, header http.Header, told *Request) context.Context {
	if w.Tracing == nil {
		return ctx
	}
	return w.Tracing.begin(ctx, header, told)
}

// End ends a request, with the context that Begin returned.
func (w Watch) End(ctx context.Context, told *Request) {
	if w.Metrics != nil {
		w.Metrics.observeRequest(told)
	}
	if w.isTraced(ctx) {
		w.Tracing.end(ctx, told)
	}
}

// Statements returns a function that observes the SQL statements of a database
// system, as OpenTelemetry names it.
func (w Watch) Statements(system string) func(context.Context, db.Statement) {
	return func(ctx context.Context, s db.Statement) {
		if w.Metrics != nil && !s.Batched {
			w.Metrics.observeStatement(s.Name, time.Since(s.Start))
		}
		if w.isTraced(ctx) {
			attributes := []attribute.KeyValue{semconv.DBSystemNameKey.String(system), semconv.DBQuerySummary(s.Name)}
			if s.Batched {
				attributes = append(attributes, attribute.Bool("portfolio.shared", true))
			}
			w.Tracing.add(ctx, s.Name, s.Start, s.Err, trace.SpanKindClient, attributes...)
		}
	}
}

func (w Watch) isTraced(ctx context.Context) bool {
	return w.Tracing != nil && trace.SpanFromContext(ctx).IsRecording()
}

// ImageStep observes a step of storing an image.
func (w Watch) ImageStep(ctx context.Context, step string, began time.Time, pixels int) {
	if w.Metrics != nil {
		w.Metrics.observeImage(step, time.Since(began), pixels)
	}
	if w.isTraced(ctx) {
		w.Tracing.add(ctx, "image "+step, began, nil, trace.SpanKindInternal)
	}
}

const maxText = 200 // bytes of what a client chose

// Truncate returns the beginning of what a client chose.
func Truncate(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
