package document

import (
	"cmp"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// Limits bound the size and the cost of a document. All but Cost are checked before validation,
// whose rules take time quadratic in the bounded numbers.
type Limits struct {
	Bytes          int `name:"max-document" env:"MAX_DOCUMENT" default:"65536" min:"1" help:"Maximum size of a document in bytes."`
	Tokens         int `name:"max-tokens" env:"MAX_TOKENS" default:"2000" min:"1" help:"Maximum lexical tokens in a document."`
	Fields         int `name:"max-fields" env:"MAX_FIELDS" default:"1000" min:"1" help:"Maximum fields and fragment spreads after expanding fragments."`
	Depth          int `name:"max-depth" env:"MAX_DEPTH" default:"20" min:"1" help:"Maximum selection depth."`
	Aliases        int `name:"max-aliases" env:"MAX_ALIASES" default:"100" min:"0" help:"Maximum aliases in a document."`
	Duplicates     int `name:"max-duplicates" env:"MAX_DUPLICATES" default:"20" min:"1" help:"Maximum selections with the same response name in one object."`
	Directives     int `name:"max-directives" env:"MAX_DIRECTIVES" default:"50" min:"0" help:"Maximum directives in a document."`
	RootFields     int `name:"max-root-fields" env:"MAX_ROOT_FIELDS" default:"20" min:"1" help:"Maximum fields of Query or Mutation in one operation."`
	Introspections int `name:"max-introspections" env:"MAX_INTROSPECTIONS" default:"2" min:"0" help:"Maximum __schema and __type fields in a document."`
	Cost           int `name:"max-cost" env:"MAX_COST" default:"10000" min:"1" help:"Maximum cost of an operation: the fields that its response may hold, with full pages. A search costs 500, totalCount 50."`
}

// limitError returns the error of a document above a limit.
func limitError(unit string, limit int) *gqlerror.Error {
	return apierror.BadInput("The document has more than %d %s.", limit, unit)
}

// A limiter walks a document in the order of execution. It merges fields with the same response name in
// one object, and walks their selections together. It visits each field once for each place in
// the response, and stops at the first limit. So it never takes more than Fields steps.
type limiter struct {
	limits    Limits
	fragments map[string]*ast.FragmentDefinition
	spread    map[string]bool // fragments that a visited selection spreads
	entered   map[string]bool // fragments that contain the current selection

	selections, aliases, directives, introspections int
	introspecting                                   bool // inside __schema or __type

	err *gqlerror.Error // the first limit that was exceeded
}

// check walks every operation. It also walks every unused fragment, because validation visits
// unused fragments too. It returns the number of introspection fields.
func (l Limits) check(document *ast.QueryDocument) (introspections int, err *gqlerror.Error) {
	c := limiter{
		limits:    l,
		fragments: make(map[string]*ast.FragmentDefinition, len(document.Fragments)),
		spread:    make(map[string]bool, len(document.Fragments)),
		entered:   map[string]bool{},
	}
	for _, fragment := range document.Fragments {
		c.fragments[fragment.Name] = fragment
		c.countDirectives(fragment.Directives)
	}
	for _, operation := range document.Operations {
		c.countDirectives(operation.Directives)
		for _, variable := range operation.VariableDefinitions {
			c.countDirectives(variable.Directives)
		}
		roots := c.object([]ast.SelectionSet{operation.SelectionSet}, 1)
		c.checkCount(roots, c.limits.RootFields, "root fields")
	}
	for _, fragment := range document.Fragments {
		if !c.spread[fragment.Name] {
			c.spread[fragment.Name] = true
			c.object([]ast.SelectionSet{fragment.SelectionSet}, 1)
		}
	}
	return c.introspections, c.err
}

// checkCount records an error if count exceeds limit.
func (l *limiter) checkCount(count, limit int, unit string) {
	if count > limit && l.err == nil {
		l.err = limitError(unit, limit)
	}
}

// fieldGroup holds the fields with one response name in one object.
type fieldGroup struct {
	field    *ast.Field // the first one
	count    int
	children []ast.SelectionSet
}

// object walks the selections of one object, and returns the number of its
// fields.
func (l *limiter) object(sets []ast.SelectionSet, depth int) int {
	l.checkCount(depth, l.limits.Depth, "levels of fields")
	var fields []*fieldGroup
	groups := map[string]*fieldGroup{}
	for _, set := range sets {
		l.selectionSet(set, func(field *ast.Field) {
			group := groups[field.Alias]
			if group == nil {
				group = &fieldGroup{field: field}
				groups[field.Alias] = group
				fields = append(fields, group)
			}
			group.count++
			l.checkCount(group.count, l.limits.Duplicates, "fields of one name in one object")
			if len(field.SelectionSet) > 0 {
				group.children = append(group.children, field.SelectionSet)
			}
		})
	}
	for _, group := range fields {
		if group.children == nil || l.err != nil {
			continue
		}
		outer := l.introspecting
		l.introspecting = outer || isIntrospection(group.field)
		l.object(group.children, depth+1)
		l.introspecting = outer
	}
	return len(fields)
}

// selectionSet expands fragments and calls collect with each field.
func (l *limiter) selectionSet(set ast.SelectionSet, collect func(*ast.Field)) {
	for _, selection := range set {
		l.selections++
		l.checkCount(l.selections, l.limits.Fields, "fields")
		if l.err != nil {
			return
		}
		switch selection := selection.(type) {
		case *ast.Field:
			l.countField(selection)
			collect(selection)
		case *ast.InlineFragment:
			l.countDirectives(selection.Directives)
			l.selectionSet(selection.SelectionSet, collect)
		case *ast.FragmentSpread:
			l.countDirectives(selection.Directives)
			fragment := l.fragments[selection.Name]
			if fragment == nil { // validation reports it
				continue
			}
			if l.entered[selection.Name] {
				l.err = cmp.Or(l.err, withLocation(selection.Position, apierror.BadInput("A fragment of the document spreads itself.")))
				return
			}
			l.spread[selection.Name], l.entered[selection.Name] = true, true
			l.selectionSet(fragment.SelectionSet, collect)
			delete(l.entered, selection.Name)
		}
	}
}

func (l *limiter) countField(field *ast.Field) {
	l.countDirectives(field.Directives)
	if isIntrospection(field) {
		l.introspections++
		l.checkCount(l.introspections, l.limits.Introspections, "introspections")
	}
	if field.Alias == field.Name {
		return
	}
	l.aliases++
	l.checkCount(l.aliases, l.limits.Aliases, "aliases")
	switch {
	case len(field.Alias) > apierror.MaxClientName:
		l.err = cmp.Or(l.err, apierror.BadInput("The document has an alias of more than %d bytes.", apierror.MaxClientName))
	case l.introspecting: // the schema is not paged: aliases would multiply it
		l.err = cmp.Or(l.err, apierror.BadInput("The document has an alias in an introspection."))
	}
}

func (l *limiter) countDirectives(list ast.DirectiveList) {
	l.directives += len(list)
	l.checkCount(l.directives, l.limits.Directives, "directives")
}

func isIntrospection(field *ast.Field) bool {
	return field.Name == "__schema" || field.Name == "__type"
}
