package auth

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Errors of a malformed Authorization header.
var (
	ErrNoKey   = errors.New("the header has no key")
	ErrSpaces  = errors.New("the key has spaces")
	ErrNotUTF8 = errors.New("the key is not UTF-8")
)

// ParseHeader splits an Authorization header into its scheme, in lower case, and its key. Like the
// legacy system, it splits at ASCII white space. A blank header has an empty scheme and no error.
func ParseHeader(header string) (scheme, key string, err error) {
	scheme, rest := cutWord(header)
	key, rest = cutWord(rest)
	extra, _ := cutWord(rest)
	switch {
	case scheme != "" && key == "":
		err = ErrNoKey
	case extra != "":
		err = ErrSpaces
	case !utf8.ValidString(key):
		err = ErrNotUTF8
	}
	return lower(scheme), key, err
}

const asciiSpace = " \t\n\v\f\r"

func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, asciiSpace)
	if space := strings.IndexAny(s, asciiSpace); space >= 0 {
		return s[:space], s[space:]
	}
	return s, ""
}

// lower maps only ASCII letters to lower case. strings.ToLower would also map
// the Kelvin sign to k.
func lower(s string) string {
	for _, scheme := range [...]string{"token", "bearer"} { // needs no memory
		if len(s) == len(scheme) && strings.EqualFold(s, scheme) {
			return scheme
		}
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
