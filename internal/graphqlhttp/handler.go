// Package graphqlhttp implements GraphQL over HTTP: it reads requests, admits
// them step by step, and writes responses. It knows no resolver.
package graphqlhttp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"slices"
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

// Handler serves GraphQL over HTTP.
type Handler struct {
	Execute      func(context.Context, *graphql.OperationContext) *graphql.Response
	Documents    *document.Cache
	Auth         *auth.Authenticator
	Admission    *admission.Admission
	Cache        *responsecache.Cache
	Topics       *livequery.Topics
	Authorize    func(context.Context, *ast.FieldDefinition) error // may the viewer select the field?
	PresentError graphql.ErrorPresenterFunc

	MediaURL      storage.MediaURL
	MaxUpload     int64         // bytes of a file; 0 to accept none
	MaxValues     int           // in the variables and extensions of a request
	MaxResponse   int           // bytes
	Timeout       time.Duration // of a request, without reading its body
	UploadTimeout time.Duration // of a request with files, without reading them
	StallTimeout  time.Duration // for a client to send or read the next 64 KiB, or to read an event
	InitTimeout   time.Duration // for a client to send connection_init
	KeepAlive     time.Duration // between pings
	Log           *slog.Logger
	Watch         telemetry.Watch // of operations over WebSocket

	Allow func(ctx context.Context, authorization string) bool // whether a client may send another operation; nil to allow all
}

var (
	errBusy        = apierror.New(apierror.Unavailable, "The server is busy. Try again later.")
	errRateLimited = apierror.New(apierror.RateLimited, "Too many requests. Try again later.")
)

// ServeHTTP executes queries sent by GET, queries and mutations sent by POST,
// subscriptions of clients that accept text/event-stream, and all operations over
// WebSocket. A request has no slot while it is received or its response is sent, so
// slow clients keep nobody waiting.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Vary"] = append(header["Vary"], "Accept, Authorization")
	header["Cache-Control"] = noStore // unless the response says otherwise
	if isWebSocket(r) {
		h.serveWebSocket(w, r)
		return
	}
	if text := h.serveJSON(w, r); text != "" {
		h.serveEvents(w, r, text)
	}
}

// serveJSON responds to a request, unless it returns what the client subscribes to.
func (h *Handler) serveJSON(w http.ResponseWriter, r *http.Request) (subscription string) {
	can := negotiate(r.Header.Values("Accept"))
	if can.json == "" && (!can.events || h.isUpload(r)) {
		errNotJSON.response().write(w, r, jsonType)
		return ""
	}
	response := h.respond(w, r, can)
	if response.subscription != "" {
		return response.subscription
	}
	defer response.release()
	response.stallTimeout = h.StallTimeout
	if can.json == "" && response.status == 0 {
		h.writeRefusal(w, r, response.errors)
		return ""
	}
	response.write(w, r, cmp.Or(can.json, jsonType))
	return ""
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
	response{status: status, errors: gqlerror.List{err}, retryAfter: retryAfter}.write(w, r, mediaType)
}

// respond authenticates the client, reads the body and serves the request.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, can accepted) response {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		return methodNotAllowed("Send GET or POST.", "GET, HEAD, POST").response()
	}
	limit := h.bodyLimit(r)
	if r.ContentLength > limit {
		return tooLarge("The body", limit).response()
	}
	start := time.Now()
	from, err := h.logIn(r)
	if err != nil {
		return h.unauthenticated(r.Context(), err)
	}
	timeout := h.Timeout - time.Since(start)
	if h.isUpload(r) {
		if _, err := from.confirm(r.Context()); err != nil {
			return h.unauthenticated(r.Context(), err)
		}
		return h.respondToUpload(from, w, r, timeout)
	}
	var received *body
	if r.Method == http.MethodPost {
		var refused *requestError
		if received, refused = h.readJSON(w, r, limit); refused != nil {
			return h.refuse(r.Context(), from, refused)
		}
	}
	return h.serve(r, from, received, can, timeout)
}

// serve responds from the cache, or else acquires a slot and executes the operation.
func (h *Handler) serve(r *http.Request, from client, received *body, can accepted, timeout time.Duration) response {
	start := time.Now()
	var found *responsecache.Response
	var reading *responsecache.Reading
	if can.json != "" { // otherwise a query is refused, whatever the cache has
		found, reading = h.find(r, from, received)
	}
	if found != nil {
		switch changed, err := from.confirm(r.Context()); {
		case err != nil:
			received.release()
			return h.unauthenticated(r.Context(), err)
		case !changed:
			received.release()
			return h.fromCache(r, found)
		}
	}
	defer reading.End()
	ctx, cancel := context.WithTimeout(r.Context(), timeout-time.Since(start))
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Move(ctx, h.Admission.Lookups); err != nil {
		received.release()
		return h.unavailable(ctx, err)
	}
	request, refused := h.decode(r, received)
	if refused != nil {
		return h.refuse(ctx, from, refused)
	}
	request.can = can
	return h.runConfirmed(ctx, from, r.Method, request, &slot, reading)
}

// runConfirmed is run, once more if the viewer turns out to be another one meanwhile.
func (h *Handler) runConfirmed(ctx context.Context, from client, method string, request *request, slot *admission.Slot, reading *responsecache.Reading) response {
	made := h.run(reading.Record(from.context(ctx)), from, method, request, slot, reading)
	changed, err := from.confirm(ctx)
	if !changed {
		return made
	}
	made.release()
	if err != nil {
		return h.unauthenticated(ctx, err)
	}
	if err := slot.Move(ctx, h.Admission.Lookups); err != nil {
		return h.unavailable(ctx, err)
	}
	return h.run(from.context(ctx), from, method, request, slot, nil)
}

// refuse responds to a request that is not well-formed, if its token is valid.
func (h *Handler) refuse(ctx context.Context, from client, refused *requestError) response {
	if _, err := from.confirm(ctx); err != nil {
		return h.unauthenticated(ctx, err)
	}
	return refused.response()
}

// run executes the operation that a request names, in a slot of its kind. Only a query is
// executed for a viewer who is not confirmed. The response to a subscription says only
// what it subscribes to.
func (h *Handler) run(ctx context.Context, from client, method string, request *request, slot *admission.Slot, reading *responsecache.Reading) response {
	found, refused := h.resolve(ctx, request)
	if refused != nil {
		return *refused
	}
	operation, refused := h.prepare(ctx, found, request, method)
	if refused != nil {
		return *refused
	}
	if operation.Operation.Operation != ast.Query {
		reading.Refuse()
		changed, err := from.confirmNow(ctx)
		switch {
		case err != nil:
			return h.unauthenticated(ctx, err)
		case changed:
			ctx = from.context(ctx)
		}
	}
	if operation.Operation.Operation == ast.Subscription {
		request.OperationName, request.Variables = operation.Operation.Name, operation.Variables
		return response{subscription: string(request.encode(found))}
	}
	made := h.runPrepared(ctx, operation, slot)
	made.store(ctx, operation, reading)
	return made
}

// runPrepared executes a prepared operation.
func (h *Handler) runPrepared(ctx context.Context, operation *operation, slot *admission.Slot) response {
	if operation.cost.Heavy() {
		if err := slot.Move(ctx, h.Admission.Heavy); err != nil {
			return h.unavailable(ctx, err)
		}
	}
	// After its transaction has committed a mutation must not wait for a slot.
	keepSlot := operation.cost.Heavy() || operation.Operation.Operation == ast.Mutation
	return h.execute(ctx, operation, slot, keepSlot)
}

func methodNotAllowed(message, allow string) *requestError {
	err := newRequestError(http.StatusMethodNotAllowed, message)
	err.allow = allow
	return err
}

// decode reads the request from the body, or else from the query string.
func (h *Handler) decode(r *http.Request, received *body) (*request, *requestError) {
	if received == nil {
		return h.fromQuery(r.URL.RawQuery)
	}
	defer received.release()
	return h.fromJSON(received.content)
}

func isAnonymous(r *http.Request) bool { return r.Header.Get("Authorization") == "" }

// bodyLimit returns the maximum size of the body in bytes.
func (h *Handler) bodyLimit(r *http.Request) int64 {
	switch {
	case isAnonymous(r):
		return maxAnonymousBody
	case h.isUpload(r):
		return maxBody + maxMap + maxUploads*h.MaxUpload + (maxUploads+2)*maxPartOverhead
	}
	return maxBody
}

func (h *Handler) isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && h.MaxUpload > 0 && isMultipart(r)
}

// readJSON reads the body of a POST request.
func (h *Handler) readJSON(w http.ResponseWriter, r *http.Request, limit int64) (*body, *requestError) {
	if err := checkContentType(r.Header); err != nil {
		return nil, err
	}
	budget := h.Admission.Bodies
	if isAnonymous(r) {
		budget = h.Admission.AnonymousBodies
	}
	return readBody(http.MaxBytesReader(w, r.Body, limit), "The body", limit, budget)
}

// operation holds a prepared operation and how to execute it.
type operation struct {
	*graphql.OperationContext
	cost         document.Cost
	cacheControl string // of its result
}

// resolve returns the document of a request, or an error response if it does not
// contain the named operation.
func (h *Handler) resolve(ctx context.Context, request *request) (*document.Document, *response) {
	found, errs := h.Documents.Resolve(document.Request{Text: request.Query, ID: request.documentID, Hash: request.hash}, !auth.IsAnonymous(ctx))
	if errs != nil {
		return nil, &response{errors: errs}
	}
	if found.Operations.ForName(request.OperationName) == nil {
		return nil, &response{errors: gqlerror.List{noOperation(found)}}
	}
	return found, nil
}

// noOperation returns the error of a request that does not say which operation to execute.
// It has the locations of the operations.
func noOperation(found *document.Document) *gqlerror.Error {
	err := apierror.BadInput("Unknown operation name, or operationName is required because the document has several operations.")
	for _, operation := range found.Operations[:min(len(found.Operations), maxLocations)] {
		err.Locations = append(err.Locations, gqlerror.Location{Line: operation.Position.Line, Column: operation.Position.Column})
	}
	return err
}

const maxLocations = 10 // of an error

// prepare coerces the variables of an operation and checks its cost.
func (h *Handler) prepare(ctx context.Context, found *document.Document, request *request, method string) (*operation, *response) {
	named := found.Operations.ForName(request.OperationName)
	record := telemetry.RequestFrom(ctx)
	record.Type, record.Operation = string(named.Operation), named.Name
	variables, errs := h.Documents.CoerceVariables(named, request.Variables)
	if errs != nil {
		return nil, &response{errors: errs}
	}
	if refused := request.refuse(named, method); refused != nil {
		r := refused.response()
		return nil, &r
	}
	cost, err := h.Documents.Cost(named, variables)
	record.Cost = cost.Fields
	if err != nil {
		return nil, &response{errors: gqlerror.List{err}}
	}
	cacheControl := ""
	switch {
	case method == http.MethodPost:
	case h.Documents.IsPublic(found):
		cacheControl = "public, no-cache"
	default:
		cacheControl = "private, no-cache"
	}
	prepared := &graphql.OperationContext{Doc: found.QueryDocument, Operation: named, Variables: variables}
	return &operation{prepared, cost, cacheControl}, nil
}

// execute runs an operation. It keeps the slot, or moves to a heavy one when the
// response grows large.
func (h *Handler) execute(ctx context.Context, operation *operation, slot *admission.Slot, keepSlot bool) response {
	if err := ctx.Err(); err != nil {
		return h.unavailable(ctx, err)
	}
	meter := h.Admission.NewMeter(int64(h.MaxResponse), slot, keepSlot)
	traced, end := telemetry.StartOperation(ctx)
	result := h.Execute(admission.WithMeter(traced, meter), operation.OperationContext)
	end(len(result.Errors) > 0)
	if err := meter.Err(); err != nil {
		meter.Release()
		return h.incomplete(ctx, operation, err)
	}
	meter.ReleaseRows()
	data := []byte(result.Data)
	if data == nil && operation.Operation.Operation != ast.Subscription {
		data = []byte("null")
	}
	r := response{errors: result.Errors, data: data, meter: meter}
	if hasEffect(operation, result.Errors) {
		r.status = http.StatusOK // a client must not try again
	}
	if operation.cacheControl != "" && len(result.Errors) == 0 {
		hash := sha256.Sum256(data)
		r.cacheControl, r.etag = operation.cacheControl, `W/"`+hex.EncodeToString(hash[:16])+`"`
	}
	return r
}

// hasEffect reports whether an operation may have changed something although it was
// unavailable: a field of a mutation succeeded, or only what it selects is missing.
func hasEffect(operation *operation, errs gqlerror.List) bool {
	if operation.Operation.Operation != ast.Mutation || !slices.ContainsFunc(errs, isUnavailable) {
		return false
	}
	refused := map[ast.PathElement]bool{} // an input may have several errors
	for _, err := range errs {
		if len(err.Path) == 1 && apierror.IsRefusal(err) {
			refused[err.Path[0]] = true
		}
	}
	return len(refused) < len(graphql.CollectFields(operation.OperationContext, operation.Operation.SelectionSet, []string{"Mutation"}))
}

// incomplete returns the response to an operation whose result could not be
// built.
func (h *Handler) incomplete(ctx context.Context, operation *operation, err error) response {
	executed := ""
	if operation.Operation.Operation == ast.Mutation {
		executed = "The mutation was executed, but its response is not available. "
	}
	switch {
	case errors.Is(err, admission.ErrTooLarge):
		return response{errors: gqlerror.List{apierror.BadInput("%sThe response would have more than %d bytes. Ask for smaller pages or fewer fields.", executed, h.MaxResponse)}}
	case executed != "" && errors.Is(err, admission.ErrBusy): // a client must not try again
		return response{status: http.StatusOK, errors: gqlerror.List{apierror.New(apierror.Internal, executed+"The server is busy.")}}
	}
	return h.unavailable(ctx, err)
}

// unavailable returns the response to a request that ran out of time or was
// refused a slot.
func (h *Handler) unavailable(ctx context.Context, err error) response {
	return errorResponse(http.StatusServiceUnavailable, h.PresentError(ctx, err))
}

// logIn returns the sender of a request.
func (h *Handler) logIn(r *http.Request) (client, error) {
	from := client{baseURL: h.MediaURL.For(r.Context(), r.Host)}
	if isAnonymous(r) {
		return from, nil
	}
	key, err := parseAuthorization(r.Header.Get("Authorization"))
	if err != nil {
		return from, err
	}
	if from.login, err = h.Auth.LogIn(r.Context(), key); err == nil {
		telemetry.RequestFrom(r.Context()).UserID = from.login.Viewer.ID
	}
	return from, err
}

// parseAuthorization returns the key of a token.
func parseAuthorization(header string) (key string, err error) {
	scheme, key, err := auth.ParseHeader(header)
	if err != nil || scheme != "token" && scheme != "bearer" {
		return "", auth.ErrInvalidToken
	}
	return key, nil
}

// unauthenticated returns the response to a token that is invalid or could not
// be looked up.
func (h *Handler) unauthenticated(ctx context.Context, err error) response {
	if limited, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return response{status: http.StatusTooManyRequests, errors: gqlerror.List{errRateLimited}, retryAfter: limited.RetryAfter}
	}
	presented := h.PresentError(ctx, err)
	status := http.StatusInternalServerError
	switch {
	case apierror.Is(presented, apierror.Unauthenticated):
		status = http.StatusUnauthorized
	case apierror.Is(presented, apierror.Unavailable):
		status = http.StatusServiceUnavailable
	}
	return errorResponse(status, presented)
}
