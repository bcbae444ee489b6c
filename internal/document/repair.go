package document

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// repair corrects the values of block strings and the locations in a document that
// gqlparser has parsed. It returns an error if a block string has no value, or if a fragment
// has variables.
func (s *source) repair(query *ast.QueryDocument) *gqlerror.Error {
	visitor{value: s.repairValue, start: s.moveToStart}.document(query)
	if s.err != nil {
		return s.err
	}
	for _, operation := range query.Operations {
		for _, variable := range operation.VariableDefinitions {
			inner := variable.Type
			for inner.Elem != nil {
				inner = inner.Elem
			}
			s.names[locationOf(variable.Position)] = locationOf(inner.Position)
		}
	}
	for _, fragment := range query.Fragments {
		if fragment.VariableDefinition != nil {
			return withLocation(fragment.VariableDefinition[0].Position, apierror.BadInput("A fragment cannot have variables."))
		}
	}
	return nil
}

func (s *source) repairValue(value *ast.Value) {
	location := s.locate(locationOf(value.Position))
	value.Position.Line, value.Position.Column = location.Line, location.Column
	if value.Kind != ast.BlockValue {
		return
	}
	block, ok := s.blocks[location]
	if !ok && s.err == nil { // the scanner and gqlparser disagree
		s.err = withLocation(value.Position, apierror.BadInput("The block string cannot be read."))
	}
	value.Raw = block
}

// moveToStart moves the position of a directive or spread to its first character.
func (s *source) moveToStart(position *ast.Position) {
	if start, ok := s.starts[locationOf(position)]; ok {
		position.Line, position.Column = start.Line, start.Column
	}
}

// forgetDefaults removes the definitions of variables from the values of a document. The
// operations of a document share fragments, and gqlparser would take the default of a
// variable from the last operation. CoerceVariables sets the defaults.
func forgetDefaults(query *ast.QueryDocument) {
	eachValue(query, func(value *ast.Value) { value.VariableDefinition = nil })
}

// withLocation adds a location to an error.
func withLocation(position *ast.Position, err *gqlerror.Error) *gqlerror.Error {
	err.Locations = append(err.Locations, locationOf(position))
	return err
}

func locationOf(position *ast.Position) gqlerror.Location {
	return gqlerror.Location{Line: position.Line, Column: position.Column}
}

// visitor visits a document.
type visitor struct {
	value func(*ast.Value)
	start func(*ast.Position) // of a directive or spread
}

// eachValue calls visit for each value in a document.
func eachValue(query *ast.QueryDocument, visit func(*ast.Value)) {
	visitor{value: visit, start: func(*ast.Position) {}}.document(query)
}

func (v visitor) document(query *ast.QueryDocument) {
	for _, operation := range query.Operations {
		for _, variable := range operation.VariableDefinitions {
			if variable.DefaultValue != nil {
				v.values(variable.DefaultValue)
			}
			v.directives(variable.Directives)
		}
		v.directives(operation.Directives)
		v.selections(operation.SelectionSet)
	}
	for _, fragment := range query.Fragments {
		v.directives(fragment.Directives)
		v.selections(fragment.SelectionSet)
	}
}

func (v visitor) selections(set ast.SelectionSet) {
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			v.arguments(selection.Arguments)
			v.directives(selection.Directives)
			v.selections(selection.SelectionSet)
		case *ast.InlineFragment:
			v.start(selection.Position)
			v.directives(selection.Directives)
			v.selections(selection.SelectionSet)
		case *ast.FragmentSpread:
			v.start(selection.Position)
			v.directives(selection.Directives)
		}
	}
}

func (v visitor) directives(list ast.DirectiveList) {
	for _, directive := range list {
		v.start(directive.Position)
		v.arguments(directive.Arguments)
	}
}

func (v visitor) arguments(list ast.ArgumentList) {
	for _, argument := range list {
		v.values(argument.Value)
	}
}

func (v visitor) values(value *ast.Value) {
	v.value(value)
	for _, child := range value.Children {
		v.values(child.Value)
	}
}
