package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// generator writes random documents of a schema, and variables for them. Most documents are
// valid.
type generator struct {
	*rand.Rand
	schema      *ast.Schema
	definitions []string       // of the variables of the operation
	variables   map[string]any // what is sent
	fragments   []fragment
	text        map[string]string // of the fragments
	constant    bool              // no variables may be used
}

type fragment struct{ name, condition string }

// request is what both servers get.
type request struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName,omitempty"`
	Variables     map[string]any `json:"variables"`
}

// newRequest returns the request of a seed.
func newRequest(schema *ast.Schema, seed uint64) request {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 28)), schema: schema, variables: map[string]any{}, text: map[string]string{}}
	r := request{Query: g.operation("A"), Variables: g.variables}
	if g.chance(0.1) { // they share fragments
		g.definitions = nil
		r.Query, r.OperationName = r.Query+"\n"+g.operation("B"), g.pick("A", "B", "A", "C")
	}
	for _, fragment := range g.fragments {
		r.Query += "\n" + g.text[fragment.name]
	}
	if g.chance(0.25) {
		r.Query = g.mutate(r.Query)
	}
	return r
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func (g *generator) pick(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *generator) operation(name string) string {
	kind, of := "query", g.schema.Query
	switch {
	case g.chance(0.1):
		kind, of = "subscription", g.schema.Subscription
	case g.chance(0.15):
		kind, of = "mutation", g.schema.Mutation
	}
	count := 1 + g.IntN(3)
	if kind == "subscription" && g.chance(0.8) {
		count = 1
	}
	selections := g.selections(of, count, 0)
	definitions := ""
	if len(g.definitions) > 0 {
		definitions = "(" + strings.Join(g.definitions, g.space()) + ")"
	}
	return kind + " " + name + definitions + selections
}

// space returns what separates tokens.
func (g *generator) space() string {
	return g.pick(" ", " ", " ", "\n", "\r\n", ", ", "\n# éß {\n", "\r  ", "\uFEFF ")
}

const maxLevel = 5

func (g *generator) selections(of *ast.Definition, count, level int) string {
	parts := make([]string, 0, count)
	for range count {
		switch {
		case g.chance(0.08):
			parts = append(parts, "..."+g.pick("", " on "+g.condition(of))+g.directives()+g.selections(of, 1, level+1))
		case g.chance(0.09): // of the rest
			parts = append(parts, "..."+g.pick("", " ")+g.fragment(of, level)+" "+g.directives())
		default:
			parts = append(parts, g.field(of, level))
		}
	}
	return "{" + strings.Join(parts, g.space()) + "}"
}

// condition returns the name of the type, or of another type that its objects may have.
func (g *generator) condition(of *ast.Definition) string {
	names := []string{of.Name}
	for _, possible := range g.schema.PossibleTypes[of.Name] {
		names = append(names, possible.Name)
	}
	names = append(names, of.Interfaces...)
	if g.chance(0.05) {
		names = []string{"Image", "Node", "String", "Nothing", "Direction"}
	}
	return g.pick(names...)
}

// fragment returns the name of a fragment, which may be new.
func (g *generator) fragment(of *ast.Definition, level int) string {
	for _, f := range g.fragments {
		if f.condition == of.Name && g.text[f.name] != "" && g.chance(0.5) {
			return f.name
		}
	}
	f := fragment{fmt.Sprintf("F%d", len(g.fragments)), of.Name}
	g.fragments = append(g.fragments, f)
	g.text[f.name] = fmt.Sprintf("fragment %s on %s %s", f.name, f.condition, g.selections(of, 1+g.IntN(2), level+1))
	return f.name
}

func (g *generator) directives() string {
	if !g.chance(0.07) {
		return ""
	}
	return "@" + g.pick("skip", "include") + "(if:" + g.value(ast.NonNullNamedType("Boolean", nil), false, 0) + ")"
}

// introspection selects some of what a type is.
func (g *generator) introspection() string {
	const reference = `{kind name ofType{kind name ofType{kind name isOneOf}}}`
	fields := []string{"kind", "name", "isOneOf", "specifiedByURL", "fields{name isDeprecated deprecationReason type" + reference + " args{name defaultValue type" + reference + "}}",
		"interfaces{name}", "possibleTypes{name}", "enumValues(includeDeprecated:true){name}", "inputFields{name defaultValue type" + reference + "}", "__typename"}
	g.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	name := g.pick("Query", "Node", "Image", "URL", "OrderField", "CreateUserInput", "Order", "Boolean", "Nothing")
	return `__type(name:"` + name + `"){` + strings.Join(fields[:1+g.IntN(5)], g.space()) + "}"
}

func (g *generator) field(of *ast.Definition, level int) string {
	if of == g.schema.Query && g.chance(0.04) {
		return g.introspection()
	}
	alias := ""
	if g.chance(0.12) {
		alias = g.pick("a", "b", "name") + ":"
	}
	fields := slices.DeleteFunc(slices.Clone(of.Fields), func(f *ast.FieldDefinition) bool {
		return strings.HasPrefix(f.Name, "__") || level >= maxLevel && !g.schema.Types[f.Type.Name()].IsLeafType() ||
			strings.Contains(strings.ToLower(f.Name), "cursor") && !g.chance(0.05)
	})
	if len(fields) == 0 || g.chance(0.05) {
		return alias + "__typename" + g.directives()
	}
	field := fields[g.IntN(len(fields))]
	text := alias + field.Name + g.arguments(field.Arguments) + g.directives()
	if of := g.schema.Types[field.Type.Name()]; !of.IsLeafType() {
		text += g.selections(of, 1+g.IntN(3), level+1)
	}
	return text
}

func (g *generator) arguments(list ast.ArgumentDefinitionList) string {
	var parts []string
	for _, argument := range list {
		p := 0.06
		switch {
		case argument.Type.NonNull:
			p = 0.98
		case argument.Name == "first":
			p = 0.4
		}
		if g.chance(p) {
			parts = append(parts, argument.Name+":"+g.value(argument.Type, argument.DefaultValue != nil, 0))
		}
	}
	if parts == nil {
		return ""
	}
	return "(" + strings.Join(parts, g.space()) + ")"
}

// value returns a literal, or a variable that it defines.
func (g *generator) value(of *ast.Type, hasDefault bool, level int) string {
	if g.constant || !g.chance(0.3) {
		return g.literal(of, level)
	}
	name, defined := fmt.Sprintf("v%d", len(g.definitions)), *of
	definition := ""
	switch {
	case of.NonNull && g.chance(0.4):
		defined.NonNull = false
		definition = " = " + g.constantLiteral(&defined)
	case of.NonNull && hasDefault && g.chance(0.5):
		defined.NonNull = false
	case g.chance(0.2):
		definition = " = " + g.constantLiteral(&defined)
	case g.chance(0.05):
		defined = *ast.NamedType(g.pick("Int", "ID", "String", "Order", "Image"), nil)
	case g.chance(0.06): // of the rest
		defined.NonNull = !defined.NonNull
	}
	g.definitions = append(g.definitions, "$"+name+":"+defined.String()+definition)
	if g.chance(0.8) {
		g.variables[name] = g.json(&defined, 0)
	}
	return "$" + name
}

func (g *generator) constantLiteral(of *ast.Type) string {
	constant := g.constant
	g.constant = true
	defer func() { g.constant = constant }()
	return g.literal(of, 1)
}

// mutate changes a few characters of a text.
func (g *generator) mutate(text string) string {
	characters := []rune(text)
	for range 1 + g.IntN(2) {
		i := g.IntN(len(characters))
		end := min(len(characters), i+1+g.IntN(4))
		switch g.IntN(3) {
		case 0:
			characters = slices.Delete(characters, i, end)
		case 1:
			characters = slices.Insert(characters, i, slices.Clone(characters[i:end])...)
		default:
			characters = slices.Insert(characters, i, []rune(g.pick("{", "}", "(", ")", "[", "]", "!", "$v0", "$", ":", "=", "@skip(if:true)", "...", "...F0", " on ", "|", "&",
				"\"", `""`, `"""`, "\"\"\"a\n  b\"\"\"", `"\u0041"`, `"\uD83D"`, `"\uD83D\uDE00"`, `"\u{1F600}"`, `\`, "0", "-", "1.5", "1e3", "0x1", ".", "#", "\r", "\r\n", "\n", "null", "é", "'"))...)
		}
		if len(characters) == 0 {
			return "{"
		}
	}
	return string(characters)
}

func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it has no channels
	}
	return string(text)
}
