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

	"portfolio/auth"
	"portfolio/db"
)

// Links is the resolver of GraphQL's portfolioLink, which answers nil where
// there is no such link.
type Links interface {
	PortfolioLink(ctx context.Context, portfolioID *int64, id int64) (*db.PortfolioLink, error)
}

// Handler answers the endpoint, and the old system's page for every other
// path.
type Handler struct {
	links    Links
	tokens   *auth.Tokens
	mediaURL string
	log      *slog.Logger
}

// New answers from links. Files have addresses under mediaURL, or under the
// host of the request where it is empty.
func New(links Links, tokens *auth.Tokens, mediaURL string, log *slog.Logger) *Handler {
	return &Handler{links: links, tokens: tokens, mediaURL: mediaURL, log: log}
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
	status int
	body   []byte
	page   bool // HTML of the web framework, where no route matched
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
		return answer{http.StatusNotFound, append(buffer, unknownFormatBody...), false}
	}
	mediaType, ok := acceptedType(headerValue(r, "Accept", "*/*"))
	if !ok {
		return answer{http.StatusNotAcceptable, append(buffer, notAcceptableBody...), false}
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
	key, detail := tokenKey(headerValue(r, "Authorization", ""))
	if detail != "" {
		return answer{http.StatusUnauthorized, appendDetail(buffer, detail), false}
	}
	viewer, err := h.tokens.Viewer(r.Context(), key)
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		return answer{http.StatusUnauthorized, appendDetail(buffer, "Invalid token."), false}
	case errors.Is(err, auth.ErrInactiveUser):
		return answer{http.StatusUnauthorized, appendDetail(buffer, "User inactive or deleted."), false}
	case err != nil:
		return h.failed(r, err, buffer)
	case !viewer.Allowed(auth.PermissionPortfolioLink):
		return answer{http.StatusForbidden, append(buffer, forbiddenBody...), false}
	}
	switch method := strings.ToUpper(r.Method); method {
	case http.MethodGet, http.MethodHead:
		return h.link(auth.WithViewer(r.Context(), viewer), r, route, host, buffer)
	case http.MethodOptions:
		return answer{http.StatusOK, append(buffer, optionsBody...), false}
	default:
		return answer{http.StatusMethodNotAllowed, appendDetail(buffer, `Method "`+method+`" not allowed.`), false}
	}
}

func (h *Handler) link(ctx context.Context, r *http.Request, route route, host string, buffer []byte) answer {
	if route.beyond {
		return answer{http.StatusNotFound, append(buffer, missingBody...), false}
	}
	link, err := h.links.PortfolioLink(ctx, route.portfolioID, route.id)
	switch {
	case err != nil:
		return h.failed(r, err, buffer)
	case link == nil:
		return answer{http.StatusNotFound, append(buffer, missingBody...), false}
	}
	base := h.mediaURL
	if base == "" {
		base = "http://" + host + "/media/"
	}
	return answer{http.StatusOK, appendLink(buffer, link, fileAddresses{base, route.path}), false}
}

func (h *Handler) failed(r *http.Request, err error, buffer []byte) answer {
	if r.Context().Err() == nil {
		h.log.ErrorContext(r.Context(), "request failed", "error", err)
	}
	if errors.Is(err, db.ErrUnavailable) {
		return answer{http.StatusServiceUnavailable, append(buffer, unavailableBody...), false}
	}
	return pageAnswer(http.StatusInternalServerError, buffer)
}

// Refuse answers a request that is turned away before its checks, as the old
// framework's throttles did: 429 or 503.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, status int) {
	if status == http.StatusTooManyRequests {
		unit, wait := " seconds.", w.Header().Get("Retry-After")
		if wait == "1" {
			unit = " second."
		}
		write(w, r, answer{status, appendDetail(nil, "Request was throttled. Expected available in "+wait+unit), false})
		return
	}
	write(w, r, answer{status, []byte(unavailableBody), false})
}

func pageAnswer(status int, buffer []byte) answer {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	buffer = append(buffer, "<!doctype html>\n<html lang=\"en\"><title>"...)
	buffer = append(append(append(buffer, title...), "</title><h1>"...), title...)
	return answer{status, append(buffer, "</h1></html>\n"...), true}
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
