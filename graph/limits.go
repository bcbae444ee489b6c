package graph

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/auth"
)

// Limits bound what one document may ask for. All but Cost are checked before
// validation, the rules of which take time quadratic in what they bound.
type Limits struct {
	Bytes          int `name:"max-document" env:"MAX_DOCUMENT" default:"65536" help:"Bytes of a document."`
	Tokens         int `name:"max-tokens" env:"MAX_TOKENS" default:"2000" help:"Words and signs in a document."`
	Fields         int `name:"max-fields" env:"MAX_FIELDS" default:"1000" help:"Fields and fragments of a document once fragments are in place."`
	Depth          int `name:"max-depth" env:"MAX_DEPTH" default:"20" help:"Levels of fields in fields."`
	Aliases        int `name:"max-aliases" env:"MAX_ALIASES" default:"100" help:"Aliases in a document."`
	Duplicates     int `name:"max-duplicates" env:"MAX_DUPLICATES" default:"20" help:"Times that one name may be asked for in one object."`
	Directives     int `name:"max-directives" env:"MAX_DIRECTIVES" default:"50" help:"Directives in a document."`
	RootFields     int `name:"max-root-fields" env:"MAX_ROOT_FIELDS" default:"20" help:"Fields of Query or Mutation in one operation."`
	Introspections int `name:"max-introspections" env:"MAX_INTROSPECTIONS" default:"2" help:"__schema and __type fields in a document."`
	Cost           int `name:"max-cost" env:"MAX_COST" default:"10000" help:"Fields that an answer may hold, pages counted in full."`
}

// DefaultLimits are those that the tags name.
func DefaultLimits() (limits Limits) {
	fields := reflect.ValueOf(&limits).Elem()
	for i := range fields.NumField() {
		limit, _ := strconv.ParseInt(fields.Type().Field(i).Tag.Get("default"), 10, 64)
		fields.Field(i).SetInt(limit)
	}
	return limits
}

// maxAlias bounds the names that a client may choose for what an answer
// repeats once per row, in bytes.
const maxAlias = 100

// exceeded refuses a document.
func exceeded(what string, limit int) *gqlerror.Error {
	return badRequest(fmt.Sprintf("The document has more than %d %s.", limit, what))
}

// counter walks a document the way it would be executed: fields of one name in
// one object are merged, and their selections walked together. Each field is
// visited once per place that it has, and the walk ends at the first limit, so
// it never takes more than Fields steps.
type counter struct {
	Limits
	fragments  map[string]*ast.FragmentDefinition
	spread     map[string]bool // fragments that were reached
	entered    map[string]bool // fragments around the current selection
	selections int
	aliases    int
	directives int
	// introspections counts __schema and __type.
	introspections int
	introspecting  bool // inside one of them
}

// count counts every operation, and the fragments that none uses: they are
// validated too.
func (l Limits) count(document *ast.QueryDocument) (counter, *gqlerror.Error) {
	c := counter{
		Limits:    l,
		fragments: make(map[string]*ast.FragmentDefinition, len(document.Fragments)),
		spread:    make(map[string]bool, len(document.Fragments)),
		entered:   map[string]bool{},
	}
	for _, fragment := range document.Fragments {
		c.fragments[fragment.Name] = fragment
		if err := c.countDirectives(fragment.Directives); err != nil {
			return c, err
		}
	}
	for _, operation := range document.Operations {
		if err := c.countDirectives(operation.Directives); err != nil {
			return c, err
		}
		for _, variable := range operation.VariableDefinitions {
			if err := c.countDirectives(variable.Directives); err != nil {
				return c, err
			}
		}
		if err := c.level([]ast.SelectionSet{operation.SelectionSet}, 1, c.RootFields); err != nil {
			return c, err
		}
	}
	for _, fragment := range document.Fragments {
		if c.spread[fragment.Name] {
			continue
		}
		c.spread[fragment.Name] = true
		if err := c.level([]ast.SelectionSet{fragment.SelectionSet}, 1, c.Fields); err != nil {
			return c, err
		}
	}
	return c, nil
}

// merged are the fields of one name in one object.
type merged struct {
	name     string
	fields   int
	children []ast.SelectionSet
}

// level counts the selections that merge into one object.
func (c *counter) level(sets []ast.SelectionSet, depth, maxFields int) *gqlerror.Error {
	if depth > c.Depth {
		return exceeded("levels of fields", c.Depth)
	}
	var fields []*merged
	names := map[string]*merged{}
	collect := func(field *ast.Field) *gqlerror.Error {
		same := names[field.Alias]
		if same == nil {
			same = &merged{name: field.Name}
			names[field.Alias] = same
			fields = append(fields, same)
		}
		if same.fields++; same.fields > c.Duplicates {
			return exceeded("fields of one name in one object", c.Duplicates)
		}
		if len(fields) > maxFields {
			return exceeded("root fields", maxFields)
		}
		if len(field.SelectionSet) > 0 {
			same.children = append(same.children, field.SelectionSet)
		}
		return nil
	}
	for _, set := range sets {
		if err := c.selectionSet(set, collect); err != nil {
			return err
		}
	}
	for _, same := range fields {
		if same.children == nil {
			continue
		}
		around := c.introspecting
		c.introspecting = around || isIntrospection(same.name)
		if err := c.level(same.children, depth+1, c.Fields); err != nil {
			return err
		}
		c.introspecting = around
	}
	return nil
}

// selectionSet puts fragments in place and collects the fields.
func (c *counter) selectionSet(set ast.SelectionSet, collect func(*ast.Field) *gqlerror.Error) *gqlerror.Error {
	for _, selection := range set {
		if c.selections++; c.selections > c.Fields {
			return exceeded("fields", c.Fields)
		}
		var err *gqlerror.Error
		switch selection := selection.(type) {
		case *ast.Field:
			if err = c.countField(selection); err == nil {
				err = collect(selection)
			}
		case *ast.InlineFragment:
			if err = c.countDirectives(selection.Directives); err == nil {
				err = c.selectionSet(selection.SelectionSet, collect)
			}
		case *ast.FragmentSpread:
			fragment := c.fragments[selection.Name]
			if err = c.countDirectives(selection.Directives); err == nil && fragment != nil && !c.entered[selection.Name] {
				c.spread[selection.Name], c.entered[selection.Name] = true, true
				err = c.selectionSet(fragment.SelectionSet, collect)
				delete(c.entered, selection.Name)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *counter) countField(field *ast.Field) *gqlerror.Error {
	if field.Alias != field.Name {
		if c.introspecting { // would multiply what has no pages
			return badRequest("The document has an alias in an introspection.")
		}
		if c.aliases++; c.aliases > c.Aliases {
			return exceeded("aliases", c.Aliases)
		}
		if len(field.Alias) > maxAlias {
			return badRequest(fmt.Sprintf("The document has an alias of more than %d bytes.", maxAlias))
		}
	}
	if isIntrospection(field.Name) {
		if c.introspections++; c.introspections > c.Introspections {
			return exceeded("introspections", c.Introspections)
		}
	}
	return c.countDirectives(field.Directives)
}

func isIntrospection(name string) bool { return name == "__schema" || name == "__type" }

func (c *counter) countDirectives(list ast.DirectiveList) *gqlerror.Error {
	if c.directives += len(list); c.directives > c.Directives {
		return exceeded("directives", c.Directives)
	}
	return nil
}

// defaultPage is the size of a page where neither the query nor the schema
// gives one.
const defaultPage = 20

// costOf is how many fields the answer may hold: each counts once per row of
// the pages around it.
func costOf(set ast.SelectionSet, variables map[string]any) float64 {
	cost := 0.0
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			cost++
			if len(selection.SelectionSet) > 0 {
				cost += pageSize(selection, variables) * costOf(selection.SelectionSet, variables)
			}
		case *ast.InlineFragment:
			cost += costOf(selection.SelectionSet, variables)
		case *ast.FragmentSpread:
			cost += costOf(selection.Definition.SelectionSet, variables)
		}
	}
	return cost
}

// pageSize is the larger of the arguments first and last, 1 for a field that
// has neither.
func pageSize(field *ast.Field, variables map[string]any) float64 {
	if field.Definition == nil {
		return 1
	}
	size, paged, given := 0.0, false, false
	for _, defined := range field.Definition.Arguments {
		if defined.Name != "first" && defined.Name != "last" {
			continue
		}
		paged = true
		n, ok := 0.0, false
		if argument := field.Arguments.ForName(defined.Name); argument != nil {
			n, ok = wholeValue(argument.Value, variables)
		}
		if !ok {
			n, ok = wholeValue(defined.DefaultValue, nil)
		}
		if ok {
			size, given = max(size, n), true
		}
	}
	switch {
	case !paged:
		return 1
	case !given:
		return defaultPage
	}
	return size
}

func wholeValue(value *ast.Value, variables map[string]any) (float64, bool) {
	if value == nil {
		return 0, false
	}
	resolved, _ := value.Value(variables) // what is no number is refused elsewhere
	n, ok := resolved.(int64)
	return float64(n), ok
}

// tooCostly refuses an operation whose answer could be too large.
func (l Limits) tooCostly(operation *ast.OperationDefinition, variables map[string]any) *gqlerror.Error {
	cost := costOf(operation.SelectionSet, variables)
	if cost <= float64(l.Cost) {
		return nil
	}
	err := badRequest(fmt.Sprintf("The operation costs %.0f, more than %d. Ask for smaller pages or fewer fields.", cost, l.Cost))
	err.Extensions["cost"], err.Extensions["maxCost"] = cost, l.Cost
	return err
}

// Introspection says who may ask for the schema.
type Introspection string

// Who may ask for the schema: everybody, who has a token, or nobody.
const (
	IntrospectionOn            Introspection = "on"
	IntrospectionAuthenticated Introspection = "authenticated"
	IntrospectionOff           Introspection = "off"
)

func (i Introspection) allowed(ctx context.Context) bool {
	return i == IntrospectionOn || i == IntrospectionAuthenticated && auth.ViewerFrom(ctx) != nil
}

func (i Introspection) refusal() *gqlerror.Error {
	if i == IntrospectionAuthenticated {
		return coded(&gqlerror.Error{}, CodeUnauthenticated, "Introspection asks for a token.")
	}
	return coded(&gqlerror.Error{}, CodeForbidden, "Introspection is off.")
}
