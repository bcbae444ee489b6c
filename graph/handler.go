package graph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/imaging"
)

const (
	maxErrors        = 10
	jsonType         = "application/json"
	responseJSONType = "application/graphql-response+json"
)

// Options are what an operator decides.
type Options struct {
	Limits        Limits
	Introspection Introspection
	Persisted     map[string]string // texts by id
	OnlyPersisted bool
	MediaURL      string // base address of files; empty: the host of the request
	Admission     *admission.Admission
	Timeout       time.Duration // of a request, without the time that its body takes
	UploadTimeout time.Duration // the same of one with files
	StallTimeout  time.Duration // of a client, to send or read the next 64 KiB
	Log           *slog.Logger
}

// Handler serves GraphQL over HTTP.
type Handler struct {
	exec      *executor.Executor
	tokens    *auth.Tokens
	documents *documents
	pictures  *imaging.Pictures
	admission *admission.Admission
	options   Options
	log       *slog.Logger
}

// NewHandler serves the resolver. It fails where a persisted document is not
// valid.
func NewHandler(resolver *Resolver, tokens *auth.Tokens, options Options) (*Handler, error) {
	return newHandler(resolver, tokens, options, nil)
}

// newHandler serves another schema than the embedded one unless it is nil.
func newHandler(resolver *Resolver, tokens *auth.Tokens, options Options, schema *ast.Schema) (*Handler, error) {
	executable := NewExecutableSchema(Config{Schema: schema, Resolvers: resolver})
	documents, err := newDocuments(executable.Schema(), options)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		exec:      executor.New(executable),
		tokens:    tokens,
		documents: documents,
		pictures:  resolver.Pictures,
		admission: options.Admission,
		options:   options,
		log:       options.Log,
	}
	h.exec.SetQueryCache(fromContext{})
	h.exec.SetErrorPresenter(h.present)
	h.exec.SetRecoverFunc(h.recovered)
	h.exec.AroundFields(resolveField)
	return h, nil
}

// ServeHTTP answers queries by GET, and queries and mutations by POST. While a
// request is sent or its response is, it has no slot: slow clients keep nobody
// waiting.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept, Authorization")
	w.Header().Set("Cache-Control", "no-store") // what may be stored says so
	mediaType := negotiate(r.Header.Values("Accept"))
	if mediaType == "" {
		failed(http.StatusNotAcceptable, badRequest("Answers are application/graphql-response+json or application/json.")).send(w, r, jsonType)
		return
	}
	response := h.respond(w, r)
	if response.meter != nil {
		defer response.meter.release()
	}
	response.timeout = h.options.StallTimeout
	response.send(w, r, mediaType)
}

// Refuse answers a request that is turned away before it is read: 429 or 503.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, status int, retryAfter time.Duration) {
	mediaType := negotiate(r.Header.Values("Accept"))
	if mediaType == "" {
		mediaType = jsonType
	}
	refusal := errBusy
	if status == http.StatusTooManyRequests {
		refusal = errRateLimited
	}
	response{status: status, errors: gqlerror.List{refusal}, retryAfter: retryAfter}.send(w, r, mediaType)
}

var (
	errNoOperation = badRequest("The document has no operation of that name, or several: operationName must name one.")
	errBusy        = coded(&gqlerror.Error{}, CodeUnavailable, "The server is busy. Try again later.")
	errTimeout     = coded(&gqlerror.Error{}, CodeUnavailable, "The request took too long. Try again later.")
	errRateLimited = coded(&gqlerror.Error{}, CodeRateLimited, "There are too many requests. Try again later.")
)

// respond admits a request step by step: who sends it, what it says, and only
// with a slot what it means.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request) response {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		return refused(&badParams{http.StatusMethodNotAllowed, "Send GET or POST.", "GET, HEAD, POST", ""})
	}
	limit := h.bodyLimit(r)
	if r.ContentLength > limit {
		return refused(tooLarge("The body", limit))
	}
	begun := time.Now()
	viewer, err := h.viewer(r)
	if err != nil {
		return h.unauthenticated(r, err)
	}
	left := h.options.Timeout - time.Since(begun)
	ctx := auth.WithViewer(r.Context(), viewer)
	ctx = context.WithValue(ctx, mediaBaseKey{}, h.mediaBase(r))
	if h.isUpload(r) {
		return h.respondToUpload(ctx, w, r, left)
	}
	var body *body
	if r.Method == http.MethodPost {
		var failure *badParams
		if body, failure = h.readJSON(w, r, limit); failure != nil {
			return refused(failure)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Move(ctx, h.admission.Lookups); err != nil {
		if body != nil {
			body.release()
		}
		return h.unavailable(ctx, err)
	}
	var (
		params  *params
		failure *badParams
	)
	if body != nil {
		params, failure = h.options.Limits.jsonParams(body.text)
		body.release()
	} else {
		params, failure = h.options.Limits.queryParams(r.URL.RawQuery)
	}
	if failure != nil {
		return refused(failure)
	}
	document, refusal := h.find(ctx, params)
	if refusal != nil {
		return *refusal
	}
	operation, refusal := h.prepare(ctx, document, params, r.Method)
	if refusal != nil {
		return *refusal
	}
	return h.execute(ctx, operation, &slot)
}

// isAnonymous reports whether a request names no viewer.
func isAnonymous(r *http.Request) bool { return r.Header.Get("Authorization") == "" }

// bodyLimit returns how many bytes the body of a request may have.
func (h *Handler) bodyLimit(r *http.Request) int64 {
	switch {
	case isAnonymous(r):
		return maxAnonymousBody
	case h.isUpload(r):
		return maxBody + maxMap + maxUploads*h.pictures.MaxBytes() + (maxUploads+2)*maxPartOverhead
	}
	return maxBody
}

func (h *Handler) isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && h.pictures != nil && isMultipart(r)
}

// readJSON reads the body of a POST.
func (h *Handler) readJSON(w http.ResponseWriter, r *http.Request, limit int64) (*body, *badParams) {
	if failure := checkJSONType(r.Header); failure != nil {
		return nil, failure
	}
	budget := h.admission.Bodies
	if isAnonymous(r) {
		budget = h.admission.AnonymousBodies
	}
	return readBody(http.MaxBytesReader(w, r.Body, limit), "The body", limit, budget)
}

// operation is one that may be executed.
type operation struct {
	*graphql.OperationContext
	document *document
	price    price
	cache    string // Cache-Control of its result
}

// find returns the document of a request, which has the operation that the
// request names.
func (h *Handler) find(ctx context.Context, params *params) (*document, *response) {
	var refusal *gqlerror.Error
	if !h.options.Introspection.allowed(ctx) {
		refusal = h.options.Introspection.refusal()
	}
	document, errs := h.documents.find(params, refusal)
	if errs != nil {
		return nil, &response{errors: errs}
	}
	if document.Operations.ForName(params.OperationName) == nil {
		return nil, &response{errors: gqlerror.List{errNoOperation}}
	}
	return document, nil
}

// prepare reads the variables of an operation, and prices it before any of its
// work is done.
func (h *Handler) prepare(ctx context.Context, document *document, params *params, method string) (*operation, *response) {
	ctx = graphql.StartOperationTrace(context.WithValue(ctx, documentKey{}, document))
	prepared, errs := h.exec.CreateOperationContext(ctx, &params.RawParams)
	if errs != nil {
		failure := h.exec.DispatchError(graphql.WithOperationContext(ctx, prepared), errs)
		return nil, &response{errors: failure.Errors}
	}
	prepared.DisableIntrospection = false // find has decided
	if prepared.Operation.Operation != ast.Query && method != http.MethodPost {
		refusal := refused(&badParams{http.StatusMethodNotAllowed, "Only queries may be sent by GET.", http.MethodPost, ""})
		return nil, &refusal
	}
	price := priceOf(h.documents.schema, prepared.Operation, prepared.Variables)
	if err := h.options.Limits.tooCostly(price); err != nil {
		return nil, &response{errors: gqlerror.List{err}}
	}
	cache := ""
	switch {
	case method == http.MethodPost:
	case document.personal || document.introspects && h.options.Introspection == IntrospectionAuthenticated:
		cache = "private, no-cache"
	default:
		cache = "public, no-cache"
	}
	return &operation{prepared, document, price, cache}, nil
}

// execute runs an operation in a slot of its kind.
func (h *Handler) execute(ctx context.Context, operation *operation, slot *admission.Slot) response {
	if operation.price.heavy() {
		if err := slot.Move(ctx, h.admission.Heavy); err != nil {
			return h.unavailable(ctx, err)
		}
	}
	meter := &meter{limit: int64(h.options.Limits.Response), admission: h.admission, slot: slot, heavy: operation.price.heavy()}
	ctx = context.WithValue(withMeter(ctx, meter), documentKey{}, operation.document)
	next, ctx := h.exec.DispatchOperation(ctx, operation.OperationContext)
	result := next(ctx)
	switch {
	case result == nil:
		meter.release()
		return h.unavailable(ctx, ctx.Err())
	case meter.err != nil:
		meter.release()
		if errors.Is(meter.err, errTooLarge) {
			return response{errors: gqlerror.List{meter.failure()}}
		}
		return h.unavailable(ctx, meter.err)
	}
	data := []byte(result.Data)
	if data == nil {
		data = []byte("null")
	}
	return response{errors: result.Errors, data: data, cache: operation.cache, meter: meter}
}

// unavailable is the response where a request waited in vain.
func (h *Handler) unavailable(ctx context.Context, err error) response {
	if errors.Is(err, admission.ErrBusy) {
		return failed(http.StatusServiceUnavailable, errBusy)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		h.log.ErrorContext(ctx, "request timed out", "error", err)
	}
	return failed(http.StatusServiceUnavailable, errTimeout)
}

// viewer is who sent the request, nil without an Authorization header.
func (h *Handler) viewer(r *http.Request) (*auth.Viewer, error) {
	if isAnonymous(r) {
		return nil, nil
	}
	scheme, key, err := auth.ParseHeader(r.Header.Get("Authorization"))
	if err != nil || scheme != "token" && scheme != "bearer" {
		return nil, auth.ErrInvalidToken
	}
	return h.tokens.Viewer(r.Context(), key)
}

// unauthenticated is the response to a token that is wrong or could not be
// looked up.
func (h *Handler) unauthenticated(r *http.Request, err error) response {
	if limited, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return response{status: http.StatusTooManyRequests, errors: gqlerror.List{errRateLimited}, retryAfter: limited.RetryAfter}
	}
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, auth.ErrInvalidToken), errors.Is(err, auth.ErrInactiveUser):
		status = http.StatusUnauthorized
	case !errors.Is(err, db.ErrUnavailable):
		status = http.StatusInternalServerError
	}
	return failed(status, h.present(r.Context(), err))
}

type mediaBaseKey struct{}

func mediaBase(ctx context.Context) string {
	base, _ := ctx.Value(mediaBaseKey{}).(string)
	return base
}

func (h *Handler) mediaBase(r *http.Request) string {
	if h.options.MediaURL != "" {
		return h.options.MediaURL
	}
	return "http://" + r.Host + imaging.Prefix
}

func badRequest(message string) *gqlerror.Error {
	return coded(&gqlerror.Error{}, CodeBadUserInput, message)
}
