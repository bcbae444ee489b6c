package compat

import (
	"net/http"
	"strconv"
	"strings"

	"portfolio/db"
)

// maxQueryFields is Django's DATA_UPLOAD_MAX_NUMBER_FIELDS. A query with more
// fields is a bad request.
const maxQueryFields = 1000

// route is a parsed path.
type route struct {
	path        string     // decoded
	portfolioID *db.NodeID // nil for /api/portfolios/links/{id}, the path in the example of the documentation
	id          db.NodeID
	overflow    bool // an ID exceeds 64 bits, so that no row can have it
}

// splitTarget splits a raw request target into its decoded path and its query. Like gunicorn, it
// ignores a fragment and the origin of an absolute URL.
func splitTarget(target string) (path, query string) {
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") {
		if _, rest, absolute := strings.Cut(target, "://"); absolute {
			if slash := strings.IndexAny(rest, "/?"); slash >= 0 {
				target = rest[slash:]
			}
		}
	}
	path, query, _ = strings.Cut(target, "?")
	return unquote(path), query
}

// IsLink reports whether the target of a request is the path of a link, with or without a
// query.
func IsLink(target string) bool {
	path, _ := splitTarget(target)
	_, ok := parseRoute(path)
	return ok && strings.HasPrefix(target, "/")
}

// parseRoute parses a decoded path and reports whether it matches a route.
func parseRoute(path string) (route, bool) {
	rest, ok := strings.CutPrefix(path, "/api/portfolios/")
	if !ok {
		return route{}, false
	}
	rt := route{path: path}
	if digits, tail, ok := strings.Cut(rest, "/"); ok && isDigits(digits) {
		id, err := strconv.ParseInt(digits, 10, 64)
		rt.portfolioID, rt.overflow, rest = &db.NodeID{ID: id}, err != nil, tail
	}
	digits, ok := strings.CutPrefix(rest, "links/")
	if !ok || !isDigits(digits) {
		return route{}, false
	}
	id, err := strconv.ParseInt(digits, 10, 64)
	rt.id.ID, rt.overflow = id, rt.overflow || err != nil
	return rt, true
}

func isDigits(s string) bool { return s != "" && containsOnly(s, isDigit) }

// lastQueryValue returns the last value of name in a query string, in which
// only & separates fields.
func lastQueryValue(query, name string) string {
	last := ""
	for query != "" {
		var field string
		field, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(field, "=")
		if unquote(strings.ReplaceAll(key, "+", " ")) == name {
			last = unquote(strings.ReplaceAll(value, "+", " "))
		}
	}
	return last
}

// unquote decodes percent escapes as Python's urllib does. It leaves malformed escapes
// unchanged.
func unquote(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(code))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// headerValue returns the value of a header as WSGI does: commas join repeated values. If the
// request does not have the header, headerValue returns missing.
func headerValue(r *http.Request, name, missing string) string {
	switch values := r.Header[name]; len(values) {
	case 0:
		return missing
	case 1:
		return values[0]
	default:
		return strings.Join(values, ",")
	}
}

// requestHost returns the host for the URLs of files, and reports whether Django accepts
// it.
func requestHost(r *http.Request) (string, bool) {
	host := r.Host
	if host == "" && !r.ProtoAtLeast(1, 1) { // optional in HTTP/1.0
		if address, ok := r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }); ok {
			host = address.String()
		}
	}
	return host, validHost(host)
}

// validHost reports whether host matches Django's pattern
// ^([a-z0-9.-]+|\[[a-f0-9]*:[a-f0-9.:]+\])(:[0-9]+)?$ in any case and is not
// a lone dot.
func validHost(host string) bool {
	name, port, valid := host, "", isHostname
	if strings.HasPrefix(host, "[") {
		bracket := strings.IndexByte(host, ']')
		if bracket < 0 {
			return false
		}
		name, port, valid = host[1:bracket], host[bracket+1:], isIPv6
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		name, port = host[:colon], host[colon:]
	}
	return valid(name) && (port == "" || port[0] == ':' && isDigits(port[1:]))
}

func isHostname(name string) bool {
	return name != "" && name != "." && containsOnly(name, func(c byte) bool {
		return isLetter(c) || isDigit(c) || c == '.' || c == '-'
	})
}

func isIPv6(name string) bool {
	first, second, ok := strings.Cut(name, ":")
	return ok && second != "" && containsOnly(first, isHex) && containsOnly(second, func(c byte) bool {
		return isHex(c) || c == '.' || c == ':'
	})
}

func containsOnly(s string, isValid func(byte) bool) bool {
	for i := range len(s) {
		if !isValid(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isHex(c byte) bool    { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
