package model

import (
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
)

// ValidText returns s with U+FFFD for each byte that is not UTF-8. SQLite stores any bytes.
func ValidText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// AppendString appends s as JSON, with the same escapes as gqlgen.
func AppendString(b []byte, s string) []byte {
	s = ValidText(s)
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			w := byteWriter(b)
			graphql.MarshalString(s).MarshalGQL(&w)
			return w
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// byteWriter is a writer that appends to a slice.
type byteWriter []byte

func (a *byteWriter) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}
