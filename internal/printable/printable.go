// Package printable escapes foreign text, such as names of files and texts of errors, for
// terminals and logs. Some characters can change what a terminal shows beside them: control
// characters, separators of lines, characters that change the direction of text, and bytes
// that are not UTF-8.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// isPlain reports whether a rune of the given size shows as itself.
func isPlain(r rune, size int) bool {
	return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
}

// Escape returns text in which all characters are escaped that are not plain, as in Go strings.
func Escape(text string) string {
	var b strings.Builder
	begin := 0 // start of the text that is not copied yet
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if !isPlain(r, size) {
			literal := strconv.Quote(text[i : i+size])
			b.WriteString(text[begin:i] + literal[1:len(literal)-1])
			begin = i + size
		}
		i += size
	}
	if begin == 0 {
		return text
	}
	return b.String() + text[begin:]
}

// Quote returns text, or a Go string of it if Escape would change it.
func Quote(text string) string {
	if Escape(text) != text {
		return strconv.Quote(text)
	}
	return text
}

// EscapeJSON returns an encoded JSON value in which all characters are escaped that are not plain.
// The encoder has already escaped such ASCII characters, except DEL.
func EscapeJSON(text []byte) []byte {
	var b []byte
	begin := 0
	for i := 0; i < len(text); {
		if text[i] < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if !isPlain(r, size) {
			b = append(b, text[begin:i]...)
			if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
				b = appendEscape(appendEscape(b, high), low)
			} else {
				b = appendEscape(b, r)
			}
			begin = i + size
		}
		i += size
	}
	if begin == 0 {
		return text
	}
	return append(b, text[begin:]...)
}

// appendEscape appends the escape of a rune of 16 bits.
func appendEscape(b []byte, r rune) []byte {
	digits := strconv.FormatInt(int64(r)|0x10000, 16)
	return append(append(b, `\u`...), digits[1:]...)
}
