package document

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

// TestSource_RejectsUnknownBlockString checks that a block string without a value is rejected
// instead of being empty.
func TestSource_RejectsUnknownBlockString(t *testing.T) {
	t.Parallel()
	const text = "query A($v: String = \"\"\"default\"\"\") {\n  a(b: [\"\"\"\n  one\n  \"\"\", \"\"\"two\"\"\"]) }"
	for _, want := range []gqlerror.Location{{Line: 1, Column: 22}, {Line: 2, Column: 9}, {Line: 4, Column: 8}} {
		query, err := parser.ParseQuery(&ast.Source{Input: text})
		if err != nil {
			t.Fatal(err)
		}
		source := scan(text, 100)
		if _, ok := source.blocks[want]; !ok {
			t.Fatalf("no block string at %v: %v", want, source.blocks)
		}
		delete(source.blocks, want)
		got := source.repair(query)
		if got == nil || !cmp.Equal(got.Locations, []gqlerror.Location{want}) {
			t.Errorf("got %+v, want an error at %v", got, want)
		}
	}
}

// FuzzBlockStrings checks that the scanner finds the value of each block string that gqlparser
// accepts.
func FuzzBlockStrings(f *testing.F) {
	for _, text := range []string{
		`{a(b:"""x""")}`, "{a(b:\"\"\"\n é\r\n  😀\n\"\"\" c:\"\"\"\"\"\" d:\"\")}", `{a(b:"""\"""" """)}`, "\uFEFF#x\r{a(b:[1-2\"\"\"\uFEFF\r\r\"\"\"\"x\"])}",
		"query($v:S=\"\"\"x\n\"\"\"@a(b:\"\"\"\"\"\")){...F@b(c:{d:\"\"\"\n\n\"\"\"})} fragment F on A@c(d:\"\"\"\"\"\"){a}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := parseQuery(text, 1000); err != nil && strings.Contains(err.Message, "block string") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
