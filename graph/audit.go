package graph

import (
	"context"
	"errors"
	"log/slog"
	"reflect"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/internal/audit"
	"portfolio/internal/auth"
)

// auditMutation returns a middleware that resolves fields by the middleware resolve. It logs
// each change that a field of Mutation has committed, or may have committed.
func auditMutation(log *slog.Logger, resolve graphql.FieldMiddleware) graphql.FieldMiddleware {
	return func(ctx context.Context, next graphql.Resolver) (any, error) {
		field := graphql.GetFieldContext(ctx)
		if field.Object != "Mutation" {
			return resolve(ctx, next)
		}
		return resolve(ctx, func(ctx context.Context) (any, error) {
			payload, err := next(ctx)
			change := audit.Change{Action: field.Field.Name, Actor: audit.User}
			switch {
			case err == nil:
				change.Objects = changedNodes(payload)
			case errors.Is(err, db.ErrUnavailable), errors.Is(err, context.Canceled): // perhaps after COMMIT was sent
				change.Unknown, change.Objects = true, namedNode(field.Args["input"])
			default:
				return payload, err
			}
			if viewer := auth.Identify(ctx); viewer != nil {
				change.UserID, change.Username = viewer.ID, viewer.Username
			}
			audit.Log(ctx, log.Handler(), change)
			return payload, err
		})
	}
}

// changedNodes returns the objects in the fields of a payload, in its lists, and in its
// DeletedLinks.
func changedNodes(payload any) (nodes []string) {
	add := func(value reflect.Value) {
		if node, ok := reflect.TypeAssert[db.Node](value); ok && !value.IsNil() {
			nodes = append(nodes, audit.Node(node.NodeID()))
		}
	}
	value := reflect.Indirect(reflect.ValueOf(payload))
	if value.Kind() != reflect.Struct {
		return nil
	}
	for _, field := range value.Fields() {
		add(field)
		if field.Kind() == reflect.Slice {
			for i := range field.Len() {
				add(field.Index(i))
			}
		}
	}
	if cascade, ok := payload.(interface{ DeletedLinks() []db.NodeID }); ok {
		for _, id := range cascade.DeletedLinks() {
			nodes = append(nodes, audit.Node(id))
		}
	}
	return nodes
}

// namedNode returns the object whose ID is in an input, or nil.
func namedNode(input any) []string {
	value := reflect.Indirect(reflect.ValueOf(input))
	if value.Kind() != reflect.Struct {
		return nil
	}
	if field := value.FieldByName("ID"); field.IsValid() {
		if id, ok := reflect.TypeAssert[db.NodeID](field); ok {
			return []string{audit.Node(id)}
		}
	}
	return nil
}
