// Package graph answers GraphQL. The schema is in schema.graphqls, and
// generated.go is made from it.
package graph

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/auth"
	"portfolio/db"
	"portfolio/media"
)

// Resolver answers the fields of the schema from the database.
type Resolver struct {
	DB       *db.DB
	Tokens   *auth.Tokens    // are told of changes of users and tokens
	Pictures *media.Pictures // nil where there are no uploads
}

// requires is the directive of that name.
func requires(ctx context.Context, _ any, next graphql.Resolver, permission auth.Permission) (any, error) {
	if err := allow(auth.ViewerFrom(ctx), permission); err != nil {
		return nil, err
	}
	return next(ctx)
}

func allow(viewer *auth.Viewer, permission auth.Permission) error {
	switch {
	case viewer.Allowed(permission):
		return nil
	case viewer == nil:
		return errUnauthenticated
	}
	return errForbidden
}

// orNull makes null of what is not there.
func orNull[T any](found *T, err error) (*T, error) {
	if errors.Is(err, db.ErrNotFound) {
		return nil, nil
	}
	return found, err
}
