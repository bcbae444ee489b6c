package graph

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/auth"
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
	Cost           int `name:"max-cost" env:"MAX_COST" default:"10000" help:"Fields that an answer may hold, pages counted in full; a search counts 500, totalCount 50."`
	Values         int `name:"max-values" env:"MAX_VALUES" default:"2000" help:"Values in the variables and extensions of a request."`
	Response       int `name:"max-response" env:"MAX_RESPONSE" default:"8388608" help:"Bytes of a response."`
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
	fragments map[string]*ast.FragmentDefinition
	spread    map[string]bool // fragments that were reached
	entered   map[string]bool // fragments around the current selection

	selections, aliases, directives, introspections int
	introspecting                                   bool // inside __schema or __type

	err *gqlerror.Error // the first limit that was exceeded
}

// count counts every operation, and the fragments that none uses: they are
// validated too.
func (l Limits) count(document *ast.QueryDocument) (introspections int, err *gqlerror.Error) {
	c := counter{
		Limits:    l,
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
		c.atMost(roots, c.RootFields, "root fields")
	}
	for _, fragment := range document.Fragments {
		if !c.spread[fragment.Name] {
			c.spread[fragment.Name] = true
			c.object([]ast.SelectionSet{fragment.SelectionSet}, 1)
		}
	}
	return c.introspections, c.err
}

func (c *counter) atMost(count, limit int, what string) {
	if count > limit && c.err == nil {
		c.err = exceeded(what, limit)
	}
}

// merged are the fields of one name in one object.
type merged struct {
	field    *ast.Field // the first one
	count    int
	children []ast.SelectionSet
}

// object counts the selections of one object, and returns how many fields it
// has.
func (c *counter) object(sets []ast.SelectionSet, depth int) int {
	c.atMost(depth, c.Depth, "levels of fields")
	var fields []*merged
	names := map[string]*merged{}
	for _, set := range sets {
		c.selectionSet(set, func(field *ast.Field) {
			same := names[field.Alias]
			if same == nil {
				same = &merged{field: field}
				names[field.Alias] = same
				fields = append(fields, same)
			}
			same.count++
			c.atMost(same.count, c.Duplicates, "fields of one name in one object")
			if len(field.SelectionSet) > 0 {
				same.children = append(same.children, field.SelectionSet)
			}
		})
	}
	for _, same := range fields {
		if same.children == nil || c.err != nil {
			continue
		}
		around := c.introspecting
		c.introspecting = around || isIntrospection(same.field)
		c.object(same.children, depth+1)
		c.introspecting = around
	}
	return len(fields)
}

// selectionSet puts fragments in place and collects the fields.
func (c *counter) selectionSet(set ast.SelectionSet, collect func(*ast.Field)) {
	for _, selection := range set {
		c.selections++
		c.atMost(c.selections, c.Fields, "fields")
		if c.err != nil {
			return
		}
		switch selection := selection.(type) {
		case *ast.Field:
			c.countField(selection)
			collect(selection)
		case *ast.InlineFragment:
			c.countDirectives(selection.Directives)
			c.selectionSet(selection.SelectionSet, collect)
		case *ast.FragmentSpread:
			c.countDirectives(selection.Directives)
			fragment := c.fragments[selection.Name]
			if fragment == nil { // validation says so
				continue
			}
			if c.entered[selection.Name] {
				c.err = cmp.Or(c.err, badRequest("A fragment of the document spreads itself."))
				return
			}
			c.spread[selection.Name], c.entered[selection.Name] = true, true
			c.selectionSet(fragment.SelectionSet, collect)
			delete(c.entered, selection.Name)
		}
	}
}

func (c *counter) countField(field *ast.Field) {
	c.countDirectives(field.Directives)
	if isIntrospection(field) {
		c.introspections++
		c.atMost(c.introspections, c.Introspections, "introspections")
	}
	if field.Alias == field.Name {
		return
	}
	c.aliases++
	c.atMost(c.aliases, c.Aliases, "aliases")
	switch {
	case len(field.Alias) > maxAlias:
		c.err = cmp.Or(c.err, badRequest(fmt.Sprintf("The document has an alias of more than %d bytes.", maxAlias)))
	case c.introspecting: // would multiply what has no pages
		c.err = cmp.Or(c.err, badRequest("The document has an alias in an introspection."))
	}
}

func (c *counter) countDirectives(list ast.DirectiveList) {
	c.directives += len(list)
	c.atMost(c.directives, c.Directives, "directives")
}

func isIntrospection(field *ast.Field) bool {
	return field.Name == "__schema" || field.Name == "__type"
}

// assumedPage is the size of a page where neither the query nor the schema
// gives one.
const assumedPage = 20

// heavyCost is the cost of work that takes more than a few milliseconds: a page
// of 100 links with everything costs 2,100.
const heavyCost = 2500

// price is what an operation may cost.
type price struct {
	cost  float64
	scans bool // reads rows that the response does not hold
}

func (p price) heavy() bool { return p.scans || p.cost > heavyCost }

func priceOf(schema *ast.Schema, operation *ast.OperationDefinition, variables map[string]any) price {
	p := pricer{schema: schema, variables: variables}
	cost := p.costOf(operation.SelectionSet)
	return price{cost, p.scans}
}

// pricer adds up costs: each field counts once per row of the pages around it,
// and what has the directive @cost as much as that says.
type pricer struct {
	schema    *ast.Schema
	variables map[string]any
	scans     bool
}

func (p *pricer) costOf(set ast.SelectionSet) float64 {
	cost := 0.0
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			cost += p.fieldCost(selection)
		case *ast.InlineFragment:
			cost += p.costOf(selection.SelectionSet)
		case *ast.FragmentSpread:
			cost += p.costOf(selection.Definition.SelectionSet)
		}
	}
	return cost
}

func (p *pricer) fieldCost(field *ast.Field) float64 {
	cost := 1.0
	if field.Definition != nil {
		if weight, ok := p.weight(field.Definition.Directives); ok {
			cost = weight
		}
		for _, argument := range field.Arguments {
			if defined := field.Definition.Arguments.ForName(argument.Name); defined != nil && !p.schema.Types[defined.Type.Name()].IsLeafType() {
				value, _ := argument.Value.Value(p.variables) // what has no value is refused elsewhere
				cost += p.inputCost(defined.Type, value)
			}
		}
	}
	if len(field.SelectionSet) > 0 {
		cost += pageSize(field, p.variables) * p.costOf(field.SelectionSet)
	}
	return cost
}

// inputCost is what the fields of an input cost that are given.
func (p *pricer) inputCost(of *ast.Type, value any) float64 {
	cost := 0.0
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			cost += p.inputCost(of, element)
		}
	case map[string]any:
		for _, field := range p.schema.Types[of.Name()].Fields {
			if given := value[field.Name]; given != nil {
				weight, _ := p.weight(field.Directives)
				cost += weight + p.inputCost(field.Type, given)
			}
		}
	}
	return cost
}

// weight returns the argument of the directive @cost. What has one scans.
func (p *pricer) weight(directives ast.DirectiveList) (float64, bool) {
	directive := directives.ForName("cost")
	if directive == nil {
		return 0, false
	}
	p.scans = true
	return wholeValue(directive.Arguments.ForName("weight").Value, nil)
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
		return assumedPage
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
func (l Limits) tooCostly(price price) *gqlerror.Error {
	if price.cost <= float64(l.Cost) {
		return nil
	}
	err := badRequest(fmt.Sprintf("The operation costs %.0f, more than %d. Ask for smaller pages or fewer fields.", price.cost, l.Cost))
	err.Extensions["cost"], err.Extensions["maxCost"] = price.cost, l.Cost
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
