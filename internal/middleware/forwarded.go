package middleware

import (
	"net/netip"
	"strconv"
	"strings"
)

// headerList iterates over a comma-separated list from its end. Proxies append to it, so
// elements of a client cannot hide elements of proxies.
type headerList struct {
	lines []string
	rest  string // of the line being read
}

// last removes the last element that is not empty and returns it without white
// space.
func (l *headerList) last() (element string, ok bool) {
	for {
		if l.rest == "" {
			if len(l.lines) == 0 {
				return "", false
			}
			l.rest, l.lines = l.lines[len(l.lines)-1], l.lines[:len(l.lines)-1]
		}
		comma := lastComma(l.rest)
		element = strings.Trim(l.rest[comma+1:], " \t")
		l.rest = l.rest[:max(comma, 0)]
		if element != "" {
			return element, true
		}
	}
}

// lastComma returns the index of the last comma that is not quoted, or -1.
func lastComma(s string) int {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && !isEscaped(s, i):
			quoted = !quoted
		case s[i] == ',' && !quoted:
			return i
		}
	}
	return -1
}

// isEscaped reports whether an odd number of backslashes precedes s[i].
func isEscaped(s string, i int) bool {
	unescaped := len(strings.TrimRight(s[:i], `\`))
	return (i-unescaped)%2 == 1
}

// hop is an element of a Forwarded header, in which one proxy describes the request that it
// received.
type hop struct{ node, proto, host string }

// parseHop parses an element of a Forwarded header, and reports whether it is well-formed. It
// does not check the values.
func parseHop(element string) (h hop, ok bool) {
	for element != "" {
		name, rest, hasValue := strings.Cut(element, "=")
		value, rest, closed := cutValue(rest)
		if !hasValue || !closed || !isToken(name) || !h.set(name, value) {
			return hop{}, false
		}
		element = rest
	}
	return h, true
}

// set sets the parameter name. It reports false if name is repeated.
func (h *hop) set(name, value string) bool {
	var parameter *string
	switch {
	case strings.EqualFold(name, "for"):
		parameter = &h.node
	case strings.EqualFold(name, "proto"):
		parameter = &h.proto
	case strings.EqualFold(name, "host"):
		parameter = &h.host
	default:
		return true
	}
	unset := *parameter == ""
	*parameter = value
	return unset
}

// cutValue cuts a token or a quoted string, and the semicolon that follows, from
// the start of s. Escapes in a quoted string are left as they are: no address,
// scheme or host needs one.
func cutValue(s string) (value, rest string, ok bool) {
	if s != "" && s[0] == '"' {
		quote := 1
		for quote < len(s) && (s[quote] != '"' || isEscaped(s, quote)) {
			quote++
		}
		if quote == len(s) {
			return "", "", false
		}
		value, s = s[1:quote], s[quote+1:]
	} else {
		semicolon := strings.IndexByte(s, ';')
		if semicolon < 0 {
			semicolon = len(s)
		}
		value, s = strings.TrimRight(s[:semicolon], " \t"), s[semicolon:]
		if !isToken(value) {
			return "", "", false
		}
	}
	s = strings.TrimLeft(s, " \t")
	rest, ok = strings.CutPrefix(s, ";")
	return value, strings.TrimLeft(rest, " \t"), ok || s == ""
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// validHost reports whether host is a name, an IPv4 address or an IPv6 address in
// brackets, with or without a port.
func validHost(host string) bool {
	name := host
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		name = host[:colon]
		if number, err := strconv.ParseUint(host[colon+1:], 10, 16); err != nil || number == 0 {
			return false
		}
	}
	if strings.HasPrefix(name, "[") {
		address, err := netip.ParseAddr(strings.TrimSuffix(name[1:], "]"))
		return err == nil && address.Is6() && address.Zone() == "" && strings.HasSuffix(name, "]")
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && c != '-' && c != '.' {
			return false
		}
	}
	return len(name) <= maxHostname && strings.Trim(name, ".-") != ""
}

const maxHostname = 253 // characters, of the Domain Name System
