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

// ParseHeader splits an Authorization header at ASCII white space, as the
// legacy system does, into its scheme, in lower case, and its key. A blank
// header has an empty scheme and no error.
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
	if end := strings.IndexAny(s, asciiSpace); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

// lower maps only ASCII letters to lower case. strings.ToLower would also map
// the Kelvin sign to k.
func lower(s string) string {
	for _, known := range [...]string{"token", "bearer"} { // needs no memory
		if len(s) == len(known) && strings.EqualFold(s, known) {
			return known
		}
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
