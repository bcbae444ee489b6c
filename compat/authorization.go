package compat

import (
	"strings"
	"unicode/utf8"
)

// tokenKey is the key in an Authorization header, or what the old framework
// says is wrong with it. The header is split at ASCII white space only.
func tokenKey(header string) (key, detail string) {
	var words [3]string
	count := 0
	for count < len(words) {
		header = strings.TrimLeft(header, asciiSpace)
		if header == "" {
			break
		}
		end := strings.IndexAny(header, asciiSpace)
		if end < 0 {
			end = len(header)
		}
		words[count], header = header[:end], header[end:]
		count++
	}
	switch {
	case lower(words[0]) != "token":
		return "", "Authentication credentials were not provided."
	case count == 1:
		return "", "Invalid token header. No credentials provided."
	case count > 2:
		return "", "Invalid token header. Token string should not contain spaces."
	case !utf8.ValidString(words[1]):
		return "", "Invalid token header. Token string should not contain invalid characters."
	}
	return words[1], ""
}

const asciiSpace = " \t\n\v\f\r"
