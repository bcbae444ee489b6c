package document

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// IsUnicode reports whether a JSON text is UTF-8 and all surrogates that it escapes are pairs.
// Decoders replace invalid characters, so that different texts become equal.
func IsUnicode(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return true
		}
		length, ok := escapeLength(text[i:])
		if !ok {
			return false
		}
		text = text[i+length:]
	}
}

// escapeLength returns the length of the escape sequence that text begins with, of JSON or
// of GraphQL. It reports false for an escaped surrogate without its pair.
func escapeLength[T string | []byte](text T) (length int, ok bool) {
	const unit = len(`\u0000`)
	first := escapedUnit(text)
	switch {
	case first < 0:
		return min(2, len(text)), true
	case !utf16.IsSurrogate(first):
		return unit, true
	case utf16.DecodeRune(first, escapedUnit(text[unit:])) != utf8.RuneError:
		return 2 * unit, true
	}
	return unit, false
}

// escapedUnit returns the UTF-16 code unit that text begins with in the form \u0000, or -1.
func escapedUnit[T string | []byte](text T) rune {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit := rune(0)
	for i := 2; i < len(`\u0000`); i++ {
		digit := strings.IndexByte("0123456789abcdef", text[i]|0x20)
		if digit < 0 || text[i] < '0' {
			return -1
		}
		unit = unit<<4 | rune(digit)
	}
	return unit
}
