package auth

import (
	"strings"
	"testing"
)

func FuzzReadTokens(f *testing.F) {
	f.Add("key,user\n\"a\"\"b\",c\n")
	f.Add("\ufeff,\n\"")
	f.Fuzz(func(t *testing.T, content string) {
		tokens, lines, err := ReadTokens(strings.NewReader(content))
		if err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Fatalf("an error without its line: %v", err)
		}
		if len(tokens) != len(lines) {
			t.Fatalf("%d tokens on %d lines", len(tokens), len(lines))
		}
	})
}
