package graphqlhttp

import (
	"mime"
	"strconv"
	"strings"
)

const (
	jsonType         = "application/json"
	responseJSONType = "application/graphql-response+json"
	eventsType       = "text/event-stream"
)

// accepted is what a client can receive.
type accepted struct {
	json   string // the media type of results, "" for none
	events bool   // of subscriptions
}

// negotiateAll returns what a client accepts. Clients list text/event-stream for all
// operations, so what is sent depends on the operation. Wildcards do not count: who
// sends them does not expect a response without an end.
func negotiateAll(accept []string) accepted {
	return accepted{negotiate(accept), strings.Contains(strings.ToLower(strings.Join(accept, ",")), eventsType)}
}

// negotiate returns the media type of the response, or "" if the client accepts
// neither of GraphQL over HTTP. The most specific matching range determines the
// weight of each (RFC 9110, section 12.5.1). On a tie
// application/graphql-response+json wins if it was listed explicitly; otherwise
// application/json does.
func negotiate(accept []string) string {
	if len(accept) == 0 {
		return jsonType
	}
	ranges := strings.Join(accept, ",")
	if ranges == "*/*" || ranges == jsonType { // of most clients
		return jsonType
	}
	if len(ranges) > maxAccept {
		return ""
	}
	newType, oldType := preferences(ranges)
	switch {
	case newType.weight <= 0 && oldType.weight <= 0:
		return ""
	case newType.weight > oldType.weight, newType.weight == oldType.weight && newType.specific == named:
		return responseJSONType
	}
	return jsonType
}

// preferences returns those for the two media types.
func preferences(ranges string) (newType, oldType preference) {
	for part := range strings.SplitSeq(ranges, ",") {
		name, options, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, err := strconv.ParseFloat(options["q"], 64); err == nil {
			weight = q
		}
		switch name {
		case responseJSONType:
			newType.match(named, weight)
		case jsonType:
			oldType.match(named, weight)
		case "application/*":
			newType.match(subtypes, weight)
			oldType.match(subtypes, weight)
		case "*/*":
			newType.match(types, weight)
			oldType.match(types, weight)
		}
	}
	return newType, oldType
}

// maxAccept is the maximum length of an Accept header in bytes.
const maxAccept = 8190

const (
	types = 1 + iota // */*
	subtypes
	named
)

// preference is the weight of the most specific range so far.
type preference struct {
	specific int
	weight   float64
}

func (p *preference) match(specific int, weight float64) {
	if specific >= p.specific {
		*p = preference{specific, weight}
	}
}
