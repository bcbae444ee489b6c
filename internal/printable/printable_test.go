package printable_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"portfolio/internal/printable"
)

func TestEscape_HidesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, escaped, quoted string }{
		{"", "", ""},
		{"تصویر é 1.png", "تصویر é 1.png", "تصویر é 1.png"},
		{`a "b" \c`, `a "b" \c`, `a "b" \c`},
		{"a\x1b[31mb", `a\x1b[31mb`, `"a\x1b[31mb"`},
		{"a\nb\r\t\x00\x7f", `a\nb\r\t\x00\x7f`, `"a\nb\r\t\x00\x7f"`},
		{"a\u009b31mb\u0085", `a\u009b31mb\u0085`, `"a\u009b31mb\u0085"`},
		{"a\u2028b\u2029", `a\u2028b\u2029`, `"a\u2028b\u2029"`},
		{"a\u202egnp.exe\u2066\u200f\u061c", `a\u202egnp.exe\u2066\u200f\u061c`, `"a\u202egnp.exe\u2066\u200f\u061c"`},
		{"a\x9b31m\xff", `a\x9b31m\xff`, `"a\x9b31m\xff"`},
		{"a\ufffdb", "a\ufffdb", "a\ufffdb"},
		{"\ufeffa\U000e0041", `\ufeffa\U000e0041`, `"\ufeffa\U000e0041"`},
	} {
		if got := printable.Escape(c.text); got != c.escaped {
			t.Errorf("Escape(%q) = %s, want %s", c.text, got, c.escaped)
		}
		if got := printable.Quote(c.text); got != c.quoted {
			t.Errorf("Quote(%q) = %s, want %s", c.text, got, c.quoted)
		}
	}
}

// FuzzEscapeJSON checks that the value of the JSON is the same, and that nothing but plain
// text is left.
func FuzzEscapeJSON(f *testing.F) {
	for _, text := range []string{"", "a\u009b31mb\x7f", "\u202e\u2028\U000e0041", "تصویر\u200c é", "\xff", strings.Repeat("x", 300) + "\u0085"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		escaped := printable.EscapeJSON(encoded)
		var want, got map[string]string
		if err := json.Unmarshal(encoded, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil || got["text"] != want["text"] {
			t.Errorf("%q: %s is %q, %v", text, escaped, got["text"], err)
		}
		for rest := escaped; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			if !unicode.IsPrint(r) || r == utf8.RuneError && size == 1 {
				t.Errorf("%q: %s has %U", text, escaped, r)
			}
			rest = rest[size:]
		}
	})
}
