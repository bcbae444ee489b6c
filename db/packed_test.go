package db

import (
	"fmt"
	"strconv"
	"testing"
)

func TestUnpackThumbnailsRefuses(t *testing.T) {
	for _, packed := range []string{"x", "1", "1 2", "1 2 3", "x 2 1 a", "1 x 1 a", "1 2 x a", "1 2 -1 a", "1 2 9 a", "1  1 a1"} {
		if _, err := unpackThumbnails(1, &packed); err == nil {
			t.Errorf("%q is unpacked", packed)
		}
	}
}

func FuzzUnpackThumbnails(f *testing.F) {
	f.Add("213 64 3 a/b214  0 ")
	f.Add("1 2 3 a b")
	f.Fuzz(func(t *testing.T, packed string) {
		thumbnails, err := unpackThumbnails(1, &packed)
		if err != nil {
			return
		}
		var again []byte
		for _, thumbnail := range thumbnails {
			size := ""
			if thumbnail.Size != nil {
				size = strconv.Itoa(*thumbnail.Size)
			}
			again = fmt.Appendf(again, "%d %s %d %s", thumbnail.ID, size, len(thumbnail.Path), thumbnail.Path)
		}
		text := string(again)
		unpacked, err := unpackThumbnails(1, &text)
		if err != nil || len(unpacked) != len(thumbnails) {
			t.Fatalf("%q packed again is %q: %v", packed, again, err)
		}
	})
}
