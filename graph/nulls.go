package graph

import (
	"context"
	"maps"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/document"
)

// rejectNulls returns the field middleware for operations in which a null variable is at a
// non-null position. gqlgen takes the null for false, an empty string or an empty list. It
// panics at a null of @skip or @include.
func rejectNulls(nulls document.Nulls, operation *graphql.OperationContext) graphql.FieldMiddleware {
	selected := withoutNulls(operation)
	return func(ctx context.Context, next graphql.Resolver) (any, error) {
		field := graphql.GetFieldContext(ctx)
		if errs := nulls.CheckArguments(field.Field.Arguments); errs != nil {
			return nil, errs
		}
		if field.Object == "Mutation" { // reject the field before it changes anything
			if err := nulls.CheckDirectives(field.Field.Selections, nil); err != nil {
				return nil, err
			}
		}
		result, err := resolveAuthorized(graphql.WithOperationContext(ctx, selected), next)
		if err != nil {
			return nil, err
		}
		if err := checkDirectives(ctx, nulls, result); err != nil {
			return nil, err
		}
		return result, admission.MeterFrom(ctx).AddEncoded(ctx, sizeOf(ctx, result))
	}
}

// withoutNulls returns a copy of the operation in which null variables are false. Resolvers
// look at the selections of objects before the middleware checks the selections.
func withoutNulls(operation *graphql.OperationContext) *graphql.OperationContext {
	variables := maps.Clone(operation.Variables)
	for name, value := range variables {
		if value == nil {
			variables[name] = false
		}
	}
	return &graphql.OperationContext{Doc: operation.Doc, Operation: operation.Operation, Variables: variables}
}

// checkDirectives checks @skip and @include in the selections of the value of a field. In a
// list of nodes, whose elements may be null, a node with an error becomes null.
func checkDirectives(ctx context.Context, nulls document.Nulls, result any) *gqlerror.Error {
	selections, list := graphql.GetFieldContext(ctx).Field.Selections, reflect.ValueOf(result)
	if list.Kind() != reflect.Slice {
		return checkObject(nulls, selections, result)
	}
	nodes, nullable := result.([]db.Node)
	for i := range list.Len() {
		err := checkObject(nulls, selections, list.Index(i).Interface())
		if err == nil {
			continue
		}
		err.Path = append(graphql.GetPath(ctx), ast.PathIndex(i))
		if !nullable {
			return err
		}
		graphql.AddError(ctx, err)
		nodes[i] = nil
	}
	return nil
}

// checkObject checks the selections of an object. Fragments of nodes depend on its type.
func checkObject(nulls document.Nulls, selections ast.SelectionSet, object any) *gqlerror.Error {
	if value := reflect.ValueOf(object); !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil() {
		return nil
	}
	var types []string
	if node, ok := object.(db.Node); ok {
		types = []string{string(node.NodeID().Type), "Node"}
	}
	return nulls.CheckDirectives(selections, types)
}
