// Package graph answers GraphQL. The schema is in schema.graphqls, and
// generated.go is made from it.
package graph

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db"
	"portfolio/internal/auth"
	"portfolio/internal/imaging"
)

// Resolver answers the fields of the schema from the database.
type Resolver struct {
	DB       *db.DB
	Tokens   *auth.Tokens      // are told of changes of users and tokens
	Pictures *imaging.Pictures // nil where there are no uploads
}

// resolveField checks the directive @requires of the field before it is
// resolved, and encodes what it can.
func resolveField(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx).Field
	if err := checkRequires(ctx, field.Definition); err != nil {
		return nil, err
	}
	resolved, err := next(ctx)
	if err != nil {
		return nil, err
	}
	return encodePlain(ctx, resolved)
}

// checkRequires returns an error unless the viewer has the permission that the
// directive @requires names.
func checkRequires(ctx context.Context, field *ast.FieldDefinition) error {
	permission, guarded := requiredPermission(field)
	if !guarded {
		return nil
	}
	return allow(auth.ViewerFrom(ctx), permission)
}

func requiredPermission(field *ast.FieldDefinition) (permission auth.Permission, guarded bool) {
	if field == nil { // __typename
		return "", false
	}
	directive := field.Directives.ForName("requires")
	if directive == nil {
		return "", false
	}
	return auth.Permission(directive.Arguments.ForName("permission").Value.Raw), true
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
