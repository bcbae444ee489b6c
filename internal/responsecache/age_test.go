package responsecache

import (
	"testing"
	"time"
)

// TestCache_ReadsAgainAtMaxAge checks that a response which has reached its maximum age is
// not served, though no change was noticed.
func TestCache_ReadsAgainAtMaxAge(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		for range 3 {
			f.get(1)
		}
		if _, cached := f.get(1); !cached {
			t.Fatal("not cached before its maximum age")
		}
		f.options.MaxAge = time.Nanosecond
		if name, cached := f.get(1); name != "one" || cached {
			t.Errorf("got %q, cached %t; want one, read again", name, cached)
		}
		f.options.MaxAge = time.Minute
		if name, cached := f.get(1); name != "one" || !cached {
			t.Errorf("got %q, cached %t; want one, cached anew", name, cached)
		}
	})
}
