package document

import "testing"

func TestIsUnicode_RejectsLoneSurrogates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		``: true, `{"a":"é😀"}`: true, `"\u00e9\\ud800\ud83d\uDE00"`: true, `"\\\\\\"`: true, `"\`: true, `"\u12`: true,
		"\"\xe9\"": false, "\"\xed\xa0\x80\"": false, "\"\xf0\x9f\x98\"": false,
		`"\ud83d"`: false, `"\uDE00"`: false, `"\ud83d\ud83d\ude00"`: false, `"\ud83dx\ude00"`: false, `"\\\ud83d"`: false, `"\uDE00\uD83D"`: false,
	} {
		if got := IsUnicode([]byte(text)); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}
