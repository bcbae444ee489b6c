package graph

import (
	"maps"
	"slices"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// fieldNames returns the names of the encoder's type and of its fields.
func (o *objectEncoder[T]) fieldNames() (string, []string) {
	return o.name, slices.Collect(maps.Keys(o.fields))
}

// TestEncoders_HaveAllLeafFields checks that no scalar or enum of a bound model is left to
// gqlgen, which would encode each list with it several times slower, and that encoders have
// no other fields than the schema.
func TestEncoders_HaveAllLeafFields(t *testing.T) {
	t.Parallel()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: SDL()})
	for _, encoder := range []interface{ fieldNames() (string, []string) }{
		portfolioEncoder, linkEncoder, imageEncoder, thumbnailEncoder, userEncoder, tokenEncoder, pageInfoEncoder,
		portfolioConnectionEncoder, linkConnectionEncoder, imageConnectionEncoder, userConnectionEncoder, tokenConnectionEncoder,
	} {
		name, encoded := encoder.fieldNames()
		for _, field := range schema.Types[name].Fields {
			if schema.Types[field.Type.Name()].IsLeafType() && !slices.Contains(encoded, field.Name) {
				t.Errorf("%s.%s has no encoder", name, field.Name)
			}
		}
		for _, field := range encoded {
			if schema.Types[name].Fields.ForName(field) == nil {
				t.Errorf("%s.%s is encoded, but not in the schema", name, field)
			}
		}
	}
}
