package compat

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"portfolio/db"
)

// appendLink appends the body of the endpoint, keys in the documented order.
func appendLink(b []byte, link *db.PortfolioLink, files fileAddresses) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), link.ID, 10)
	b = appendString(append(b, `,"name":`...), link.Name)
	b = appendNullable(append(b, `,"url":`...), link.URL)
	b = append(b, `,"image_data":`...)
	if link.ImageData == nil {
		b = append(b, "null"...)
	} else {
		b = appendImage(b, link.ImageData, files)
	}
	b = appendNullable(append(b, `,"description":`...), link.Description)
	b = db.AppendTime(append(b, `,"created_at":"`...), link.CreatedAt.Time)
	b = db.AppendTime(append(b, `","updated_at":"`...), link.UpdatedAt.Time)
	return append(b, `"}`...)
}

func appendImage(b []byte, image *db.Image, files fileAddresses) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), image.ID, 10)
	b = appendString(append(b, `,"type":`...), image.Type)
	b = appendString(append(b, `,"name":`...), image.Name)
	b = strconv.AppendInt(append(b, `,"size":`...), image.Size, 10)
	b = append(db.AppendHumanSize(append(b, `,"human_readable_size":"`...), image.Size), '"')
	b = files.append(append(b, `,"f":`...), image.Path)
	b = appendInt(append(b, `,"width":`...), image.Width)
	b = appendInt(append(b, `,"height":`...), image.Height)
	b = appendNullable(append(b, `,"mode":`...), image.Mode)
	b = append(b, `,"thumbnails":[`...)
	for i, thumbnail := range image.Thumbnails {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"id":`...), thumbnail.ID, 10)
		b = files.append(append(b, `,"f":`...), thumbnail.Path)
		b = append(appendInt(append(b, `,"size":`...), thumbnail.Size), '}')
	}
	return append(b, "]}"...)
}

func appendNullable(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return appendString(b, *s)
}

func appendInt(b []byte, i *int) []byte {
	if i == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*i), 10)
}

// appendString escapes what Python's encoder does with ensure_ascii=False,
// and the two line separators that the old framework escapes after it.
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

// indent lays a compact body out as Python does.
func indent(compact []byte, width int) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", strings.Repeat(" ", width)); err != nil {
		return compact // not JSON: what we encode always is
	}
	return out.Bytes()
}

// fileAddresses builds the addresses of files, as Django's storage and
// request do together.
type fileAddresses struct {
	base string // of all files; its path ends in a slash
	path string // of the request
}

// append appends the address of a file as JSON, null for an empty path.
func (f fileAddresses) append(b []byte, path db.MediaPath) []byte {
	if path == "" {
		return append(b, "null"...)
	}
	key := string(path)
	if isPlain(key) {
		return append(append(append(append(b, '"'), f.base...), key...), '"')
	}
	return append(append(append(b, '"'), f.odd(key)...), '"')
}

// isPlain reports whether a path is its own address: nothing to escape and
// nothing to resolve.
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

// isSafe reports whether Django leaves a byte of a path as it is.
func isSafe(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("_.-~/!*()'", c) >= 0
}

// odd joins a path to the base as Python's urljoin does. Where dot segments
// climb past the root the rest counts from the path of the request.
func (f fileAddresses) odd(key string) string {
	const hex = "0123456789ABCDEF"
	escaped := make([]byte, 0, len(key)+16)
	for i := range len(key) {
		c := key[i]
		if c == '\\' {
			c = '/'
		}
		if isSafe(c) {
			escaped = append(escaped, c)
		} else {
			escaped = append(escaped, '%', hex[c>>4], hex[c&15])
		}
	}
	scheme, rest, _ := strings.Cut(f.base, "://")
	host, folder, _ := strings.Cut(rest, "/")
	origin := scheme + "://" + host
	path := strings.TrimLeft(string(escaped), "/")
	if path == "" {
		return f.base
	}
	segments := strings.Split("/"+folder+path, "/")
	resolved := segments[:0:0]
	for i, segment := range segments {
		switch {
		case segment == "..":
			resolved = resolved[:max(0, len(resolved)-1)]
		case segment == ".", segment == "" && i > 0 && i < len(segments)-1:
		default:
			resolved = append(resolved, segment)
		}
	}
	if last := segments[len(segments)-1]; last == "." || last == ".." {
		resolved = append(resolved, "")
	}
	joined := strings.Join(resolved, "/")
	switch {
	case joined == "":
		return origin + "/"
	case strings.HasPrefix(joined, "/"):
		return origin + joined
	}
	return origin + f.path[:strings.LastIndexByte(f.path, '/')+1] + joined
}
