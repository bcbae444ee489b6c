package document

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// rulesOfNames are the rules of gqlparser about names of types and fragments. gqlparser locates
// their errors at the fragment, spread or variable that has the name.
var rulesOfNames = []string{
	rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.Name, rules.KnownFragmentNamesRule.Name,
	rules.FragmentsOnCompositeTypesRule.Name, rules.VariablesAreInputTypesRule.Name,
}

// correctErrors moves errors about names to the locations of the names, and removes repeated errors.
// gqlparser visits a fragment for each operation that spreads it, and once more.
func (s *source) correctErrors(errs gqlerror.List) gqlerror.List {
	reported := map[string]bool{}
	return slices.DeleteFunc(errs, func(err *gqlerror.Error) bool {
		if slices.Contains(rulesOfNames, err.Rule) {
			for i, location := range err.Locations {
				if name, ok := s.names[location]; ok {
					err.Locations[i] = name
				}
			}
		}
		key := fmt.Sprint(err.Message, err.Locations)
		repeated := reported[key]
		reported[key] = true
		return repeated
	})
}

// suggestion adds those candidates to an error that resemble the name.
type suggestion func(name string, candidates []string) core.ErrorOption

func suggest(name string, candidates []string) core.ErrorOption {
	return core.SuggestListQuoted("Did you mean", name, candidates)
}

func suggestNothing(string, []string) core.ErrorOption { return func(*gqlerror.Error) {} }

// argumentNames returns a rule for section 5.4.1 of the specification. It locates errors at
// arguments, while gqlparser locates them at fields.
func argumentNames(suggest suggestion) core.RuleFunc {
	return func(events *core.Events, addError core.AddErrFunc) {
		check := func(list ast.ArgumentList, definitions ast.ArgumentDefinitionList, format string, args ...any) {
			for _, argument := range list {
				if definitions.ForName(argument.Name) != nil {
					continue
				}
				var candidates []string
				for _, definition := range definitions {
					candidates = append(candidates, definition.Name)
				}
				message := core.Message(`Unknown argument "%s" on %s.`, argument.Name, fmt.Sprintf(format, args...))
				addError(message, suggest(argument.Name, candidates), core.At(argument.Position))
			}
		}
		events.OnField(func(_ *core.Walker, field *ast.Field) {
			if field.Definition != nil && field.ObjectDefinition != nil {
				check(field.Arguments, field.Definition.Arguments, `field "%s.%s"`, field.ObjectDefinition.Name, field.Name)
			}
		})
		events.OnDirective(func(_ *core.Walker, directive *ast.Directive) {
			if directive.Definition != nil {
				check(directive.Arguments, directive.Definition.Arguments, `directive "@%s"`, directive.Name)
			}
		})
	}
}

// oncePerLiteral returns a rule of gqlparser for literals without its repeated errors. For each
// object and list around a number, gqlparser reports once more that the number is out of range.
// It also reports some errors of checkLiterals and scalarRule.
func oncePerLiteral(rule core.RuleFunc) core.RuleFunc {
	return func(events *core.Events, addError core.AddErrFunc) {
		var current *ast.Value
		events.OnValue(func(_ *core.Walker, value *ast.Value) { current = value })
		rule(events, func(options ...core.ErrorOption) {
			if !isReportedElsewhere(current, options) {
				addError(options...)
			}
		})
	}
}

// isReportedElsewhere reports whether checkLiterals or scalarRule, or gqlparser for an inner
// value, reports an error of a value.
func isReportedElsewhere(value *ast.Value, options []core.ErrorOption) bool {
	var err gqlerror.Error
	for _, option := range options {
		option(&err)
	}
	switch value.Kind {
	case ast.ListValue:
		return value.ExpectedType.Elem != nil
	case ast.ObjectValue:
		return value.Definition.IsLeafType() || value.Definition.IsInputType() && strings.HasPrefix(err.Message, "Expected value of type")
	case ast.IntValue:
		return value.Definition.Name == "ID"
	}
	return false
}
