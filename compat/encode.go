package compat

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"portfolio/db"
	"portfolio/internal/jsonenc"
)

// appendLink appends link as JSON with its keys in the documented order.
func appendLink(b []byte, link *db.PortfolioLink, urls mediaURLs) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), link.ID, 10)
	b = appendString(append(b, `,"name":`...), link.Name)
	b = appendNullable(append(b, `,"url":`...), link.URL)
	b = append(b, `,"image_data":`...)
	if link.ImageData == nil {
		b = append(b, "null"...)
	} else {
		b = appendImage(b, link.ImageData, urls)
	}
	b = appendNullable(append(b, `,"description":`...), link.Description)
	b = jsonenc.AppendTime(append(b, `,"created_at":"`...), link.CreatedAt.Time)
	b = jsonenc.AppendTime(append(b, `","updated_at":"`...), link.UpdatedAt.Time)
	return append(b, `"}`...)
}

func appendImage(b []byte, image *db.Image, urls mediaURLs) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), image.ID, 10)
	b = appendString(append(b, `,"type":`...), image.Type)
	b = appendString(append(b, `,"name":`...), image.Name)
	b = strconv.AppendInt(append(b, `,"size":`...), image.Size, 10)
	b = append(jsonenc.AppendHumanSize(append(b, `,"human_readable_size":"`...), image.Size), '"')
	b = urls.append(append(b, `,"f":`...), image.Path)
	b = jsonenc.AppendInt(append(b, `,"width":`...), image.Width)
	b = jsonenc.AppendInt(append(b, `,"height":`...), image.Height)
	b = appendNullable(append(b, `,"mode":`...), image.Mode)
	b = append(b, `,"thumbnails":[`...)
	for i, thumbnail := range image.Thumbnails {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"id":`...), thumbnail.ID, 10)
		b = urls.append(append(b, `,"f":`...), thumbnail.Path)
		b = append(jsonenc.AppendInt(append(b, `,"size":`...), thumbnail.Size), '}')
	}
	return append(b, "]}"...)
}

func appendNullable(b []byte, s *string) []byte { return jsonenc.AppendNullable(b, s, appendString) }

// appendString appends s as JSON. It escapes the characters that Python's encoder
// escapes with ensure_ascii=False, and the two line separators that the legacy framework
// escapes.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size, escape := 1, ""
		if c < utf8.RuneSelf {
			escape = escapes[c]
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			switch {
			case r == '\u2028':
				escape = `\u2028`
			case r == '\u2029':
				escape = `\u2029`
			case r == utf8.RuneError && size == 1:
				escape = "\uFFFD"
			}
		}
		if escape != "" {
			b = append(append(b, s[start:i]...), escape...)
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

var escapes = func() (table [utf8.RuneSelf]string) {
	const hex = "0123456789abcdef"
	for c := range 0x20 {
		table[c] = `\u00` + string([]byte{hex[c>>4], hex[c&15]})
	}
	table['\b'], table['\f'], table['\n'], table['\r'], table['\t'] = `\b`, `\f`, `\n`, `\r`, `\t`
	table['"'], table['\\'] = `\"`, `\\`
	return table
}()

// indent formats compact JSON as Python does, unless the width is 0.
func indent(compact []byte, width int) []byte {
	if width == 0 {
		return compact
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", strings.Repeat(" ", width)); err != nil {
		return compact // unreachable: compact is JSON
	}
	return out.Bytes()
}

// mediaURLs builds the URLs of files as Django's storage and request do.
type mediaURLs struct {
	base        string // of all files; its path ends in a slash
	requestPath string
}

// append appends the URL of a file as JSON, null for an empty path.
func (u mediaURLs) append(b []byte, path db.FileKey) []byte {
	if path == "" {
		return append(b, "null"...)
	}
	key := string(path)
	if isPlain(key) {
		return append(append(append(append(b, '"'), u.base...), key...), '"')
	}
	return append(append(append(b, '"'), u.resolve(key)...), '"')
}

// isPlain reports whether key needs neither escaping nor resolving in a URL.
func isPlain(key string) bool {
	previous := byte('/')
	for i := range len(key) {
		c := key[i]
		if !isSafe(c) || previous == '/' && (c == '/' || c == '.') {
			return false
		}
		previous = c
	}
	return true
}

// isSafe reports whether Django leaves a byte of a path unescaped.
func isSafe(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("_.-~/!*()'", c) >= 0
}

// resolve resolves key against the base URL with the semantics of Python's
// urljoin. If dot segments climb past the root, the rest is relative to the
// path of the request.
func (u mediaURLs) resolve(key string) string {
	path := strings.TrimLeft(escapePath(key), "/")
	if path == "" {
		return u.base
	}
	scheme, rest, _ := strings.Cut(u.base, "://")
	host, directory, _ := strings.Cut(rest, "/")
	origin := scheme + "://" + host
	segments := strings.Split("/"+directory+path, "/")
	output := segments[:0:0]
	for i, segment := range segments {
		switch {
		case segment == "..":
			output = output[:max(0, len(output)-1)]
		case segment == ".", segment == "" && i > 0 && i < len(segments)-1:
		default:
			output = append(output, segment)
		}
	}
	if last := segments[len(segments)-1]; last == "." || last == ".." {
		output = append(output, "")
	}
	result := strings.Join(output, "/")
	switch {
	case result == "":
		return origin + "/"
	case strings.HasPrefix(result, "/"):
		return origin + result
	}
	return origin + u.requestPath[:strings.LastIndexByte(u.requestPath, '/')+1] + result
}

// escapePath escapes a path as Django's filepath_to_uri does.
func escapePath(path string) string {
	const hex = "0123456789ABCDEF"
	escaped := make([]byte, 0, len(path)+16)
	for i := range len(path) {
		c := path[i]
		if c == '\\' {
			c = '/'
		}
		if isSafe(c) {
			escaped = append(escaped, c)
		} else {
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(escaped)
}
