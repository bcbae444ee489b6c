// Package compat implements GET /api/portfolios/{portfolio_id}/links/{id} with
// responses identical, byte for byte, to those of the Django REST framework
// application it replaces. Requests that are not well-formed HTTP never reach it:
// net/http responds to them with 400.
package compat

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/responsecache"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

//go:embed openapi.json
var openAPI []byte

// ServeOpenAPI serves the OpenAPI 3.1 document of the endpoint.
func ServeOpenAPI(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	w.Header()["Content-Type"] = jsonType
	w.Header()["X-Content-Type-Options"] = contentTypeOptions
	_, _ = w.Write(openAPI)
}

// Links resolves GraphQL's portfolioLink. The link is nil if it does not exist.
type Links interface {
	PortfolioLink(ctx context.Context, portfolioID *db.NodeID, id db.NodeID) (*db.PortfolioLink, error)
}

// Authenticator finds the user who holds a token, as auth.Authenticator does.
type Authenticator interface {
	LogIn(ctx context.Context, key string) (*auth.Login, error)
}

// Handler serves the endpoint, and the legacy system's 404 page for any other
// path.
type Handler struct {
	links         Links
	authenticator Authenticator
	options       Options
	buffers       sync.Pool
}

// Options configure a Handler.
type Options struct {
	MediaURL  storage.MediaURL
	Admission *admission.Admission
	Cache     *responsecache.Cache
	Timeout   time.Duration // of a request
	Log       *slog.Logger
}

// New returns a Handler that resolves links with links.
func New(links Links, authenticator Authenticator, options Options) *Handler {
	newBuffer := func() any { b := make([]byte, 0, 2<<10); return &b }
	return &Handler{links, authenticator, options, sync.Pool{New: newBuffer}}
}

const maxPooled = 64 << 10 // bytes

// ServeHTTP responds to r.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buffer := h.buffers.Get().(*[]byte)
	defer h.buffers.Put(buffer)
	resp := h.respond(r, (*buffer)[:0])
	resp.write(w, r)
	if cap(resp.body) <= maxPooled {
		*buffer = resp.body
	}
}

// Reject responds with 429 or 503 to a request that is rejected before any
// other check, as the legacy framework's throttles did.
func (h *Handler) Reject(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration) {
	path, _ := splitTarget(r.RequestURI)
	if _, ok := parseRoute(path); ok {
		telemetry.RequestFrom(r.Context()).API = telemetry.REST
	}
	resp := unavailable(nil, retryAfter)
	if status == http.StatusTooManyRequests {
		resp = throttled(nil, retryAfter)
	}
	resp.write(w, r)
}

// respond runs the checks in the legacy framework's order. The body of the
// response is appended to buffer.
func (h *Handler) respond(r *http.Request, buffer []byte) response {
	path, query := splitTarget(r.RequestURI)
	host, ok := requestHost(r)
	if !ok {
		return pageResponse(buffer, http.StatusBadRequest)
	}
	rt, ok := parseRoute(path)
	if !ok {
		return pageResponse(buffer, http.StatusNotFound)
	}
	telemetry.RequestFrom(r.Context()).API = telemetry.REST
	if strings.Count(query, "&") >= maxQueryFields {
		return pageResponse(buffer, http.StatusBadRequest)
	}
	if format := lastQueryValue(query, "format"); format != "" && format != "json" {
		return detailResponse(buffer, http.StatusNotFound, "Not found.")
	}
	accept := headerValue(r, "Accept", "*/*")
	if len(accept) > maxAccept {
		return pageResponse(buffer, http.StatusBadRequest)
	}
	accepted, ok := acceptedType(accept)
	if !ok {
		return detailResponse(buffer, http.StatusNotAcceptable, "Could not satisfy the request Accept header.")
	}
	to := target{rt, h.options.MediaURL.For(r.Context(), host), accept, indentWidth(accepted)}
	resp := h.authorize(r, to, buffer)
	if !resp.page && resp.stored == nil {
		resp.body = indent(resp.body, to.indent)
	}
	return resp
}

// target is what a request asks for.
type target struct {
	route
	baseURL string // of files
	accept  string
	indent  int // of the body, 0 if it is compact
}

// serve responds to GET and HEAD, from the cache if that has the response.
func (h *Handler) serve(r *http.Request, to target, login *auth.Login, start time.Time, buffer []byte) response {
	found, reading := h.lookUp(r, to, login)
	if found != nil {
		return response{status: http.StatusOK, body: buffer, stored: found}
	}
	defer reading.End()
	ctx, cancel := context.WithTimeout(reading.Record(auth.WithViewer(r.Context(), login.Viewer)), h.options.Timeout-time.Since(start))
	defer cancel()
	resp := h.serveLink(ctx, to, buffer)
	if resp.status == http.StatusOK && reading.IsWanted() {
		reading.Store(&responsecache.Response{Body: slices.Clone(indent(resp.body, to.indent))})
	}
	return resp
}

// lookUp looks for the response in the cache.
func (h *Handler) lookUp(r *http.Request, to target, login *auth.Login) (*responsecache.Response, *responsecache.Reading) {
	if h.options.Cache == nil || login.Proof.Mark() == 0 {
		return nil, nil
	}
	key := responsecache.KeyOf(nil, "rest", r.Method, r.RequestURI, to.baseURL, to.accept, auth.Rights(login.Viewer))
	return h.options.Cache.Find(r.Context(), key, login.Proof)
}

// serveLink serves a link from the database.
func (h *Handler) serveLink(ctx context.Context, to target, buffer []byte) response {
	var link *db.PortfolioLink
	if !to.overflow {
		var err error
		if link, err = h.find(ctx, to.route); err != nil {
			return h.failure(ctx, err, buffer)
		}
	}
	if link == nil {
		return detailResponse(buffer, http.StatusNotFound, "No PortfolioLink matches the given query.")
	}
	return response{status: http.StatusOK, body: appendLink(buffer, link, mediaURLs{to.baseURL, to.path})}
}

// find looks the link up while it holds a slot.
func (h *Handler) find(ctx context.Context, rt route) (*db.PortfolioLink, error) {
	lookups := h.options.Admission.Lookups
	if err := lookups.Acquire(ctx); err != nil {
		return nil, err
	}
	defer lookups.Release()
	return h.links.PortfolioLink(ctx, rt.portfolioID, rt.id)
}

// unavailableErrors are the errors that get a response 503, and whether they are logged.
var unavailableErrors = []struct {
	err    error
	logged bool
}{{admission.ErrBusy, false}, {db.ErrUnavailable, true}, {context.DeadlineExceeded, true}, {context.Canceled, true}}

// failure responds to a request that failed with err: 429, 503 or 500.
func (h *Handler) failure(ctx context.Context, err error, buffer []byte) response {
	if limited, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return throttled(buffer, limited.RetryAfter)
	}
	for _, known := range unavailableErrors {
		if errors.Is(err, known.err) {
			if known.logged {
				telemetry.LogFailure(ctx, h.options.Log, err)
			}
			return unavailable(buffer, time.Second)
		}
	}
	telemetry.LogFailure(ctx, h.options.Log, err)
	return pageResponse(buffer, http.StatusInternalServerError)
}
