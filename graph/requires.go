package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/internal/auth"
)

// resolveField checks the directive @requires before it resolves a field, and
// encodes the result if that needs no further resolver.
func resolveField(ctx context.Context, next graphql.Resolver) (any, error) {
	result, err := resolveAuthorized(ctx, next)
	if err != nil {
		return nil, err
	}
	return encodeResult(ctx, result)
}

// resolveAuthorized resolves a field if the viewer may select it. If the field does not apply
// to the object, it returns null without a call of the resolver.
func resolveAuthorized(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx)
	if err := Authorize(ctx, field.Field.Definition); err != nil {
		return nil, err
	}
	if isInapplicable(field) {
		return nil, nil
	}
	return next(ctx)
}

// Authorize returns an error unless the viewer of ctx has the permission that the directive
// @requires of the field names.
func Authorize(ctx context.Context, field *ast.FieldDefinition) error {
	permission, ok := requiredPermission(field)
	if !ok {
		return nil
	}
	switch {
	case auth.HasPermission(ctx, permission):
		return nil
	case auth.IsAnonymous(ctx):
		return errUnauthenticated
	}
	return errForbidden
}

func requiredPermission(field *ast.FieldDefinition) (permission auth.Permission, ok bool) {
	if field == nil { // __typename
		return "", false
	}
	directive := field.Directives.ForName("requires")
	if directive == nil {
		return "", false
	}
	return auth.Permission(directive.Arguments.ForName("permission").Value.Raw), true
}
