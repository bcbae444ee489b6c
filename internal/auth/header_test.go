package auth

import (
	"fmt"
	"testing"
)

// TestParseHeader_SplitsAtASCIISpace checks headers as the legacy system parses them.
func TestParseHeader_SplitsAtASCIISpace(t *testing.T) {
	for header, want := range map[string]string{
		"":                    `"" "" <nil>`,
		" \t":                 `"" "" <nil>`,
		"Token key":           `"token" "key" <nil>`,
		"Token\tkey":          `"token" "key" <nil>`,
		"\vBEARER \n\f key\r": `"bearer" "key" <nil>`,
		"Token":               `"token" "" the header has no key`,
		"Token a b":           `"token" "a" the key has spaces`,
		"Token \xff":          `"token" "\xff" the key is not UTF-8`,
		"Token a\xa0b":        `"token" "a\xa0b" the key is not UTF-8`,
		"To\u212aen key":      "\"to\u212aen\" \"key\" <nil>",
	} {
		scheme, key, err := ParseHeader(header)
		if got := fmt.Sprintf("%q %q %v", scheme, key, err); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}
