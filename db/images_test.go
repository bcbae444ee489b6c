package db

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseThumbnails_ReturnsErrors(t *testing.T) {
	t.Parallel()
	for _, encoded := range []string{
		"x", "1", "1 2", "1 2 3 4 5 1", "x 2 3 4 5 1 a", "1 x 3 4 5 1 a", "1 2 x 4 5 1 a", "1 2 3 x 5 1 a", "1 2 3 4 x 1 a",
		"1 2 3 4 5 x a", "1 2 3 4 5 -1 a", "1 2 3 4 5 9 a", "1     1 a1",
	} {
		if _, err := parseThumbnails(1, &encoded); err == nil {
			t.Errorf("%q: no error", encoded)
		}
	}
}

func FuzzParseThumbnails(f *testing.F) {
	f.Add("213 64    3 a/b214     0 ")
	f.Add("1 2 64 48 1321 3 a b")
	f.Fuzz(func(t *testing.T, encoded string) {
		thumbnails, err := parseThumbnails(1, &encoded)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, thumbnail := range thumbnails {
			fmt.Fprintf(&again, "%d %s %s %s %s %d %s", thumbnail.ID, word(thumbnail.Size), word(thumbnail.Width), word(thumbnail.Height),
				word(thumbnail.FileSize), len(thumbnail.Path), thumbnail.Path)
		}
		parsed, err := parseThumbnails(1, new(again.String()))
		if err != nil || !cmp.Equal(parsed, thumbnails) {
			t.Fatalf("%q encoded again is %q: %v", encoded, again.String(), err)
		}
	})
}

func word[T int | int64](number *T) string {
	if number == nil {
		return ""
	}
	return fmt.Sprint(*number)
}
