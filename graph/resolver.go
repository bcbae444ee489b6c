// Package graph implements the GraphQL schema: its resolvers, what they accept
// and which errors they return. It knows nothing of HTTP.
package graph

import (
	"context"
	"errors"
	"log/slog"
	"maps"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db"
	"portfolio/graph/generated"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/images"
)

// Resolver resolves the fields of the schema from the database.
type Resolver struct {
	DB     *db.DB
	Auth   *auth.Authenticator // to invalidate after changes of users and tokens
	Images *images.Service     // nil without a store of files: there are no uploads then
}

// NewSchema returns the executable schema of a resolver. It has no @defer, which
// gqlparser adds to every schema, because responses are sent whole.
func NewSchema(resolver *Resolver) graphql.ExecutableSchema {
	config := generated.Config{Resolvers: resolver}
	schema := *generated.NewExecutableSchema(config).Schema()
	schema.Directives = maps.Clone(schema.Directives)
	delete(schema.Directives, "defer")
	config.Schema = &schema
	return generated.NewExecutableSchema(config)
}

// NewExecutor returns a function that executes an operation: its document must be
// valid, and its variables coerced.
func NewExecutor(schema graphql.ExecutableSchema, log *slog.Logger) func(context.Context, *graphql.OperationContext) *graphql.Response {
	present, onPanic, onMutation := PresentError(log), recoverPanic(log), auditMutation(log)
	return func(ctx context.Context, operation *graphql.OperationContext) *graphql.Response {
		operation.RecoverFunc, operation.ResolverMiddleware, operation.RootResolverMiddleware = onPanic, resolveField, resolveRoot
		if operation.Operation.Operation == ast.Mutation {
			operation.ResolverMiddleware = onMutation
		}
		ctx = db.WithMeter(ctx, admission.MeterFrom(ctx).AddRow)
		ctx = graphql.WithResponseContext(graphql.WithOperationContext(ctx, operation), present, onPanic)
		response := schema.Exec(ctx)(ctx)
		response.Errors = append(response.Errors, graphql.GetErrors(ctx)...)
		return response
	}
}

func resolveRoot(ctx context.Context, next graphql.RootResolver) graphql.Marshaler { return next(ctx) }

// nullIfNotFound maps db.ErrNotFound to a nil result.
func nullIfNotFound[T any](found *T, err error) (*T, error) {
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return found, err
}
