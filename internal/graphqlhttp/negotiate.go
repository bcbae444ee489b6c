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

// mediaTypes are the media types that a client accepts.
type mediaTypes struct {
	json   string // the media type of results, "" for none
	events bool   // of subscriptions
}

// negotiate returns the media types that a client accepts. Some clients list text/event-stream
// for all operations, so the media type of a response depends on its operation. Wildcards do not
// match text/event-stream, because clients that send wildcards do not expect an endless
// response.
//
// The most specific matching range determines the weight of each media type (RFC 9110,
// section 12.5.1). On a tie application/graphql-response+json wins if it was listed
// explicitly; otherwise application/json does.
func negotiate(accept []string) mediaTypes {
	if len(accept) == 0 {
		return mediaTypes{json: jsonType}
	}
	ranges := strings.Join(accept, ",")
	if ranges == "*/*" || ranges == jsonType { // the value of most clients
		return mediaTypes{json: jsonType}
	}
	if len(ranges) > maxAccept {
		return mediaTypes{}
	}
	newType, oldType, events := preferences(ranges)
	accepted := mediaTypes{json: jsonType, events: events.weight > 0}
	switch {
	case newType.weight <= 0 && oldType.weight <= 0:
		accepted.json = ""
	case newType.weight > oldType.weight, newType.weight == oldType.weight && newType.specific == named:
		accepted.json = responseJSONType
	}
	return accepted
}

// preferences returns the preferences for the three media types.
func preferences(ranges string) (newType, oldType, events preference) {
	for ranges != "" {
		length := rangeLength(ranges)
		name, options, err := mime.ParseMediaType(ranges[:length])
		ranges = strings.TrimPrefix(ranges[length:], ",")
		if err != nil {
			continue
		}
		weight := 1.0
		if q, err := strconv.ParseFloat(options["q"], 64); err == nil {
			weight = q
		}
		switch name {
		case eventsType:
			events.match(named, weight)
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
	return newType, oldType, events
}

// rangeLength returns the index of the first comma that is not quoted, or else the length of
// ranges.
func rangeLength(ranges string) int {
	quoted := false
	for i := 0; i < len(ranges); i++ {
		switch {
		case ranges[i] == '"':
			quoted = !quoted
		case ranges[i] == '\\' && quoted:
			i++
		case ranges[i] == ',' && !quoted:
			return i
		}
	}
	return len(ranges)
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
