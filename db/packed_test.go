package db

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnpackThumbnailsRefuses(t *testing.T) {
	for _, packed := range []string{
		"x", "1", "1 2", "1 2 3 4 5 1", "x 2 3 4 5 1 a", "1 x 3 4 5 1 a", "1 2 x 4 5 1 a", "1 2 3 x 5 1 a", "1 2 3 4 x 1 a",
		"1 2 3 4 5 x a", "1 2 3 4 5 -1 a", "1 2 3 4 5 9 a", "1     1 a1",
	} {
		if _, err := unpackThumbnails(1, &packed); err == nil {
			t.Errorf("%q is unpacked", packed)
		}
	}
}

func FuzzUnpackThumbnails(f *testing.F) {
	f.Add("213 64    3 a/b214     0 ")
	f.Add("1 2 64 48 1321 3 a b")
	f.Fuzz(func(t *testing.T, packed string) {
		thumbnails, err := unpackThumbnails(1, &packed)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, thumbnail := range thumbnails {
			fmt.Fprintf(&again, "%d %s %s %s %s %d %s", thumbnail.ID, word(thumbnail.Size), word(thumbnail.Width), word(thumbnail.Height),
				word(thumbnail.FileSize), len(thumbnail.Path), thumbnail.Path)
		}
		unpacked, err := unpackThumbnails(1, new(again.String()))
		if err != nil || !cmp.Equal(unpacked, thumbnails) {
			t.Fatalf("%q packed again is %q: %v", packed, again.String(), err)
		}
	})
}

func word[T int | int64](number *T) string {
	if number == nil {
		return ""
	}
	return fmt.Sprint(*number)
}

// TestSynchronous: what SQLite acknowledges survives a loss of power.
func TestSynchronous(t *testing.T) {
	database, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	const full = 2
	var synchronous int
	if err := database.write.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != full {
		t.Errorf("synchronous is %d, %v", synchronous, err)
	}
}
