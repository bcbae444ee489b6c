package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracing exports the spans of requests to an OpenTelemetry collector.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	ratio    float64 // sampled fraction of the requests without a traceparent
}

// flushTimeout is the time limit for exporting the last spans.
const flushTimeout = 5 * time.Second

// NewTracing returns tracing as the standard variables OTEL_* configure it, or nil
// unless they name a collector or the exporter otlp. CheckEnvironment must have
// accepted them. An export that fails is logged.
func NewTracing(ctx context.Context, version string, log *slog.Logger) (*Tracing, error) {
	if !tracingEnabled() {
		return nil, nil
	}
	client, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	description, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName("portfolio"), semconv.ServiceVersion(version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	sampler, ratio := newSampler()
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(description), sdktrace.WithSampler(sampler),
		sdktrace.WithBatcher(&loggedExporter{SpanExporter: client, log: log}))
	return &Tracing{provider, provider.Tracer("portfolio"), ratio}, nil
}

// newSampler returns the sampler that the environment names. The sampler decides about requests
// with a traceparent, and samples all other requests. ratio is the fraction of the other requests
// that begin passes to the sampler, because creating a span is expensive.
func newSampler() (sampler sdktrace.Sampler, ratio float64) {
	name, followsParent := strings.CutPrefix(strings.ToLower(cmp.Or(os.Getenv(samplerVariable), "parentbased_always_on")), "parentbased_")
	ratio = 1
	switch name {
	case "always_off":
		ratio = 0
	case "traceidratio":
		ratio, _ = strconv.ParseFloat(cmp.Or(os.Getenv(samplerArgument), "1"), 64) // valid
	}
	var remote []sdktrace.ParentBasedSamplerOption
	if byRatio := sdktrace.TraceIDRatioBased(ratio); !followsParent {
		remote = append(remote, sdktrace.WithRemoteParentSampled(byRatio), sdktrace.WithRemoteParentNotSampled(byRatio))
	}
	return sdktrace.ParentBased(sdktrace.AlwaysSample(), remote...), ratio
}

const samplerVariable, samplerArgument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"

// close exports the last spans. It gives up after flushTimeout.
func (t *Tracing) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// CheckEnvironment returns the name of a variable whose value is not supported, and the reason.
// The SDK ignores values that it does not understand. Then it would export all traces, or
// export to the default address.
func CheckEnvironment() (variable string, err error) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		value := os.Getenv(name)
		if parsed, err := url.Parse(value); value != "" && (err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https") {
			return name, errors.New("must be an http or https URL")
		}
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if !slices.Contains([]string{"", "http/protobuf", "http/json"}, os.Getenv(name)) {
			return name, errors.New("must be http/protobuf or http/json")
		}
	}
	const exporter = "OTEL_TRACES_EXPORTER"
	if !slices.Contains([]string{"", "otlp", "none"}, os.Getenv(exporter)) {
		return exporter, errors.New("must be otlp or none")
	}
	switch strings.TrimPrefix(strings.ToLower(os.Getenv(samplerVariable)), "parentbased_") {
	case "", "always_on", "always_off":
	case "traceidratio":
		text := cmp.Or(os.Getenv(samplerArgument), "1")
		if ratio, err := strconv.ParseFloat(text, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			return samplerArgument, errors.New("must be a number from 0 to 1")
		}
	default:
		return samplerVariable, errors.New("must be always_on, always_off or traceidratio, or one of them after parentbased_")
	}
	return "", nil
}

// tracingEnabled reports whether the environment asks for traces.
func tracingEnabled() bool {
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	return !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") && (exporter == "otlp" || exporter == "" && endpoint != "")
}

// loggedExporter logs that spans were lost, at most once a minute. The SDK would print each
// loss.
type loggedExporter struct {
	sdktrace.SpanExporter
	log *slog.Logger

	mu     sync.Mutex
	lost   int
	logged time.Time
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += len(spans)
	if time.Since(e.logged) > time.Minute {
		e.log.WarnContext(ctx, "spans were not exported", "spans", e.lost, "error", Truncate(err.Error()))
		e.lost, e.logged = 0, time.Now()
	}
	return nil
}

// routes are the paths that spans are named after, without what clients choose.
var routes = map[API]string{
	GraphQL: "/graphql",
	REST:    "/api/portfolios/{portfolio_id}/links/{id}",
	Media:   "/media/{key}",
}

// begin starts the span of a request if the request is sampled. The header traceparent names
// the trace.
func (t *Tracing) begin(ctx context.Context, header http.Header, record *Request) context.Context {
	if header.Get("Traceparent") != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(header))
	}
	if !trace.SpanContextFromContext(ctx).IsValid() && rand.Float64() >= t.ratio {
		return ctx
	}
	ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	if id := span.SpanContext(); id.IsSampled() {
		record.TraceID = id.TraceID().String()
	}
	return ctx
}

// finish ends the span of a request.
func (t *Tracing) finish(ctx context.Context, record *Request) {
	span, status := trace.SpanFromContext(ctx), record.status()
	method, name := "_OTHER", "HTTP" // of a method that a client made up
	if slices.Contains([]string{"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"}, record.Method) {
		method, name = record.Method, record.Method
	}
	span.SetName(strings.TrimSpace(name + " " + routes[record.API]))
	span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(method), semconv.URLPath(Truncate(record.Path)), semconv.HTTPResponseStatusCode(status),
		attribute.String("portfolio.request_id", record.ID), attribute.String("portfolio.code", string(record.Outcome())),
	)
	if route := routes[record.API]; route != "" {
		span.SetAttributes(semconv.HTTPRoute(route))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// StartOperation starts the span of the operation of the context's request if the request is
// traced. The returned function ends the span.
func StartOperation(ctx context.Context) (context.Context, func(failed bool)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(bool) {}
	}
	record := RequestFrom(ctx)
	ctx, span := parent.TracerProvider().Tracer("portfolio").Start(ctx, record.Type, trace.WithAttributes(
		semconv.GraphQLOperationTypeKey.String(record.Type), semconv.GraphQLOperationName(Truncate(record.Operation))))
	return ctx, func(failed bool) {
		if failed {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

// add adds a finished span. The text of an error may quote values, so the span says only that
// there was an error.
func (t *Tracing) add(ctx context.Context, name string, start time.Time, err error, kind trace.SpanKind, attributes ...attribute.KeyValue) {
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(start), trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
