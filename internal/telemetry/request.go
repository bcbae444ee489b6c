// Package telemetry logs, measures and traces requests.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"portfolio/internal/apierror"
)

// API is the part of the server that responds to a request.
type API string

// The parts of the server.
const (
	GraphQL API = "graphql"
	REST    API = "rest"
	Media   API = "media"
	Health  API = "health"
	Other   API = "other"
)

// Subscription is the Type of a request that lasts as long as its client wants.
const Subscription = "subscription"

// Request collects what is logged, measured and traced about a request. Handlers fill it in
// while they run.
type Request struct {
	Method, Path string // without the query string
	Client       netip.Addr

	ID        string
	TraceID   string // if the request is traced
	API       API
	Type      string        // of the operation, such as query
	Operation string        // its name in the document
	Code      apierror.Code // of the first error, "" if it follows from the status
	Cost      float64       // of the operation, 0 if unknown
	UserID    int64         // of the viewer, 0 if anonymous

	Status     int   // of HTTP, 0 for 200
	Bytes      int64 // of the body that was written
	Statements atomic.Int64
	Duration   time.Duration

	timeoutLogged atomic.Bool
	failures      failures
}

func (r *Request) status() int { return cmp.Or(r.Status, http.StatusOK) }

type requestKey struct{}

// WithRequest returns a context that carries a request.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// Detach returns a context for work that outlives a request, such as the operations of a
// WebSocket. The context has copies of the Request and its trace, and refers to no memory of
// the HTTP request. The CancelFunc cancels it.
func Detach(ctx context.Context) (context.Context, context.CancelFunc) {
	r, span := RequestFrom(ctx), trace.SpanContextFromContext(ctx)
	detached, cancel := context.WithCancel(context.Background())
	detached = WithRequest(detached, &Request{
		Method: strings.Clone(r.Method), Path: strings.Clone(Truncate(r.Path)), Client: r.Client, ID: strings.Clone(r.ID), API: r.API,
	})
	if !span.IsValid() {
		return detached, cancel
	}
	return trace.ContextWithSpanContext(detached, span.WithTraceState(trace.TraceState{})), cancel
}

// RequestFrom returns the request of the context, or else a new one.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}

// LogFailure logs the error with which the request of the context failed, unless its client has
// disconnected. It logs a cause once, although several fields of an operation may report it. After
// the request has run out of time, it logs only the first error, which causes all others.
func LogFailure(ctx context.Context, log *slog.Logger, err error) {
	ctxErr := ctx.Err()
	switch {
	case errors.Is(ctxErr, context.Canceled):
	case !errors.Is(ctxErr, context.DeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded):
		RequestFrom(ctx).failures.log(ctx, log, err)
	case RequestFrom(ctx).timeoutLogged.CompareAndSwap(false, true):
		log.ErrorContext(ctx, "request timed out", "error", err)
	}
}

// failures are the causes of the failures of a request that were logged.
type failures struct {
	mu     sync.Mutex
	causes []string
}

// maxFailures is the maximum number of failures of one request in the log.
const maxFailures = 10

// log logs an error unless its cause was logged. Fields that report the same cause differ only
// in their paths.
func (f *failures) log(ctx context.Context, log *slog.Logger, err error) {
	cause := err
	if located, ok := errors.AsType[*gqlerror.Error](err); ok && located.Err != nil {
		cause = located.Err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case len(f.causes) > maxFailures || slices.Contains(f.causes, cause.Error()):
		return
	case len(f.causes) == maxFailures:
		log.ErrorContext(ctx, "further failures of this request are not logged")
	default:
		log.ErrorContext(ctx, "request failed", "error", err)
	}
	f.causes = append(f.causes, cause.Error())
}

// Outcomes that are not the code of an error.
const (
	OK       apierror.Code = "ok"
	Canceled apierror.Code = "canceled" // the client disconnected
)

// Outcome returns the code of the request's error, or OK.
func (r *Request) Outcome() apierror.Code {
	switch {
	case r.Code != "":
		return r.Code
	case r.Status < http.StatusBadRequest:
		return OK
	}
	switch r.Status {
	case http.StatusUnauthorized:
		return apierror.Unauthenticated
	case http.StatusForbidden:
		return apierror.Forbidden
	case http.StatusNotFound:
		return apierror.NotFound
	case http.StatusTooManyRequests:
		return apierror.RateLimited
	case http.StatusServiceUnavailable:
		return apierror.Unavailable
	}
	if r.Status >= http.StatusInternalServerError {
		return apierror.Internal
	}
	return apierror.BadUserInput
}
