package e2e

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Values of scalars as literals, the last of which are of another type or out of range.
var (
	integers = []string{"1", "2", "5", "20", "100", "0", "-1", "2147483647", "101", "2147483648", "1.0", `"1"`, "true", "NAME", "{}", "[1]"}
	strings_ = []string{`"x"`, `""`, `"a\n\"\\\u00e9\uD83D\uDE00b"`, `"é\u{1F600}"`, "\"\"\"  a\n    b\n\n  c\"\"\"", "\"\"\"\r\n\ta\r\n\t  b \\\"\"\" \"\" c\r\n\"\"\"",
		`""""quoted" """`, "1", "true", "NAME", `["x"]`, `"\uD83D"`}
	ids       = []string{"1", "4", "6", `"4"`, `"6"`, "77", `"99"`, node("Portfolio:1"), node("PortfolioLink:4"), node("Image:6"), "1.5", "true", "NAME", "{}", `"é"`}
	times     = []string{`"2026-01-13T10:05:43Z"`, `"2025-12-31T00:00:00Z"`, `"yesterday"`, "2026", "NOW"}
	urls      = []string{`"https://moeinsoft.com/demo"`, `"x"`, "1", "NAME", "{}"}
	booleans  = []string{"true", "false", "1", `"true"`, "TRUE"}
	uploads   = []string{"null", `"x"`, "1"}
	valuesOf  = map[string][]string{"Int": integers, "String": strings_, "ID": ids, "DateTime": times, "URL": urls, "Boolean": booleans, "Upload": uploads}
	invalidOf = map[string]int{"Int": 8, "String": 5, "ID": 5, "DateTime": 3, "URL": 3, "Boolean": 3, "Upload": 2} // the last ones
)

func node(text string) string {
	return `"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"`
}

// scalar returns a literal of a scalar, seldom an invalid one.
func (g *generator) scalar(name string) string {
	values := valuesOf[name]
	if values == nil { // no input type
		return "1"
	}
	if g.chance(0.98) {
		values = values[:len(values)-invalidOf[name]]
	}
	return g.pick(values...)
}

func (g *generator) enum(of *ast.Definition) string {
	if g.chance(0.02) {
		return "NOTHING"
	}
	return of.EnumValues[g.IntN(len(of.EnumValues))].Name
}

const maxInput = 3 // levels

// literal returns a literal of a type. Those that allow variables may contain some.
func (g *generator) literal(of *ast.Type, level int) string {
	if !of.NonNull && g.chance(0.1) || g.chance(0.01) {
		return "null"
	}
	if of.Elem != nil {
		if g.chance(0.2) {
			return g.literal(of.Elem, level)
		}
		var elements []string
		for range g.IntN(3) {
			elements = append(elements, g.value(of.Elem, false, level))
		}
		return "[" + strings.Join(elements, g.space()) + "]"
	}
	switch definition := g.schema.Types[of.NamedType]; definition.Kind {
	case ast.Enum:
		return g.enum(definition)
	case ast.InputObject:
		var fields []string
		for _, field := range g.inputFields(definition, level) {
			fields = append(fields, field.Name+":"+g.value(field.Type, field.DefaultValue != nil, level+1))
		}
		return "{" + strings.Join(fields, g.space()) + "}"
	}
	return g.scalar(of.NamedType)
}

// inputFields returns the fields of an input object to send.
func (g *generator) inputFields(of *ast.Definition, level int) (fields []*ast.FieldDefinition) {
	for _, field := range of.Fields {
		required := field.Type.NonNull && field.DefaultValue == nil
		if required && g.chance(0.98) || !required && level < maxInput && g.chance(0.25) {
			fields = append(fields, field)
		}
	}
	if g.chance(0.02) {
		fields = append(fields, &ast.FieldDefinition{Name: g.pick("nothing", "name", "id"), Type: ast.NamedType("ID", nil)})
	}
	return fields
}

// json returns a value of a variable.
func (g *generator) json(of *ast.Type, level int) any {
	if !of.NonNull && g.chance(0.15) || g.chance(0.01) {
		return nil
	}
	if of.Elem != nil {
		if g.chance(0.2) {
			return g.json(of.Elem, level)
		}
		elements := []any{}
		for range g.IntN(3) {
			elements = append(elements, g.json(of.Elem, level))
		}
		return elements
	}
	switch definition := g.schema.Types[of.NamedType]; definition.Kind {
	case ast.Enum:
		return g.enum(definition)
	case ast.InputObject:
		object := map[string]any{}
		for _, field := range g.inputFields(definition, level) {
			object[field.Name] = g.json(field.Type, level+1)
		}
		return object
	}
	text := g.scalar(of.NamedType)
	if text == "1.0" && of.NamedType != "Int" {
		text = "1.5" // JavaScript takes 1.0 for 1
	}
	if !json.Valid([]byte(text)) {
		return "a string"
	}
	return json.RawMessage(text)
}
