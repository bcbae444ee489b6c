package graph_test

import (
	"os"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

func readSchema(t *testing.T) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(text)})
}

// TestSchema_IsDescribed checks that every type, field, argument and enum value has
// a description.
func TestSchema_IsDescribed(t *testing.T) {
	t.Parallel()
	check := func(name, description string) {
		if description == "" {
			t.Errorf("%s has no description", name)
		}
	}
	for name, definition := range readSchema(t).Types {
		if definition.BuiltIn {
			continue
		}
		check(name, definition.Description)
		for _, value := range definition.EnumValues {
			check(name+"."+value.Name, value.Description)
		}
		for _, field := range definition.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			check(name+"."+field.Name, field.Description)
			for _, argument := range field.Arguments {
				check(name+"."+field.Name+"("+argument.Name+")", argument.Description)
			}
		}
	}
}

// TestSchema_UsesScalarsOfResponsesInInputs checks that a field of an input has the scalar that
// fields of this name have in responses.
func TestSchema_UsesScalarsOfResponsesInInputs(t *testing.T) {
	t.Parallel()
	schema, scalars := readSchema(t), map[string]string{}
	each := func(kind ast.DefinitionKind, check func(of *ast.Definition, field *ast.FieldDefinition, scalar string)) {
		for _, of := range schema.Types {
			for _, field := range of.Fields {
				if definition := schema.Types[field.Type.Name()]; of.Kind == kind && !of.BuiltIn && definition.Kind == ast.Scalar {
					check(of, field, definition.Name)
				}
			}
		}
	}
	each(ast.Object, func(_ *ast.Definition, field *ast.FieldDefinition, scalar string) { scalars[field.Name] = scalar })
	each(ast.InputObject, func(of *ast.Definition, field *ast.FieldDefinition, scalar string) {
		if want := scalars[field.Name]; want != "" && want != scalar {
			t.Errorf("%s.%s is a %s, in responses a %s", of.Name, field.Name, scalar, want)
		}
	})
}
