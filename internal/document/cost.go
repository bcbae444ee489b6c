package document

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// DefaultPageSize is the size of a page if neither the query nor the schema sets first or last.
const DefaultPageSize = 20

// heavyCost is the cost of more than a few milliseconds of work: a page of 100
// links with all fields costs 2,100.
const heavyCost = 2500

// Cost is the estimated work of an operation.
type Cost struct {
	Fields   float64 // fields of the response if all pages are full
	weighted bool    // whether a directive @cost counts
}

// Heavy reports whether the operation takes more than a few milliseconds.
func (c Cost) Heavy() bool { return c.weighted || c.Fields > heavyCost }

// costOf estimates the cost of an operation. A field counts once for each row of the pages around
// it. A field or input with the directive @cost counts as much as its weight.
func costOf(schema *ast.Schema, operation *ast.OperationDefinition, variables map[string]any) Cost {
	e := estimator{schema: schema, variables: variables}
	perPage, fields := e.costOf(operation.SelectionSet)
	return Cost{perPage + fields, e.weighted}
}

type estimator struct {
	schema    *ast.Schema
	variables map[string]any
	weighted  bool
}

// costOf returns the cost of a selection. perPage is the cost of fields with a weight, such as
// totalCount. perRow is the cost of all other fields, which count for each row of the page.
func (e *estimator) costOf(set ast.SelectionSet) (perPage, perRow float64) {
	for _, selection := range set {
		var inner ast.SelectionSet
		switch selection := selection.(type) {
		case *ast.Field:
			if selection.Definition != nil && selection.Definition.Directives.ForName("cost") != nil {
				perPage += e.fieldCost(selection)
			} else {
				perRow += e.fieldCost(selection)
			}
		case *ast.InlineFragment:
			inner = selection.SelectionSet
		case *ast.FragmentSpread:
			inner = selection.Definition.SelectionSet
		}
		innerPerPage, innerPerRow := e.costOf(inner)
		perPage, perRow = perPage+innerPerPage, perRow+innerPerRow
	}
	return perPage, perRow
}

// fieldCost returns the cost of a field with its arguments and its selections.
func (e *estimator) fieldCost(field *ast.Field) float64 {
	cost := 1.0
	if field.Definition != nil {
		if weight, ok := e.weight(field.Definition.Directives); ok {
			cost = weight
		}
		for _, argument := range field.Arguments {
			if definition := field.Definition.Arguments.ForName(argument.Name); definition != nil && !e.schema.Types[definition.Type.Name()].IsLeafType() {
				value, _ := argument.Value.Value(e.variables) // coercion reports missing variables
				cost += e.inputCost(definition.Type, value)
			}
		}
	}
	if len(field.SelectionSet) > 0 {
		perPage, perRow := e.costOf(field.SelectionSet)
		cost += perPage + pageSize(field, e.variables)*perRow
	}
	return cost
}

// inputCost returns the cost of an input value. It adds the weights of the fields. If the type of
// a list has a weight, each element after the first adds it.
func (e *estimator) inputCost(typ *ast.Type, value any) float64 {
	cost := 0.0
	switch value := value.(type) {
	case []any:
		for i, element := range value {
			cost += e.inputCost(typ, element)
			if i > 0 {
				weight, _ := e.weight(e.schema.Types[typ.Name()].Directives)
				cost += weight
			}
		}
	case map[string]any:
		for _, field := range e.schema.Types[typ.Name()].Fields {
			if child := value[field.Name]; child != nil {
				weight, _ := e.weight(field.Directives)
				cost += weight + e.inputCost(field.Type, child)
			}
		}
	}
	return cost
}

// weight returns the weight of the directive @cost. If there is one, it sets e.weighted.
func (e *estimator) weight(directives ast.DirectiveList) (float64, bool) {
	directive := directives.ForName("cost")
	if directive == nil {
		return 0, false
	}
	e.weighted = true
	return intValue(directive.Arguments.ForName("weight").Value, nil)
}

// pageSize returns the number of rows that a field may have. For a list, it is the larger of the
// arguments first and last. Otherwise it is the number of nodeIds or of links of an input, or 1.
func pageSize(field *ast.Field, variables map[string]any) float64 {
	if field.Definition == nil {
		return 1
	}
	size, isPaged, hasSize := 0.0, false, false
	for _, definition := range field.Definition.Arguments {
		if argument := field.Arguments.ForName(definition.Name); argument != nil && (definition.Name == "nodeIds" || definition.Name == "input") {
			value, _ := argument.Value.Value(variables) // coercion reports other values
			if input, ok := value.(map[string]any); ok {
				value = input["links"]
			}
			if list, ok := value.([]any); ok {
				return float64(len(list))
			}
			return 1
		}
		if definition.Name != "first" && definition.Name != "last" {
			continue
		}
		isPaged = true
		n, ok := 0.0, false
		if argument := field.Arguments.ForName(definition.Name); argument != nil {
			n, ok = intValue(argument.Value, variables)
		}
		if !ok {
			n, ok = intValue(definition.DefaultValue, nil)
		}
		if ok {
			size, hasSize = max(size, n), true
		}
	}
	switch {
	case !isPaged:
		return 1
	case !hasSize:
		return DefaultPageSize
	}
	return size
}

func intValue(value *ast.Value, variables map[string]any) (float64, bool) {
	if value == nil {
		return 0, false
	}
	resolved, _ := value.Value(variables) // coercion reports other values
	n, ok := resolved.(int64)
	return float64(n), ok
}

// Cost returns the estimated cost of an operation, or an error if it is above the
// limit.
func (c *Cache) Cost(operation *ast.OperationDefinition, variables map[string]any) (Cost, *gqlerror.Error) {
	cost := costOf(c.Schema, operation, variables)
	return cost, c.options.Limits.checkCost(cost)
}

func (l Limits) checkCost(cost Cost) *gqlerror.Error {
	if cost.Fields <= float64(l.Cost) {
		return nil
	}
	err := apierror.BadInput("The operation costs %.0f, more than %d. Ask for smaller pages or fewer fields.", cost.Fields, l.Cost)
	err.Extensions["cost"], err.Extensions["maxCost"] = cost.Fields, l.Cost
	return err
}
