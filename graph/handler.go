package graph

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/auth"
	"portfolio/media"
)

const (
	maxBody          = 1 << 20 // bytes
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
	// Enter waits for its turn to execute an operation, and returns what ends
	// the turn, or false where the server is too busy. It may be nil.
	Enter func(context.Context) (leave func(), ok bool)
	Log   *slog.Logger
}

// Handler serves GraphQL over HTTP.
type Handler struct {
	exec      *executor.Executor
	tokens    *auth.Tokens
	documents *documents
	pictures  *media.Pictures
	options   Options
	log       *slog.Logger
}

// NewHandler serves the resolver. It fails where a persisted document is not
// valid.
func NewHandler(resolver *Resolver, tokens *auth.Tokens, options Options) (*Handler, error) {
	schema := NewExecutableSchema(Config{
		Resolvers:  resolver,
		Directives: DirectiveRoot{Requires: requires},
	})
	documents, err := newDocuments(schema.Schema(), options.Limits, options.Persisted, options.OnlyPersisted)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		exec:      executor.New(schema),
		tokens:    tokens,
		documents: documents,
		pictures:  resolver.Pictures,
		options:   options,
		log:       options.Log,
	}
	h.exec.SetQueryCache(fromContext{})
	h.exec.SetErrorPresenter(h.present)
	h.exec.SetRecoverFunc(h.recovered)
	h.exec.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		resolved, err := next(ctx)
		if err != nil {
			return nil, err
		}
		return encodePlain(ctx, resolved), nil
	})
	return h, nil
}

// ServeHTTP answers queries by GET, and queries and mutations by POST.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept, Authorization")
	w.Header().Set("Cache-Control", "no-store") // what may be stored says so
	reply := reply{w: w, mediaType: negotiate(r.Header.Values("Accept"))}
	if reply.mediaType == "" {
		reply.mediaType = jsonType
		reply.fail(http.StatusNotAcceptable, badRequest("Answers are application/graphql-response+json or application/json."))
		return
	}
	viewer, err := h.viewer(r)
	if err != nil {
		reply.fail(authStatus(err), h.present(r.Context(), err))
		return
	}
	read := readParams
	if r.Method == http.MethodPost && h.pictures != nil && isMultipart(r) {
		if viewer == nil { // a browser sends these to anybody without asking first, but never with a token
			reply.fail(http.StatusUnauthorized, h.present(r.Context(), errUnauthenticated))
			return
		}
		read = h.multipartParams
	}
	params, failure := read(w, r)
	if failure != nil {
		if failure.allow != "" {
			w.Header().Set("Allow", failure.allow)
		}
		reply.fail(failure.status, coded(&gqlerror.Error{}, cmp.Or(failure.code, CodeBadUserInput), failure.message))
		return
	}
	ctx := auth.WithViewer(r.Context(), viewer)
	ctx = context.WithValue(ctx, mediaBaseKey{}, h.mediaBase(r))
	h.execute(ctx, reply, params, r)
}

// Refuse answers a request that is turned away before it is read: 429 or 503.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, status int) {
	reply := reply{w: w, mediaType: cmp.Or(negotiate(r.Header.Values("Accept")), jsonType)}
	refusal := errBusy
	if status == http.StatusTooManyRequests {
		refusal = errRateLimited
	}
	reply.fail(status, refusal)
}

var (
	errNoOperation = badRequest("The document has no operation of that name, or several: operationName must name one.")
	errBusy        = coded(&gqlerror.Error{}, CodeUnavailable, "The server is busy. Try again later.")
	errRateLimited = coded(&gqlerror.Error{}, CodeRateLimited, "There are too many requests. Try again later.")
)

// execute checks the document before it does any of its work.
func (h *Handler) execute(ctx context.Context, reply reply, params *params, r *http.Request) {
	var refusal *gqlerror.Error
	if !h.options.Introspection.allowed(ctx) {
		refusal = h.options.Introspection.refusal()
	}
	document, errs := h.documents.find(params, refusal)
	if errs != nil {
		reply.requestErrors(errs)
		return
	}
	if document.Operations.ForName(params.OperationName) == nil {
		reply.requestErrors(gqlerror.List{errNoOperation})
		return
	}
	ctx = graphql.StartOperationTrace(context.WithValue(ctx, documentKey{}, document))
	operation, errs := h.exec.CreateOperationContext(ctx, &params.RawParams)
	if errs != nil {
		response := h.exec.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
		reply.requestErrors(response.Errors)
		return
	}
	operation.DisableIntrospection = false // find has decided
	byPost := r.Method == http.MethodPost
	if operation.Operation.Operation != ast.Query && !byPost {
		reply.w.Header().Set("Allow", http.MethodPost)
		reply.fail(http.StatusMethodNotAllowed, badRequest("Only queries may be sent by GET."))
		return
	}
	if err := h.options.Limits.tooCostly(operation.Operation, operation.Variables); err != nil {
		reply.requestErrors(gqlerror.List{err})
		return
	}
	response, ok := h.dispatch(ctx, operation)
	switch {
	case !ok:
		reply.fail(http.StatusServiceUnavailable, errBusy)
	case response == nil: // the client has gone
	case byPost:
		reply.result(response)
	default:
		reply.cacheable(response, document.personal || document.introspects && h.options.Introspection == IntrospectionAuthenticated, r)
	}
}

// dispatch takes a turn only for the work: slow clients hold none.
func (h *Handler) dispatch(ctx context.Context, operation *graphql.OperationContext) (*graphql.Response, bool) {
	if h.options.Enter != nil {
		leave, ok := h.options.Enter(ctx)
		if !ok {
			return nil, false
		}
		defer leave()
	}
	next, ctx := h.exec.DispatchOperation(ctx, operation)
	return next(ctx), true
}

// viewer is who sent the request, nil without an Authorization header.
func (h *Handler) viewer(r *http.Request) (*auth.Viewer, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, nil
	}
	scheme, key, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Token") && !strings.EqualFold(scheme, "Bearer") {
		return nil, auth.ErrInvalidToken
	}
	return h.tokens.Viewer(r.Context(), strings.TrimSpace(key))
}

func authStatus(err error) int {
	switch {
	case errors.Is(err, auth.ErrInvalidToken), errors.Is(err, auth.ErrInactiveUser):
		return http.StatusUnauthorized
	}
	return http.StatusServiceUnavailable
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
	return "http://" + r.Host + media.Prefix
}

func badRequest(message string) *gqlerror.Error {
	return coded(&gqlerror.Error{}, CodeBadUserInput, message)
}
