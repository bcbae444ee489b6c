package graph

import (
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/introspection"
)

// applicableKinds has the kinds of types for which a field of __Type is not null (section
// 4.2.2 of the specification). For types of other kinds, gqlgen resolves the field to an
// empty list or false.
var applicableKinds = map[string][]string{
	"fields":        {"OBJECT", "INTERFACE"},
	"interfaces":    {"OBJECT", "INTERFACE"},
	"possibleTypes": {"INTERFACE", "UNION"},
	"enumValues":    {"ENUM"},
	"inputFields":   {"INPUT_OBJECT"},
	"isOneOf":       {"INPUT_OBJECT"},
}

// isInapplicable reports whether a field is null because of the kind of the type that it
// describes.
func isInapplicable(field *graphql.FieldContext) bool {
	if field.Object != "__Type" {
		return false
	}
	kinds, ok := applicableKinds[field.Field.Name]
	definition, isType := field.Parent.Result.(*introspection.Type)
	return ok && isType && !slices.Contains(kinds, definition.Kind())
}
