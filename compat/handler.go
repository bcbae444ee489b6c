// Package compat answers GET /api/portfolios/:portfolio_id/links/:id as the
// Django REST framework application did that it replaces, to the byte. Each
// rule of the old system is here and nowhere else.
package compat

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
)

// Links is the resolver of GraphQL's portfolioLink, which answers nil where
// there is no such link.
type Links interface {
	PortfolioLink(ctx context.Context, portfolioID *int64, id int64) (*db.PortfolioLink, error)
}

// Handler answers the endpoint, and the old system's page for every other
// path.
type Handler struct {
	links  Links
	tokens *auth.Tokens
	Options
}

// Options are what an operator decides.
type Options struct {
	MediaURL  string // base address of files; empty: the host of the request
	Admission *admission.Admission
	Timeout   time.Duration // of a request
	Log       *slog.Logger
}

// New answers from links.
func New(links Links, tokens *auth.Tokens, options Options) *Handler {
	return &Handler{links, tokens, options}
}

// The bodies that do not depend on the request.
const (
	missingBody       = `{"detail":"No PortfolioLink matches the given query."}`
	unknownFormatBody = `{"detail":"Not found."}`
	notAcceptableBody = `{"detail":"Could not satisfy the request Accept header."}`
	forbiddenBody     = `{"detail":"You do not have permission to perform this action."}`
	unavailableBody   = `{"detail":"Service temporarily unavailable, try again later."}`
	optionsBody       = `{"name":"Retrieve Portfolio Link","description":"Retrieves detailed information about a specific portfolio link by its unique ID.","renders":["application/json"],"parses":["application/json"]}`
)

// answer is a response before it is written.
type answer struct {
	status     int
	body       []byte
	page       bool          // HTML of the web framework, where no route matched
	retryAfter time.Duration // for statuses 429 and 503
}

// ServeHTTP runs the checks in the old framework's order.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	reply := h.answer(r, (*buffer)[:0])
	write(w, r, reply)
	if cap(reply.body) <= maxPooled {
		*buffer = reply.body
	}
}

const maxPooled = 64 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

func (h *Handler) answer(r *http.Request, buffer []byte) answer {
	path, query := splitTarget(r.RequestURI)
	host, ok := requestHost(r)
	if !ok {
		return pageAnswer(http.StatusBadRequest, buffer)
	}
	route, ok := parseRoute(path)
	if !ok {
		return pageAnswer(http.StatusNotFound, buffer)
	}
	if strings.Count(query, "&") >= maxQueryFields {
		return pageAnswer(http.StatusBadRequest, buffer)
	}
	if format := lastQueryValue(query, "format"); format != "" && format != "json" {
		return answer{http.StatusNotFound, append(buffer, unknownFormatBody...), false, 0}
	}
	accept := headerValue(r, "Accept", "*/*")
	if len(accept) > maxAccept {
		return pageAnswer(http.StatusBadRequest, buffer)
	}
	mediaType, ok := acceptedType(accept)
	if !ok {
		return answer{http.StatusNotAcceptable, append(buffer, notAcceptableBody...), false, 0}
	}
	reply := h.permitted(r, route, host, buffer)
	if width := indentOf(mediaType); width > 0 && !reply.page {
		reply.body = indent(reply.body, width)
	}
	return reply
}

// permitted goes on once the request is known to be for the endpoint and to
// accept JSON.
func (h *Handler) permitted(r *http.Request, route route, host string, buffer []byte) answer {
	begun := time.Now()
	key, detail := tokenKey(headerValue(r, "Authorization", ""))
	if detail != "" {
		return answer{http.StatusUnauthorized, appendDetail(buffer, detail), false, 0}
	}
	viewer, err := h.tokens.Viewer(r.Context(), key)
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		return answer{http.StatusUnauthorized, appendDetail(buffer, "Invalid token."), false, 0}
	case errors.Is(err, auth.ErrInactiveUser):
		return answer{http.StatusUnauthorized, appendDetail(buffer, "User inactive or deleted."), false, 0}
	case err != nil:
		return h.failed(r, err, buffer)
	case !viewer.Allowed(auth.PermissionPortfolioLink):
		return answer{http.StatusForbidden, append(buffer, forbiddenBody...), false, 0}
	}
	switch method := strings.ToUpper(r.Method); method {
	case http.MethodGet, http.MethodHead:
		ctx, cancel := context.WithTimeout(auth.WithViewer(r.Context(), viewer), h.Timeout-time.Since(begun))
		defer cancel()
		return h.link(ctx, r, route, host, buffer)
	case http.MethodOptions:
		return answer{http.StatusOK, append(buffer, optionsBody...), false, 0}
	default:
		return answer{http.StatusMethodNotAllowed, appendDetail(buffer, `Method "`+method+`" not allowed.`), false, 0}
	}
}

func (h *Handler) link(ctx context.Context, r *http.Request, route route, host string, buffer []byte) answer {
	if route.beyond {
		return answer{http.StatusNotFound, append(buffer, missingBody...), false, 0}
	}
	link, err := h.find(ctx, route)
	switch {
	case err != nil:
		return h.failed(r, err, buffer)
	case link == nil:
		return answer{http.StatusNotFound, append(buffer, missingBody...), false, 0}
	}
	base := h.MediaURL
	if base == "" {
		base = "http://" + host + "/media/"
	}
	return answer{http.StatusOK, appendLink(buffer, link, fileAddresses{base, route.path}), false, 0}
}

// find looks the link up in a slot.
func (h *Handler) find(ctx context.Context, route route) (*db.PortfolioLink, error) {
	if err := h.Admission.Lookups.Acquire(ctx); err != nil {
		return nil, err
	}
	defer h.Admission.Lookups.Release()
	return h.links.PortfolioLink(ctx, route.portfolioID, route.id)
}

func (h *Handler) failed(r *http.Request, err error, buffer []byte) answer {
	if limited, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return throttled(limited.RetryAfter, buffer)
	}
	busy := errors.Is(err, admission.ErrBusy)
	if r.Context().Err() == nil && !busy {
		h.Log.ErrorContext(r.Context(), "request failed", "error", err)
	}
	if busy || errors.Is(err, db.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return unavailable(time.Second, buffer)
	}
	return pageAnswer(http.StatusInternalServerError, buffer)
}

// Refuse answers a request that is turned away before its checks, as the old
// framework's throttles did: 429 or 503.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration) {
	if status == http.StatusTooManyRequests {
		write(w, r, throttled(retryAfter, nil))
		return
	}
	write(w, r, unavailable(retryAfter, nil))
}

func throttled(retryAfter time.Duration, buffer []byte) answer {
	unit, wait := " seconds.", admission.RetryAfter(retryAfter)
	if wait == "1" {
		unit = " second."
	}
	return answer{http.StatusTooManyRequests, appendDetail(buffer, "Request was throttled. Expected available in "+wait+unit), false, retryAfter}
}

func unavailable(retryAfter time.Duration, buffer []byte) answer {
	return answer{http.StatusServiceUnavailable, append(buffer, unavailableBody...), false, retryAfter}
}

func pageAnswer(status int, buffer []byte) answer {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	buffer = append(buffer, "<!doctype html>\n<html lang=\"en\"><title>"...)
	buffer = append(append(append(buffer, title...), "</title><h1>"...), title...)
	return answer{status, append(buffer, "</h1></html>\n"...), true, 0}
}

func appendDetail(buffer []byte, detail string) []byte {
	return append(appendString(append(buffer, `{"detail":`...), detail), '}')
}

func write(w http.ResponseWriter, r *http.Request, reply answer) {
	header := w.Header()
	if reply.page {
		header["Content-Type"] = pageType
	} else {
		header["Content-Type"] = jsonType
		header["Allow"] = allow
	}
	if reply.status == http.StatusUnauthorized {
		header["Www-Authenticate"] = authenticate
	}
	if reply.retryAfter > 0 {
		header.Set("Retry-After", admission.RetryAfter(reply.retryAfter))
	}
	header["X-Frame-Options"] = frameOptions
	header["X-Content-Type-Options"] = contentTypeOptions
	header["Referrer-Policy"] = referrerPolicy
	header["Content-Length"] = []string{strconv.Itoa(len(reply.body))}
	w.WriteHeader(reply.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(reply.body)
	}
}

// Header values are shared by all answers: nobody writes to them.
var (
	pageType           = []string{"text/html; charset=utf-8"}
	jsonType           = []string{"application/json"}
	allow              = []string{"GET, HEAD, OPTIONS"}
	authenticate       = []string{"Token"}
	frameOptions       = []string{"DENY"}
	contentTypeOptions = []string{"nosniff"}
	referrerPolicy     = []string{"same-origin"}
)

// headerValue is a header as WSGI has it: repeated ones joined by commas.
func headerValue(r *http.Request, name, missing string) string {
	switch values := r.Header[name]; len(values) {
	case 0:
		return missing
	case 1:
		return values[0]
	default:
		return strings.Join(values, ",")
	}
}
