package graphqlhttp

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
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
		if reply := frame(m.ID, "pong", m.Payload); !json.Valid(reply) {
			t.Errorf("the reply is %q", reply)
		}
		checkEncode(t, m.Payload)
	})
}

// checkEncode checks that a request that is encoded to be executed later is the same.
func checkEncode(t *testing.T, payload []byte) {
	t.Helper()
	h := &Handler{MaxValues: 2000}
	read, refused := h.fromJSON(payload)
	if refused != nil || read.Query == "" {
		return
	}
	again := &request{}
	if err := again.decode(bytes.NewReader(read.encode(nil))); err != nil {
		t.Fatal(err)
	}
	if again.Query != read.Query || again.OperationName != read.OperationName || len(read.Variables) > 0 && !reflect.DeepEqual(again.Variables, read.Variables) {
		t.Errorf("%+v became %+v", read, again)
	}
}
