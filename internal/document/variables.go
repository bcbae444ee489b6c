package document

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// CoerceVariables returns the values of the variables of an operation, coerced by the GraphQL
// specification (section 6.1.2), or all validation errors. It reuses the lists and objects of
// values.
func (c *Cache) CoerceVariables(operation *ast.OperationDefinition, values map[string]any) (map[string]any, gqlerror.List) {
	coerced := make(map[string]any, len(operation.VariableDefinitions))
	co := coercion{schema: c.Schema, checkScalar: c.options.CheckScalar}
	for _, variable := range operation.VariableDefinitions {
		co.variable = variable
		errCount := len(co.errs)
		value, ok := values[variable.Variable]
		if value, ok := co.entry(variable.Type, variable.DefaultValue, value, ok); ok && len(co.errs) == errCount {
			coerced[variable.Variable] = value
		}
	}
	if co.errs == nil {
		return coerced, nil
	}
	return coerced, co.errors(operation)
}

type coercion struct {
	schema      *ast.Schema
	checkScalar func(name string, value any) *apierror.InputError
	variable    *ast.VariableDefinition
	path        path // of the value in the variable
	errs        []valueError
}

type valueError struct {
	variable *ast.VariableDefinition
	field    []any // path of the value in the variable
	message  string
}

func (c *coercion) add(message string, subpath ...any) {
	c.errs = append(c.errs, valueError{c.variable, append(c.path.field(), subpath...), message})
}

// entry returns the value of a variable or input field, or else its default. It reports false if
// there is neither.
func (c *coercion) entry(typ *ast.Type, defaultValue *ast.Value, value any, ok bool) (any, bool) {
	switch {
	case ok:
		return c.value(typ, value), true
	case defaultValue != nil:
		return c.value(typ, decodeLiteral(defaultValue)), true
	case typ.NonNull:
		c.add("is required")
	}
	return nil, false
}

// value returns the coerced value of a type. It records errors.
func (c *coercion) value(typ *ast.Type, value any) any {
	if value == nil {
		if typ.NonNull {
			c.add("must not be null")
		}
		return nil
	}
	if typ.Elem != nil {
		return c.list(typ.Elem, value)
	}
	definition := c.schema.Types[typ.NamedType]
	if definition.Kind == ast.InputObject {
		return c.object(definition, value)
	}
	coerced, message := c.leaf(definition, value)
	if message != "" {
		c.add(message)
	}
	return coerced
}

func (c *coercion) list(elem *ast.Type, value any) any {
	list, ok := value.([]any)
	if !ok {
		return []any{c.value(elem, value)}
	}
	for i, element := range list {
		c.path = append(c.path, step{index: i})
		list[i] = c.value(elem, element)
		c.path = c.path[:len(c.path)-1]
	}
	return list
}

// object returns the coerced value of an input object. It records errors.
func (c *coercion) object(definition *ast.Definition, value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		c.add("must be an object")
		return nil
	}
	if definition.Directives.ForName("oneOf") != nil && (len(object) != 1 || slices.Contains(slices.Collect(maps.Values(object)), nil)) {
		c.add("must have exactly one field, which must not be null")
	}
	unknown := len(object)
	for _, field := range definition.Fields {
		value, ok := object[field.Name]
		if ok {
			unknown--
		}
		c.path = append(c.path, step{name: field.Name})
		if value, ok := c.entry(field.Type, field.DefaultValue, value, ok); ok {
			object[field.Name] = value
		}
		c.path = c.path[:len(c.path)-1]
	}
	if unknown > 0 {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if definition.Fields.ForName(name) == nil {
				c.add("is not a field of "+definition.Name, name)
			}
		}
	}
	return object
}

// leaf returns the value of an enum or scalar, or the requirement that the value does not meet.
func (c *coercion) leaf(definition *ast.Definition, value any) (coerced any, message string) {
	text, isString := value.(string)
	number, _ := value.(json.Number)
	if definition.Kind == ast.Enum {
		if !isString || definition.EnumValues.ForName(text) == nil {
			return nil, "must be " + alternatives(definition.EnumValues)
		}
		return value, ""
	}
	switch definition.Name {
	case "String":
		if !isString {
			return nil, "must be a string"
		}
	case "Boolean":
		if _, ok := value.(bool); !ok {
			return nil, "must be true or false"
		}
	case "Int":
		if n, ok := toInt(number); ok {
			return n, ""
		}
		return nil, "must be a whole number of 32 bits"
	case "Float":
		f, err := number.Float64()
		if err != nil {
			return nil, "must be a number"
		}
		return f, ""
	default:
		if invalid := c.checkScalar(definition.Name, value); invalid != nil {
			return nil, invalid.Message
		}
	}
	return value, ""
}

// toInt returns the value of a number of 32 bits without a fraction, such as 2,
// 2.0 or 2e0.
func toInt(number json.Number) (int64, bool) {
	if n, err := strconv.ParseInt(string(number), 10, 32); err == nil {
		return n, true
	}
	f, err := number.Float64()
	if err != nil || f != math.Trunc(f) || f < math.MinInt32 || f > math.MaxInt32 {
		return 0, false
	}
	return int64(f), true
}

func alternatives(values ast.EnumValueList) string {
	names := make([]string, len(values))
	for i, value := range values {
		names[i] = value.Name
	}
	return apierror.OneOf(names)
}

// decodeLiteral returns the value of a literal in the form of decoded JSON.
func decodeLiteral(value *ast.Value) any {
	switch value.Kind {
	case ast.NullValue:
		return nil
	case ast.BooleanValue:
		return value.Raw == "true"
	case ast.IntValue, ast.FloatValue:
		return json.Number(value.Raw)
	case ast.ListValue:
		list := make([]any, len(value.Children))
		for i, child := range value.Children {
			list[i] = decodeLiteral(child.Value)
		}
		return list
	case ast.ObjectValue:
		object := make(map[string]any, len(value.Children))
		for _, child := range value.Children {
			object[child.Name] = decodeLiteral(child.Value)
		}
		return object
	}
	return value.Raw
}
