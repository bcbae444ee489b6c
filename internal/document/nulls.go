package document

import (
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Nulls finds variables that are null where null is not allowed. Validation accepts a nullable
// variable at a non-null position if the variable or the position has a default (section 5.8.5 of
// the specification). If the value of the variable is null, the field has an error (section 6.4.1).
type Nulls struct{ variables map[string]any }

// FindNulls returns Nulls for the coerced variables of an operation. It reports false if its
// document uses no variable that is null where null is not allowed.
func FindNulls(query *ast.QueryDocument, variables map[string]any) (nulls Nulls, ok bool) {
	hasNull := false
	for _, value := range variables {
		hasNull = hasNull || value == nil
	}
	if !hasNull {
		return Nulls{}, false
	}
	nulls = Nulls{variables}
	eachValue(query, func(value *ast.Value) { ok = ok || nulls.isMisplaced(value) })
	return nulls, ok
}

// isMisplaced reports whether the value is a variable that is null where null is not allowed.
func (n Nulls) isMisplaced(value *ast.Value) bool {
	if value.Kind != ast.Variable || value.ExpectedType == nil || !value.ExpectedType.NonNull {
		return false
	}
	variable, ok := n.variables[value.Raw]
	return ok && variable == nil
}

// CheckArguments returns the errors of the values in arguments that must not be null.
func (n Nulls) CheckArguments(list ast.ArgumentList) gqlerror.List {
	var errs gqlerror.List
	for _, argument := range list {
		errs = append(errs, n.value(path{{name: argument.Name}}, argument.Value)...)
	}
	return errs
}

func (n Nulls) value(p path, value *ast.Value) gqlerror.List {
	if n.isMisplaced(value) {
		return gqlerror.List{inputError("must not be null", value.Position, p.field())}
	}
	var errs gqlerror.List
	for i, child := range value.Children {
		errs = append(errs, n.value(append(slices.Clip(p), step{child.Name, i}), child.Value)...)
	}
	return errs
}

// CheckDirectives returns the error of the first directive @skip or @include whose argument is
// null, or nil. It checks the selections of an object of one of types, or of any type if types is
// nil. It does not check selections inside fields.
func (n Nulls) CheckDirectives(set ast.SelectionSet, types []string) *gqlerror.Error {
	return n.checkDirectives(set, types, map[string]bool{})
}

// checkDirectives is like CheckDirectives. It skips the visited fragments.
func (n Nulls) checkDirectives(set ast.SelectionSet, types []string, visited map[string]bool) *gqlerror.Error {
	for _, selection := range set {
		var directives ast.DirectiveList
		var inner ast.SelectionSet
		var condition, fragment string
		switch selection := selection.(type) {
		case *ast.Field:
			directives = selection.Directives
		case *ast.InlineFragment:
			directives, inner, condition = selection.Directives, selection.SelectionSet, selection.TypeCondition
		case *ast.FragmentSpread:
			directives, inner, condition = selection.Directives, selection.Definition.SelectionSet, selection.Definition.TypeCondition
			fragment = selection.Name
		}
		if visited[fragment] {
			continue
		}
		for _, directive := range directives {
			if errs := n.CheckArguments(directive.Arguments); errs != nil {
				return errs[0]
			}
		}
		if n.excludes(directives) {
			continue
		}
		visited[fragment] = fragment != ""
		if condition != "" && types != nil && !slices.Contains(types, condition) {
			continue
		}
		if err := n.checkDirectives(inner, types, visited); err != nil {
			return err
		}
	}
	return nil
}

func (n Nulls) excludes(directives ast.DirectiveList) bool {
	hasValue := func(name string, want bool) bool {
		directive := directives.ForName(name)
		if directive == nil {
			return false
		}
		value, _ := directive.Arguments.ForName("if").Value.Value(n.variables) // a literal, or coerced
		return value == want
	}
	return hasValue("skip", true) || hasValue("include", false)
}
