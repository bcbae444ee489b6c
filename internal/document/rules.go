package document

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"portfolio/internal/apierror"
)

// newRules returns the rules of validation: the rules of gqlparser, and our own rules where
// gqlparser differs from the specification.
func newRules(checkScalar func(name string, value any) *apierror.InputError) *rules.Rules {
	set := rules.NewDefaultRules()
	set.AddRule("Literals", checkLiterals)
	set.AddRule("Scalars", scalarRule{checkScalar}.check)
	set.AddRule("TypenameIsNotNull", setTypeOfTypename)
	set.ReplaceRule(rules.KnownArgumentNamesRule.Name, argumentNames(suggest))
	set.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, oncePerLiteral(rules.ValuesOfCorrectTypeRule.RuleFunc))
	set.ReplaceRule(rules.SingleFieldSubscriptionsRule.Name, checkSubscriptions)
	return set
}

// withoutSuggestions removes "Did you mean", which would disclose the schema.
func withoutSuggestions(set *rules.Rules) *rules.Rules {
	for name, replacement := range map[string]core.RuleFunc{
		rules.FieldsOnCorrectTypeRule.Name: rules.FieldsOnCorrectTypeRuleWithoutSuggestions.RuleFunc,
		rules.KnownArgumentNamesRule.Name:  argumentNames(suggestNothing),
		rules.KnownTypeNamesRule.Name:      rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc,
		rules.ScalarLeafsRule.Name:         rules.ScalarLeafsRuleWithoutSuggestions.RuleFunc,
		rules.ValuesOfCorrectTypeRule.Name: oncePerLiteral(rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc),
	} {
		set.ReplaceRule(name, replacement)
	}
	return set
}

// checkLiterals is a rule about objects for enums and scalars, and about an Int of more than 32
// bits. gqlparser's ValuesOfCorrectType accepts them, or rejects them once for each field.
func checkLiterals(events *core.Events, addError core.AddErrFunc) {
	events.OnValue(func(_ *core.Walker, value *ast.Value) {
		if value.Definition == nil {
			return
		}
		switch n, err := strconv.ParseInt(value.Raw, 10, 64); {
		case value.Kind == ast.ObjectValue && value.Definition.IsLeafType() && (isEmptyObject(value) || !isOwnScalar(value.Definition)):
			addError(core.Message(`Expected value of type "%s", found %s.`, value.ExpectedType, value), core.At(value.Position))
		case value.Kind == ast.IntValue && value.Definition.Name == "Int" && err == nil && n != int64(int32(n)):
			addError(core.Message("Int cannot represent non 32-bit signed integer value: %d", n), core.At(value.Position))
		}
	})
}

// isOwnScalar reports whether scalarRule checks all literals of a type.
func isOwnScalar(definition *ast.Definition) bool {
	return definition.Kind == ast.Scalar && !definition.OneOf("Int", "Float", "String", "Boolean", "ID")
}

func isEmptyObject(value *ast.Value) bool {
	return value.Kind == ast.ObjectValue && len(value.Children) == 0
}

// scalarRule is a rule for literals of ID and of the schema's own scalars, which gqlparser does
// not check. Its errors are the same as for variables.
type scalarRule struct {
	checkScalar func(name string, value any) *apierror.InputError
}

func (r scalarRule) check(events *core.Events, addError core.AddErrFunc) {
	checked := map[*ast.Value]bool{} // a fragment is visited from each operation
	check := func(p path, value *ast.Value, field func(path) []any) {
		r.visit(p, value, func(p path, value *ast.Value, message string) {
			if !checked[value] {
				checked[value] = true
				addError(func(err *gqlerror.Error) { *err = *inputError(message, value.Position, field(p)) })
			}
		})
	}
	events.OnField(func(_ *core.Walker, field *ast.Field) {
		for _, argument := range field.Arguments {
			check(path{{name: argument.Name}}, argument.Value, path.field)
		}
	})
	events.OnOperation(func(_ *core.Walker, operation *ast.OperationDefinition) {
		for _, variable := range operation.VariableDefinitions {
			if variable.DefaultValue != nil {
				check(nil, variable.DefaultValue, func(p path) []any { return FieldPath(operation, variable.Variable, p.field()...) })
			}
		}
	})
}

// visit calls report with the errors in a literal and in the literals inside it.
func (r scalarRule) visit(p path, value *ast.Value, report func(p path, value *ast.Value, message string)) {
	if message := r.validate(value); message != "" {
		report(p, value, message)
		return
	}
	for i, child := range value.Children {
		r.visit(append(slices.Clip(p), step{child.Name, i}), child.Value, report)
	}
}

// validate returns the requirement that a literal of a scalar does not meet, or "". It does not
// repeat errors of gqlparser and checkLiterals.
func (r scalarRule) validate(value *ast.Value) string {
	scalar := value.Definition
	isText := value.Kind == ast.StringValue || value.Kind == ast.BlockValue
	switch {
	case scalar == nil || !isOwnScalar(scalar) && scalar.Name != "ID",
		value.Kind == ast.Variable, value.Kind == ast.NullValue, isEmptyObject(value),
		value.Kind == ast.ListValue && value.ExpectedType.Elem != nil, // its elements are checked
		scalar.Name == "ID" && !isText && value.Kind != ast.IntValue:
		return ""
	case value.Kind == ast.EnumValue:
		return "must not be a name"
	}
	if invalid := r.checkScalar(scalar.Name, decodeLiteral(value)); invalid != nil {
		return invalid.Message
	}
	return ""
}

// typename is the definition of the field __typename, whose type gqlparser takes for
// String.
var typename = &ast.FieldDefinition{Name: "__typename", Type: ast.NonNullNamedType("String", nil)}

// setTypeOfTypename is a rule that reports nothing. gqlparser enters each field of an object
// before it checks whether fields can be merged, so that check uses the new type.
func setTypeOfTypename(events *core.Events, _ core.AddErrFunc) {
	events.OnField(func(_ *core.Walker, field *ast.Field) {
		if field.Name == typename.Name {
			field.Definition = typename
		}
	})
}

// checkSubscriptions is a rule for section 5.2.3.1 of the specification. gqlparser counts the
// names of fields instead of response names. It also accepts @skip and @include, with which the
// number of fields would depend on variables.
func checkSubscriptions(events *core.Events, addError core.AddErrFunc) {
	events.OnOperation(func(_ *core.Walker, operation *ast.OperationDefinition) {
		if operation.Operation != ast.Subscription {
			return
		}
		name := "Anonymous Subscription"
		if operation.Name != "" {
			name = "Subscription " + strconv.Quote(operation.Name)
		}
		names, visited := map[string]bool{}, map[string]bool{}
		eachRoot(operation.SelectionSet, visited, func(selection ast.Selection, directives ast.DirectiveList) {
			for _, directive := range directives {
				if directive.Name == "skip" || directive.Name == "include" {
					addError(core.Message("%s must not use @%s on its top level field.", name, directive.Name), core.At(directive.Position))
				}
			}
			field, ok := selection.(*ast.Field)
			if !ok {
				return
			}
			if strings.HasPrefix(field.Name, "__") {
				addError(core.Message("%s must not select an introspection top level field.", name), core.At(field.Position))
			}
			if names[field.Alias] = true; len(names) == 2 {
				addError(core.Message("A subscription must select exactly one field."), core.At(field.Position))
			}
		})
	})
}

// eachRoot calls visit with each selection of an object and of its fragments.
func eachRoot(set ast.SelectionSet, visited map[string]bool, visit func(ast.Selection, ast.DirectiveList)) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			visit(selection, selection.Directives)
		case *ast.InlineFragment:
			visit(selection, selection.Directives)
			eachRoot(selection.SelectionSet, visited, visit)
		case *ast.FragmentSpread:
			visit(selection, selection.Directives)
			if selection.Definition != nil && !visited[selection.Name] {
				visited[selection.Name] = true
				eachRoot(selection.Definition.SelectionSet, visited, visit)
			}
		}
	}
}
