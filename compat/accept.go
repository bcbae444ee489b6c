package compat

import (
	"strconv"
	"strings"
)

const renderedType = "application/json"

// maxAccept is how long a header line may be for gunicorn, in bytes.
const maxAccept = 8190

// mediaType is one range of an Accept header.
type mediaType struct {
	full       string // such as application/json, in lower case
	parameters string // as they are written, each behind a semicolon
}

// acceptedType is the range of an Accept header that the JSON renderer
// answers to, the most specific first. Weights count for nothing.
func acceptedType(header string) (mediaType, bool) {
	best, found := mediaType{}, -1
	for token := range strings.SplitSeq(header, ",") {
		candidate := parseMediaType(trim(token))
		if !candidate.matchesJSON() {
			continue
		}
		if precedence := candidate.precedence(); precedence > found {
			best, found = candidate, precedence
		}
	}
	if found == 0 || found == 1 { // a wildcard: its parameters are written out, then read again
		best = parseMediaType(renderedType + best.distinctParameters())
	}
	return best, found >= 0
}

// parseMediaType is Django's parse_header_parameters.
func parseMediaType(text string) mediaType {
	head, parameters := cutParameter(text)
	return mediaType{trim(lower(head)), parameters}
}

func (m mediaType) matchesJSON() bool {
	main, sub, _ := strings.Cut(m.full, "/")
	return (main == "*" || main == "application") && (sub == "*" || sub == "json")
}

// precedence is 0 for any type, 1 for any subtype, 2 for a type and 3 for a
// type with parameters other than q.
func (m mediaType) precedence() int {
	main, sub, _ := strings.Cut(m.full, "/")
	switch {
	case main == "*":
		return 0
	case sub == "*":
		return 1
	}
	for name := range m.each {
		if name != "q" {
			return 3
		}
	}
	return 2
}

// each calls yield with the name of each parameter, in lower case, and its
// value.
func (m mediaType) each(yield func(name, value string) bool) {
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

// distinctParameters writes each name once, where it stands first, with the
// last of its values.
func (m mediaType) distinctParameters() string {
	count := strings.Count(m.parameters, ";")
	names, values, places := make([]string, 0, count), make([]string, 0, count), make(map[string]int, count)
	for name, value := range m.each {
		place, repeated := places[name]
		if repeated {
			values[place] = value
			continue
		}
		places[name] = len(names)
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

// cutParameter cuts at the first semicolon that is not between quotes; rest
// begins with it.
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

// indentOf is by how many blanks a body is indented, 0 for not at all.
func indentOf(m mediaType) int {
	last := ""
	for name, value := range m.each {
		if name == "indent" {
			last = value
		}
	}
	width, _ := pythonInt(last)
	return min(max(width, 0), maxIndent)
}

// maxDigits is how many digits Python reads as an integer.
const maxDigits = 4300

// pythonInt is Python's int() of latin-1 text; what does not fit is as large
// as can be.
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
	n, _ := strconv.Atoi(s) // the largest int where it does not fit
	return sign * n, true
}

// trim cuts what Python's str.strip() does of latin-1 text.
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

// lower maps ASCII only: a header holds latin-1, of which no other letter
// matters.
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
