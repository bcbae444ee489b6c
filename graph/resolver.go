// Package graph implements the GraphQL schema: resolvers, the validation of their inputs,
// and their errors. It does not depend on HTTP.
package graph

import (
	"context"
	"errors"
	"log/slog"
	"maps"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/graph/generated"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/document"
	"portfolio/internal/images"
)

// Resolver resolves the fields of the schema from the database.
type Resolver struct {
	DB     *db.DB
	Auth   *auth.Authenticator // to invalidate after changes of users and tokens
	Images *images.Service     // nil without a store of files, which disables uploads
}

// NewSchema returns the executable schema of a resolver. It removes @defer, which gqlparser adds
// to every schema, because responses are sent whole.
func NewSchema(resolver *Resolver) graphql.ExecutableSchema {
	config := generated.Config{Resolvers: resolver}
	schema := *generated.NewExecutableSchema(config).Schema()
	schema.Directives = maps.Clone(schema.Directives)
	delete(schema.Directives, "defer")
	config.Schema = &schema
	return generated.NewExecutableSchema(config)
}

// SDL returns the schema in the schema definition language: the text of schema.graphqls. gqlgen
// copies the text into the generated code.
func SDL() string {
	return generated.NewExecutableSchema(generated.Config{}).Schema().Query.Position.Src.Input
}

// NewExecutor returns a function that executes an operation. The document must be valid,
// and the variables coerced.
func NewExecutor(schema graphql.ExecutableSchema, log *slog.Logger) func(context.Context, *graphql.OperationContext) *graphql.Response {
	present, onPanic := PresentError(log), recoverPanic(log)
	return func(ctx context.Context, operation *graphql.OperationContext) *graphql.Response {
		resolve := resolveField
		if nulls, ok := document.FindNulls(operation.Doc, operation.Variables); ok {
			if err := nulls.CheckDirectives(operation.Operation.SelectionSet, nil); err != nil {
				return &graphql.Response{Errors: gqlerror.List{err}}
			}
			resolve = rejectNulls(nulls, operation)
		}
		if operation.Operation.Operation == ast.Mutation {
			resolve = auditMutation(log, resolve)
		}
		operation.RecoverFunc, operation.ResolverMiddleware, operation.RootResolverMiddleware = onPanic, resolve, resolveRoot
		ctx = db.WithMeter(ctx, admission.MeterFrom(ctx).AddRow)
		ctx = graphql.WithResponseContext(graphql.WithOperationContext(ctx, operation), present, onPanic)
		next := schema.Exec(ctx)
		if operation.Operation.Operation == ast.Subscription {
			if errs := graphql.GetErrors(ctx); errs != nil {
				return &graphql.Response{Errors: errs}
			}
			ctx = withEventContext(ctx, operation)
		}
		response := next(ctx)
		if response == nil { // the context of a subscription is canceled
			graphql.AddError(ctx, db.ErrUnavailable)
			response = &graphql.Response{}
		}
		response.Errors = append(response.Errors, graphql.GetErrors(ctx)...)
		return response
	}
}

// withEventContext returns the context to encode an event with. The context of gqlgen
// would leave the field of the subscription out of the paths of errors.
func withEventContext(ctx context.Context, operation *graphql.OperationContext) context.Context {
	fields := graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Subscription"})
	return graphql.WithFieldContext(ctx, &graphql.FieldContext{Object: "Subscription", Field: fields[0]})
}

// newEvent returns a channel with the event that gqlgen waits for. The server executes the
// subscription again to get the next event.
func newEvent[T any](object *T, err error) (<-chan *T, error) {
	object, err = nullIfNotFound(object, err)
	if err != nil {
		return nil, err
	}
	event := make(chan *T, 1)
	event <- object
	return event, nil
}

func resolveRoot(ctx context.Context, next graphql.RootResolver) graphql.Marshaler { return next(ctx) }

// nullIfNotFound maps db.ErrNotFound to a nil result.
func nullIfNotFound[T any](object *T, err error) (*T, error) {
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return object, err
}
