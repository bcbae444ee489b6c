package compat

import (
	"strconv"
	"strings"
)

const renderedType = "application/json"

// maxAccept is gunicorn's limit on the length of a header, in bytes.
const maxAccept = 8190

// mediaType is a media range of an Accept header.
type mediaType struct {
	full       string // such as application/json, in lower case
	parameters string // unparsed, each preceded by a semicolon
}

// acceptedType returns the most specific range of an Accept header that matches the JSON
// renderer. It reports whether there is one. Weights are ignored.
func acceptedType(header string) (mediaType, bool) {
	best, highest := mediaType{}, -1
	for token := range strings.SplitSeq(header, ",") {
		candidate := parseMediaType(trim(token))
		if !candidate.matchesJSON() {
			continue
		}
		if precedence := candidate.precedence(); precedence > highest {
			best, highest = candidate, precedence
		}
	}
	if highest == 0 || highest == 1 { // the framework reformats a wildcard's parameters
		best = mediaType{renderedType, best.distinctParameters()}
	}
	return best, highest >= 0
}

// parseMediaType parses a media range as Django's parse_header_parameters does.
func parseMediaType(text string) mediaType {
	head, parameters := cutParameter(text)
	return mediaType{trim(lower(head)), parameters}
}

func (m mediaType) matchesJSON() bool {
	main, sub, _ := strings.Cut(m.full, "/")
	return (main == "*" || main == "application") && (sub == "*" || sub == "json")
}

// precedence returns 0 for any type, 1 for any subtype, 2 for a type and 3 for
// a type with parameters other than q.
func (m mediaType) precedence() int {
	main, sub, _ := strings.Cut(m.full, "/")
	switch {
	case main == "*":
		return 0
	case sub == "*":
		return 1
	}
	for name := range m.eachParameter {
		if name != "q" {
			return 3
		}
	}
	return 2
}

// eachParameter calls yield with the name, in lower case, and the value of each
// parameter.
func (m mediaType) eachParameter(yield func(name, value string) bool) {
	for rest := m.parameters; rest != ""; {
		var field string
		field, rest = cutParameter(rest[1:])
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			continue
		}
		name, extended := strings.CutSuffix(lower(trim(name)), "*")
		value = trim(value)
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = strings.ReplaceAll(value[1:len(value)-1], `\\`, `\`)
			value = strings.ReplaceAll(value, `\"`, `"`)
		}
		if extended {
			if parts := strings.Split(value, "'"); len(parts) == 3 { // RFC 2231: charset'language'value
				value = unquote(parts[2])
			}
		}
		if !yield(name, value) {
			return
		}
	}
}

// distinctParameters returns the parameters in the order of their first
// occurrence, each name once and with its last value.
func (m mediaType) distinctParameters() string {
	count := strings.Count(m.parameters, ";")
	names, values, indexes := make([]string, 0, count), make([]string, 0, count), make(map[string]int, count)
	for name, value := range m.eachParameter {
		if i, repeated := indexes[name]; repeated {
			values[i] = value
			continue
		}
		indexes[name] = len(names)
		names, values = append(names, name), append(values, value)
	}
	var text strings.Builder
	for i, name := range names {
		text.WriteByte(';')
		text.WriteString(name)
		text.WriteByte('=')
		text.WriteString(values[i])
	}
	return text.String()
}

// cutParameter cuts s before its first unquoted semicolon.
func cutParameter(s string) (field, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"' && (i == 0 || s[i-1] != '\\'):
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

const maxIndent = 8

// indentWidth returns the number of spaces of an indentation, or 0 for a compact
// body.
func indentWidth(m mediaType) int {
	last := ""
	for name, value := range m.eachParameter {
		if name == "indent" {
			last = value
		}
	}
	width, _ := pythonInt(last)
	return min(max(width, 0), maxIndent)
}

// maxDigits is Python's limit on the digits of an integer in text.
const maxDigits = 4300

// pythonInt converts Latin-1 text as Python's int() does, and reports whether
// that succeeds. It clamps numbers that do not fit.
func pythonInt(s string) (int, bool) {
	s = trim(s)
	sign := 1
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	if strings.HasPrefix(s, "_") || strings.HasSuffix(s, "_") || strings.Contains(s, "__") {
		return 0, false
	}
	s = strings.ReplaceAll(s, "_", "")
	if !isDigits(s) || len(s) > maxDigits {
		return 0, false
	}
	n, _ := strconv.Atoi(s) // the largest int if out of range
	return sign * n, true
}

// trim trims Latin-1 text as Python's str.strip() does.
func trim(s string) string {
	for s != "" && isLatin1Space(s[0]) {
		s = s[1:]
	}
	for s != "" && isLatin1Space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isLatin1Space(c byte) bool {
	return '\t' <= c && c <= '\r' || 0x1c <= c && c <= ' ' || c == 0x85 || c == 0xa0
}

// lower returns s with ASCII letters in lower case. Names of types and
// parameters hold no other letters, and a header need not be UTF-8.
func lower(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if isLetter(c) {
			b[i] = c | 0x20
		}
	}
	return string(b)
}
