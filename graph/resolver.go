// Package graph implements the GraphQL schema: its resolvers, what they accept
// and which errors they return. It knows nothing of HTTP.
package graph

import (
	"context"
	"errors"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"

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
	Images *images.Service     // nil to disable uploads
}

// NewSchema returns the executable schema of a resolver.
func NewSchema(resolver *Resolver) graphql.ExecutableSchema {
	return generated.NewExecutableSchema(generated.Config{Resolvers: resolver})
}

// NewExecutor returns an executor of the schema. It takes documents from the
// context, so its caller parses and validates them.
func NewExecutor(schema graphql.ExecutableSchema, log *slog.Logger) *executor.Executor {
	exec := executor.New(schema)
	exec.SetQueryCache(document.ContextCache{})
	exec.SetErrorPresenter(PresentError(log))
	exec.SetRecoverFunc(recoverPanic(log))
	exec.AroundOperations(meterRows)
	exec.AroundFields(resolveField)
	return exec
}

// meterRows counts the rows that an operation reads.
func meterRows(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(db.WithMeter(ctx, admission.MeterFrom(ctx).AddRow))
}

// nullIfNotFound maps db.ErrNotFound to a nil result.
func nullIfNotFound[T any](found *T, err error) (*T, error) {
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return found, err
}
