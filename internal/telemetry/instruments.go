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

// Instruments measure and trace requests, SQL statements and the storage of images. A nil part does
// nothing.
type Instruments struct {
	Metrics *Metrics
	Tracing *Tracing
}

// Enabled reports whether there is a part that measures or traces.
func (i Instruments) Enabled() bool { return i.Metrics != nil || i.Tracing != nil }

// Close exports the remaining spans.
func (i Instruments) Close(ctx context.Context, log *slog.Logger) {
	if i.Tracing == nil {
		return
	}
	if err := i.Tracing.close(ctx); err != nil {
		log.WarnContext(ctx, "spans were not exported", "error", Truncate(err.Error()))
	}
}

// Begin begins to measure a request. The header is nil for an operation over WebSocket.
func (i Instruments) Begin(ctx context.Context, header http.Header, record *Request) context.Context {
	if i.Tracing == nil {
		return ctx
	}
	return i.Tracing.begin(ctx, header, record)
}

// End records a finished request, with the context that Begin returned.
func (i Instruments) End(ctx context.Context, record *Request) {
	if i.Metrics != nil {
		i.Metrics.observeRequest(record)
	}
	if i.isTraced(ctx) {
		i.Tracing.finish(ctx, record)
	}
}

// Statements returns a function that observes the SQL statements of a database
// system, as OpenTelemetry names it.
func (i Instruments) Statements(system string) func(context.Context, db.Statement) {
	return func(ctx context.Context, s db.Statement) {
		if i.Metrics != nil && !s.Batched {
			i.Metrics.observeStatement(s.Name, time.Since(s.Start))
		}
		if i.isTraced(ctx) {
			attributes := []attribute.KeyValue{semconv.DBSystemNameKey.String(system), semconv.DBQuerySummary(s.Name)}
			if s.Batched {
				attributes = append(attributes, attribute.Bool("portfolio.shared", true))
			}
			i.Tracing.add(ctx, s.Name, s.Start, s.Err, trace.SpanKindClient, attributes...)
		}
	}
}

func (i Instruments) isTraced(ctx context.Context) bool {
	return i.Tracing != nil && trace.SpanFromContext(ctx).IsRecording()
}

// ImageStep observes a step of storing an image.
func (i Instruments) ImageStep(ctx context.Context, step string, start time.Time, pixels int) {
	if i.Metrics != nil {
		i.Metrics.observeImage(step, time.Since(start), pixels)
	}
	if i.isTraced(ctx) {
		i.Tracing.add(ctx, "image "+step, start, nil, trace.SpanKindInternal)
	}
}

const maxText = 200 // bytes of a text that a client chose

// Truncate returns the beginning of a text that a client chose.
func Truncate(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
