package document

import (
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// path leads from a variable, or from the arguments of a field, to a value.
type path []step

// step is the name of an argument or input field, or else the index of an element.
type step struct {
	name  string
	index int
}

// field returns the form of the path that clients read.
func (p path) field() []any {
	field := make([]any, len(p))
	for i, step := range p {
		field[i] = step.name
		if step.name == "" {
			field[i] = step.index
		}
	}
	return field
}

// errors returns the validation errors. The path of each error is the path of the value in the
// arguments in which the operation uses the variable first.
func (c *coercion) errors(operation *ast.OperationDefinition) gqlerror.List {
	uses := newUseFinder()
	uses.selection(operation.SelectionSet)
	var errs gqlerror.List
	for _, e := range c.errs {
		errs = append(errs, inputError(e.message, e.variable.Position, append(uses.fieldOf(e.variable.Variable), e.field...)))
	}
	return apierror.Limit(errs, apierror.MaxRequestErrors)
}

// FieldPath returns the path in the arguments of a value of a variable, in the form that clients
// read. The path of the value in the variable is subpath.
func FieldPath(operation *ast.OperationDefinition, variable string, subpath ...any) []any {
	uses := newUseFinder()
	uses.selection(operation.SelectionSet)
	return append(uses.fieldOf(variable), subpath...)
}

func inputError(message string, position *ast.Position, field []any) *gqlerror.Error {
	return apierror.Invalid(message, field...).Present(withLocation(position, &gqlerror.Error{}))
}

// useFinder finds where an operation uses its variables.
type useFinder struct {
	first   map[string][]any // path of the first use of each variable
	visited map[string]bool  // fragments
	path    path             // of the value in the arguments
}

func newUseFinder() *useFinder {
	return &useFinder{first: map[string][]any{}, visited: map[string]bool{}}
}

// fieldOf returns the path of the first use of a variable, or its name if it is not
// used.
func (f *useFinder) fieldOf(variable string) []any {
	if field := f.first[variable]; field != nil {
		return slices.Clone(field)
	}
	return []any{variable}
}

func (f *useFinder) selection(set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			f.arguments(selection.Arguments)
			f.directives(selection.Directives)
			f.selection(selection.SelectionSet)
		case *ast.InlineFragment:
			f.directives(selection.Directives)
			f.selection(selection.SelectionSet)
		case *ast.FragmentSpread:
			f.directives(selection.Directives)
			if !f.visited[selection.Name] && selection.Definition != nil {
				f.visited[selection.Name] = true
				f.selection(selection.Definition.SelectionSet)
			}
		}
	}
}

func (f *useFinder) directives(list ast.DirectiveList) {
	for _, directive := range list {
		f.arguments(directive.Arguments)
	}
}

func (f *useFinder) arguments(list ast.ArgumentList) {
	for _, argument := range list {
		f.value(step{name: argument.Name}, argument.Value)
	}
}

func (f *useFinder) value(last step, value *ast.Value) {
	f.path = append(f.path, last)
	if value.Kind == ast.Variable && f.first[value.Raw] == nil {
		f.first[value.Raw] = f.path.field()
	}
	for i, child := range value.Children {
		f.value(step{child.Name, i}, child.Value)
	}
	f.path = f.path[:len(f.path)-1]
}
