package graph

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/auth"
	"portfolio/media"
)

const (
	maxBody          = 1 << 20 // bytes
	cachedDocuments  = 1000
	maxErrors        = 10
	tokenLimit       = 2000
	jsonType         = "application/json"
	responseJSONType = "application/graphql-response+json"
)

// Handler serves GraphQL over HTTP.
type Handler struct {
	exec     *executor.Executor
	tokens   *auth.Tokens
	mediaURL string
	log      *slog.Logger
}

// NewHandler serves the resolver. Files have addresses under mediaURL, or
// under the host of the request where it is empty.
func NewHandler(resolver *Resolver, tokens *auth.Tokens, mediaURL string, log *slog.Logger) *Handler {
	h := &Handler{
		exec: executor.New(NewExecutableSchema(Config{
			Resolvers:  resolver,
			Directives: DirectiveRoot{Requires: requires},
		})),
		tokens:   tokens,
		mediaURL: mediaURL,
		log:      log,
	}
	h.exec.SetQueryCache(lru.New[*ast.QueryDocument](cachedDocuments))
	h.exec.SetParserTokenLimit(tokenLimit)
	h.exec.SetErrorPresenter(h.present)
	h.exec.SetRecoverFunc(h.recovered)
	h.exec.Use(extension.Introspection{})
	h.exec.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		resolved, err := next(ctx)
		if err != nil {
			return nil, err
		}
		return encodePlain(ctx, resolved), nil
	})
	return h
}

// ServeHTTP answers queries by GET, and queries and mutations by POST.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := reply{w: w, mediaType: negotiate(r.Header.Values("Accept"))}
	w.Header().Set("Vary", "Accept, Authorization")
	viewer, err := h.viewer(r)
	if err != nil {
		reply.fail(authStatus(err), h.present(r.Context(), err))
		return
	}
	params, failure := readParams(w, r)
	if failure != nil {
		if failure.allow != "" {
			w.Header().Set("Allow", failure.allow)
		}
		reply.fail(failure.status, badRequest(failure.message))
		return
	}
	ctx := auth.WithViewer(r.Context(), viewer)
	ctx = context.WithValue(ctx, mediaBaseKey{}, h.mediaBase(r))
	h.execute(ctx, reply, params, r.Method)
}

func (h *Handler) execute(ctx context.Context, reply reply, params *graphql.RawParams, method string) {
	ctx = graphql.StartOperationTrace(ctx)
	operation, failures := h.exec.CreateOperationContext(ctx, params)
	if failures != nil {
		response := h.exec.DispatchError(graphql.WithOperationContext(ctx, operation), failures)
		reply.requestErrors(response.Errors)
		return
	}
	if operation.Operation.Operation != ast.Query && method == http.MethodGet {
		reply.w.Header().Set("Allow", "POST")
		reply.fail(http.StatusMethodNotAllowed, badRequest("Only queries may be sent by GET."))
		return
	}
	next, ctx := h.exec.DispatchOperation(ctx, operation)
	response := next(ctx)
	if response == nil { // the client has gone
		return
	}
	reply.result(response)
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
	if h.mediaURL != "" {
		return h.mediaURL
	}
	return "http://" + r.Host + media.Prefix
}

func badRequest(message string) *gqlerror.Error {
	return coded(&gqlerror.Error{}, CodeBadUserInput, message)
}
