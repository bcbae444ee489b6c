// Package graphqlhttp implements GraphQL over HTTP: it reads requests, admits
// them step by step, and writes responses. It does not depend on the resolvers.
//
// Each transport has a file: http.go, upload.go, sse.go and websocket.go. All transports
// share an executor, which does not depend on them.
package graphqlhttp

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/document"
	"portfolio/internal/livequery"
	"portfolio/internal/responsecache"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// Options configure a Handler.
type Options struct {
	Execute      func(context.Context, *graphql.OperationContext) *graphql.Response
	Documents    *document.Cache
	Auth         *auth.Authenticator
	Admission    *admission.Admission
	Cache        *responsecache.Cache
	Hub          *livequery.Hub
	Authorize    func(context.Context, *ast.FieldDefinition) error // returns an error unless the viewer may select the field
	PresentError graphql.ErrorPresenterFunc

	MediaURL      storage.MediaURL
	MaxUpload     int64         // bytes of a file; 0 to accept no files
	MaxValues     int           // in the variables and extensions of a request
	MaxResponse   int           // bytes
	Timeout       time.Duration // of a request, without the time to read its body
	UploadTimeout time.Duration // of a request with files, without the time to read them
	StallTimeout  time.Duration // for a client to send or read the next 64 KiB, or to read an event
	InitTimeout   time.Duration // for a client to send connection_init
	KeepAlive     time.Duration // between pings
	Log           *slog.Logger
	Instruments   telemetry.Instruments // of operations over WebSocket

	Allow func(ctx context.Context, authorization string) bool // reports whether a client may send one more operation; nil to allow all
}

// Handler serves GraphQL over HTTP. Its options must not be modified.
type Handler struct {
	Options
	executor *executor
}

// New returns a Handler with the options o.
func New(o Options) *Handler {
	h := &Handler{Options: o}
	h.executor = &executor{&h.Options}
	return h
}

var (
	errBusy        = apierror.New(apierror.Unavailable, "The server is busy. Try again later.")
	errRateLimited = apierror.New(apierror.RateLimited, "Too many requests. Try again later.")
)

// ServeHTTP executes queries sent by GET, queries and mutations sent by POST, subscriptions
// of clients that accept text/event-stream, and all operations over WebSocket. Slots are not
// held while a request is read or a response is written, so slow clients block nobody.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Vary"] = append(header["Vary"], "Accept, Authorization")
	header["Cache-Control"] = noStore // unless the response says otherwise
	if isWebSocket(r) {
		h.serveWebSocket(w, r)
		return
	}
	accept := negotiate(r.Header.Values("Accept"))
	resp := h.respond(w, r, accept)
	if resp.subscription != "" {
		h.serveEvents(w, r, resp.subscription)
		return
	}
	defer resp.release()
	if accept.json == "" && resp.status == 0 {
		h.writeRejection(w, r, resp.errors)
		return
	}
	resp.stallTimeout = h.StallTimeout
	resp.write(w, r, cmp.Or(accept.json, jsonType))
}

// Header values that all responses share. They must not be modified.
var noStore = []string{"no-store"}

// Reject writes the response to a request that is rejected before it is read,
// with status 429 or 503.
func (h *Handler) Reject(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration) {
	mediaType := cmp.Or(negotiate(r.Header.Values("Accept")).json, jsonType)
	err := errBusy
	if status == http.StatusTooManyRequests {
		err = errRateLimited
	}
	response{result: result{errors: gqlerror.List{err}}, status: status, retryAfter: retryAfter}.write(w, r, mediaType)
}
