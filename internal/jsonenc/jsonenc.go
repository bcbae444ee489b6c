// Package jsonenc appends values to JSON text in the forms that both APIs
// share. Strings are not among them: each API escapes them by its own rules.
// It also checks the Unicode of texts.
package jsonenc

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// IsUnicode reports whether a JSON text is UTF-8 and all surrogates that it escapes are
// pairs. Decoders replace what is not, so that different texts become equal.
func IsUnicode(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return true
		}
		length, ok := EscapeLength(text[i:])
		if !ok {
			return false
		}
		text = text[i+length:]
	}
}

// EscapeLength returns the length of the escape sequence that text begins with, of JSON or
// of GraphQL. It reports false for an escaped surrogate that is not one of a pair.
func EscapeLength[T string | []byte](text T) (length int, ok bool) {
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

// AppendNullable appends null if value is nil, and otherwise what appendValue
// appends for it.
func AppendNullable[T any](b []byte, value *T, appendValue func([]byte, T) []byte) []byte {
	if value == nil {
		return append(b, "null"...)
	}
	return appendValue(b, *value)
}

// AppendInt appends an integer, or null.
func AppendInt[T int | int64](b []byte, i *T) []byte {
	if i == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*i), 10)
}

// AppendTime appends a time in RFC 3339 without quotes: in UTC, with six
// fractional digits, or none if they are all zero.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if t.Nanosecond() < 1000 {
		return t.AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}

// AppendHumanSize appends a size in bytes, without quotes, as the legacy
// system formats it: two decimals and a unit between B and TB.
func AppendHumanSize(b []byte, bytes int64) []byte {
	units := [...]string{" B", " KB", " MB", " GB", " TB"}
	size, unit := float64(bytes), 0
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	return append(strconv.AppendFloat(b, size, 'f', 2, 64), units[unit]...)
}
