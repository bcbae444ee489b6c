package graphqlhttp

import "testing"

// TestNegotiate_WeighsMediaRanges covers lists of media ranges as RFC 9110 defines them.
func TestNegotiate_WeighsMediaRanges(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]mediaTypes{
		"*/*":                                       {json: jsonType},
		"text/event-stream":                         {events: true},
		"Text/Event-Stream;charset=utf-8":           {events: true},
		"text/event-stream;q=0.001, */*":            {jsonType, true},
		"application/json, text/event-stream":       {jsonType, true},
		"text/event-streamx":                        {},
		"x-text/event-stream, application/json":     {json: jsonType},
		"text/event-stream;q=0, application/json":   {json: jsonType},
		"text/event-stream; Q=0.000":                {},
		"text/*, application/json":                  {json: jsonType},
		`text/plain;x="text/event-stream"`:          {},
		`text/plain;x="a,text/event-stream,b"`:      {},
		`text/plain;x="\",text/event-stream,"`:      {},
		`text/plain;x="a,b",text/event-stream`:      {events: true},
		`text/plain;x="a,b", application/json`:      {json: jsonType},
		"text/event-stream/x, application/json":     {json: jsonType},
		responseJSONType + ",text/event-stream;q=1": {responseJSONType, true},
	} {
		if got := negotiate([]string{header}); got != want {
			t.Errorf("%s: %+v, want %+v", header, got, want)
		}
	}
	if got, want := negotiate([]string{"text/event-stream", "application/json"}), (mediaTypes{jsonType, true}); got != want {
		t.Errorf("two lines: %+v, want %+v", got, want)
	}
}
