package document

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const inputSchema = `
	type Query { f(float: Float, matrix: [[Int!]!], choice: Choice, tree: Tree): Int }
	input Choice @oneOf { number: Int text: String }
	input Tree { value: Int = 1 flag: Boolean! = true children: [Tree!] sizes: [Int!] = 4 }`

// TestCache_CoercesVariables covers types that no input of the schema has: floats, nested lists,
// @oneOf and recursive inputs.
func TestCache_CoercesVariables(t *testing.T) {
	t.Parallel()
	cache := newTestCache(t, inputSchema)
	const query = `query($float: Float, $matrix: [[Int!]!], $choice: Choice) { f(float: $float, matrix: $matrix, choice: $choice) }`
	const tree = `query($tree: Tree = {children: [{value: 3, flag: false}]}) { f(tree: $tree) }`
	for _, c := range []struct{ query, variables, want string }{
		{query, `{}`, `{}`},
		{query, `{"float":1,"undeclared":2}`, `{"float":1}`},
		{query, `{"float":-2.5e-3}`, `{"float":-0.0025}`},
		{query, `{"float":1e999}`, `float must be a number. [float]`},
		{query, `{"float":"1"}`, `float must be a number. [float]`},
		{query, `{"matrix":[[1,2],[3.0]]}`, `{"matrix":[[1,2],[3]]}`},
		{query, `{"matrix":[1,[2]]}`, `{"matrix":[[1],[2]]}`},
		{query, `{"matrix":1}`, `{"matrix":[[1]]}`},
		{query, `{"matrix":[]}`, `{"matrix":[]}`},
		{query, `{"matrix":[[1,null],null,["x"]]}`, `matrix must not be null. [matrix 0 1]; matrix must not be null. [matrix 1]; matrix must be a whole number of 32 bits. [matrix 2 0]`},
		{query, `{"choice":{"number":1}}`, `{"choice":{"number":1}}`},
		{query, `{"choice":{}}`, `choice must have exactly one field, which must not be null. [choice]`},
		{query, `{"choice":{"text":null}}`, `choice must have exactly one field, which must not be null. [choice]`},
		{query, `{"choice":{"number":1,"text":"x"}}`, `choice must have exactly one field, which must not be null. [choice]`},
		{tree, `{}`, `{"tree":{"children":[{"flag":false,"sizes":[4],"value":3}],"flag":true,"sizes":[4],"value":1}}`},
		{tree, `{"tree":{"sizes":null}}`, `{"tree":{"flag":true,"sizes":null,"value":1}}`},
		{tree, `{"tree":{"children":[{},{"children":{"value":"x","flag":null}}]}}`,
			`value must be a whole number of 32 bits. [tree children 1 children value]; flag must not be null. [tree children 1 children flag]`},
		{tree, `{"tree":null}`, `{"tree":null}`},
	} {
		document, errs := cache.parse(c.query, nil)
		if errs != nil {
			t.Fatal(errs)
		}
		var values map[string]any
		if err := decodeNumbers(c.variables, &values); err != nil {
			t.Fatal(err)
		}
		coerced, errs := cache.CoerceVariables(document.Operations[0], values)
		var messages []string
		for _, err := range errs {
			messages = append(messages, fmt.Sprint(err.Message, " ", err.Extensions["field"]))
		}
		got := strings.Join(messages, "; ")
		if errs == nil {
			text, _ := json.Marshal(coerced)
			got = string(text)
		}
		if got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.variables, got, c.want)
		}
	}
}

func decodeNumbers(text string, target any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(target)
}
