// Package compat implements GET /api/portfolios/{portfolio_id}/links/{id} with responses
// identical, byte for byte, to the responses of a Django REST framework application. Requests
// that are not well-formed HTTP never reach it: net/http responds to them with 400.
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
	"portfolio/internal/changefeed"
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

// Authenticator starts sessions, as auth.Authenticator does.
type Authenticator interface {
	Authenticate(ctx context.Context, key string) (*auth.Session, error)
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

// New returns a Handler that resolves portfolioLink with links.
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

// Reject responds with 429 or 503 to a request before any other check, as the throttles of the
// legacy framework did.
func (h *Handler) Reject(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration) {
	path, _ := splitTarget(r.RequestURI)
	if _, ok := parseRoute(path); ok {
		telemetry.RequestFrom(r.Context()).API = telemetry.REST
	}
	resp := unavailable(nil, retryAfter)
	if status == http.StatusTooManyRequests {
		resp = tooManyRequests(nil, retryAfter)
	}
	resp.write(w, r)
}

// respond runs the checks in the legacy framework's order. It appends the body of the
// response to buffer.
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
	t := target{rt, h.options.MediaURL.For(r.Context(), host), accept, indentWidth(accepted)}
	resp := h.authorize(r, t, buffer)
	if !resp.page && resp.cached == nil {
		resp.body = indent(resp.body, t.indent)
	}
	return resp
}

// target is the requested link, and the parameters of the response.
type target struct {
	route
	baseURL string // of files
	accept  string
	indent  int // of the body, 0 if it is compact
}

// lookUp responds to GET and HEAD from the cache, or else from the database.
func (h *Handler) lookUp(r *http.Request, t target, viewer *db.User, barrier changefeed.Barrier, start time.Time, buffer []byte) (resp response) {
	key := responsecache.KeyOf(nil, "rest", r.Method, r.RequestURI, t.baseURL, t.accept, auth.Rights(viewer))
	cached := h.options.Cache.Do(r.Context(), key, barrier, func(ctx context.Context, fill *responsecache.Fill) {
		ctx, cancel := context.WithTimeout(auth.WithViewer(ctx, viewer), h.options.Timeout-time.Since(start))
		defer cancel()
		resp = h.serveLink(ctx, t, buffer)
		switch {
		case auth.IsPrivate(ctx):
			fill.Forbid()
		case resp.status == http.StatusOK:
			fill.Share(func() *responsecache.Response {
				return &responsecache.Response{Body: slices.Clone(indent(resp.body, t.indent))}
			})
		}
	})
	if cached != nil {
		return response{status: http.StatusOK, body: buffer, cached: cached}
	}
	return resp
}

// serveLink serves a link from the database.
func (h *Handler) serveLink(ctx context.Context, t target, buffer []byte) response {
	var link *db.PortfolioLink
	if !t.overflow {
		var err error
		if link, err = h.lookUpLink(ctx, t.route); err != nil {
			return h.failure(ctx, err, buffer)
		}
	}
	if link == nil {
		return detailResponse(buffer, http.StatusNotFound, "No PortfolioLink matches the given query.")
	}
	return response{status: http.StatusOK, body: appendLink(buffer, link, mediaURLs{t.baseURL, t.path})}
}

// lookUpLink looks the link up while it holds a slot.
func (h *Handler) lookUpLink(ctx context.Context, rt route) (*db.PortfolioLink, error) {
	lookups := h.options.Admission.Lookups
	if err := lookups.Acquire(ctx); err != nil {
		return nil, err
	}
	defer lookups.Release()
	return h.links.PortfolioLink(ctx, rt.portfolioID, rt.id)
}

// unavailableErrors are the errors to which the server responds with 503, and whether it logs them.
var unavailableErrors = []struct {
	err    error
	logged bool
}{{admission.ErrBusy, false}, {db.ErrUnavailable, true}, {context.DeadlineExceeded, true}, {context.Canceled, true}}

// failure responds to a request that failed with err: 429, 503 or 500.
func (h *Handler) failure(ctx context.Context, err error, buffer []byte) response {
	if limitErr, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return tooManyRequests(buffer, limitErr.RetryAfter)
	}
	for _, unavailableError := range unavailableErrors {
		if errors.Is(err, unavailableError.err) {
			if unavailableError.logged {
				telemetry.LogFailure(ctx, h.options.Log, err)
			}
			return unavailable(buffer, time.Second)
		}
	}
	telemetry.LogFailure(ctx, h.options.Log, err)
	return pageResponse(buffer, http.StatusInternalServerError)
}
