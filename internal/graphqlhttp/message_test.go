package graphqlhttp

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
)

// FuzzMessage checks that a message is refused, or is what encoding/json reads, of a known
// type, and with an ID of bounded length where it needs one.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{
		`{"type":"connection_init","payload":{"Authorization":"Token k"}}`, `{"type":"ping"}`, `{"id":"1","type":"complete"}`,
		`{"id":"1","type":"subscribe","payload":{"query":"{a}","variables":{"a":[1.0e5,"\ud800",null]},"extensions":{}}}`,
		`{"id":1,"type":"subscribe"}`, `{"ID":"1","Type":"subscribe"}`, `[]`, `{`, `null`, "\xff",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMessage(text)
		if err != nil {
			return
		}
		if !json.Valid(text) || !slices.Contains([]string{"connection_init", "ping", "pong", "subscribe", "complete"}, m.Type) {
			t.Errorf("accepted %q", text)
		}
		if needed := m.Type == "subscribe" || m.Type == "complete"; needed && (m.ID == "" || len(m.ID) > maxID) {
			t.Errorf("accepted the ID %q", m.ID)
		}
		if reply := encodeMessage(m.ID, "pong", m.Payload); !json.Valid(reply) {
			t.Errorf("the reply is %q", reply)
		}
		checkEncode(t, m.Payload)
	})
}

// checkEncode checks that a request that is encoded to be executed later is the same.
func checkEncode(t *testing.T, payload []byte) {
	t.Helper()
	parsed, reqErr := parseJSON(payload, 2000)
	if reqErr != nil || parsed.Query == "" {
		return
	}
	op := &operation{OperationContext: &graphql.OperationContext{
		Operation: &ast.OperationDefinition{Name: parsed.OperationName}, Variables: parsed.Variables,
	}}
	decoded := new(request)
	if err := decoded.decode(strings.NewReader(parsed.subscription(op))); err != nil {
		t.Fatal(err)
	}
	if decoded.Query != parsed.Query || decoded.OperationName != parsed.OperationName || len(parsed.Variables) > 0 && !reflect.DeepEqual(decoded.Variables, parsed.Variables) {
		t.Errorf("%+v became %+v", parsed, decoded)
	}
}
