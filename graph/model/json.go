package model

import "github.com/99designs/gqlgen/graphql"

// AppendString appends s as JSON, escaped as gqlgen does it.
func AppendString(b []byte, s string) []byte {
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
