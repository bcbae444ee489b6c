package graph

import (
	"context"
	"reflect"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/internal/admission"
	"portfolio/internal/document"
)

// refuseNulls returns a middleware in place of resolveField for an operation with variables
// that are null. gqlgen takes null for false, an empty string or an empty list, and panics
// at a null of @skip or @include.
func refuseNulls(nulls document.Nulls) graphql.FieldMiddleware {
	return func(ctx context.Context, next graphql.Resolver) (any, error) {
		field := graphql.GetFieldContext(ctx).Field
		if errs := nulls.Arguments(field.Arguments); errs != nil {
			return nil, errs
		}
		resolved, err := resolveAuthorized(ctx, next)
		if err != nil || isNil(resolved) {
			return resolved, err
		}
		if err := nulls.Directive(field.Selections); err != nil {
			return nil, err
		}
		return resolved, admission.MeterFrom(ctx).AddEncoded(ctx, sizeOf(ctx, resolved))
	}
}

func isNil(resolved any) bool {
	value := reflect.ValueOf(resolved)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}
