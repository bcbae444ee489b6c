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

// rulesOfNames are the rules of gqlparser whose errors are about a type or fragment that is
// named, and have the location of what names it.
var rulesOfNames = []string{
	rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.Name, rules.KnownFragmentNamesRule.Name,
	rules.FragmentsOnCompositeTypesRule.Name, rules.VariablesAreInputTypesRule.Name,
}

// correct moves errors about names to these names, and removes repeated errors. gqlparser
// visits a fragment for each operation that spreads it, and once more.
func (s *source) correct(errs gqlerror.List) gqlerror.List {
	reported := map[string]bool{}
	return slices.DeleteFunc(errs, func(err *gqlerror.Error) bool {
		if slices.Contains(rulesOfNames, err.Rule) {
			for i, at := range err.Locations {
				if name, ok := s.names[at]; ok {
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

// suggestion adds names that may have been meant to an error.
type suggestion func(name string, known []string) core.ErrorOption

func suggest(name string, known []string) core.ErrorOption {
	return core.SuggestListQuoted("Did you mean", name, known)
}

func suggestNothing(string, []string) core.ErrorOption { return func(*gqlerror.Error) {} }

// argumentNames returns a rule for section 5.4.1 of the specification. Its errors have the
// locations of arguments, and those of gqlparser the locations of fields.
func argumentNames(suggest suggestion) core.RuleFunc {
	return func(events *core.Events, addError core.AddErrFunc) {
		check := func(list ast.ArgumentList, defined ast.ArgumentDefinitionList, where string, names ...any) {
			for _, argument := range list {
				if defined.ForName(argument.Name) != nil {
					continue
				}
				var known []string
				for _, definition := range defined {
					known = append(known, definition.Name)
				}
				message := core.Message(`Unknown argument "%s" on %s.`, argument.Name, fmt.Sprintf(where, names...))
				addError(message, suggest(argument.Name, known), core.At(argument.Position))
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

// oncePerLiteral returns the rule of gqlparser for literals without what it reports twice: a
// number out of range, again for each object and list around it, and what checkLiterals and
// scalarRule report.
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
