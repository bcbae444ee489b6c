package storage_test

import (
	"testing"

	"portfolio/internal/storage"
)

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"":                           "",
		"http://cdn.example":         "http://cdn.example/",
		"https://cdn.example/":       "https://cdn.example/",
		"https://cdn.example:8443/a": "https://cdn.example:8443/a/",
		"https://cdn.example/a b/":   "https://cdn.example/a%20b/",
	} {
		if got, err := storage.ParseBaseURL(base); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", base, got, err, want)
		}
	}
	for _, base := range []string{"cdn.example", "/media/", "//cdn.example/", "ftp://cdn.example", "http://", "http://cdn.example/?a", "http://cdn.example/#a", "http://%"} {
		if got, err := storage.ParseBaseURL(base); err == nil || err.Error() != "not an absolute http or https URL" {
			t.Errorf("%q: %q, %v", base, got, err)
		}
	}
}

func TestBaseURLFor(t *testing.T) {
	t.Parallel()
	if got := storage.BaseURLFor("", "localhost:8000"); got != "http://localhost:8000/media/" {
		t.Errorf("of the host: %s", got)
	}
	if got := storage.BaseURLFor("https://cdn.example/", "localhost:8000"); got != "https://cdn.example/" {
		t.Errorf("configured: %s", got)
	}
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	if got := storage.BaseURL(t.Context()); got != "" {
		t.Errorf("without a base URL: %q", got)
	}
	if got := storage.BaseURL(storage.WithBaseURL(t.Context(), "https://cdn.example/")); got != "https://cdn.example/" {
		t.Errorf("%q", got)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"a/b.png":      "http://h/media/a/b.png",
		"//a/b.png":    "http://h/media/a/b.png",
		"a b/می?.png":  "http://h/media/a%20b/%D9%85%DB%8C%3F.png",
		"a/../b+&.png": "http://h/media/a/../b+&.png",
	} {
		if got := storage.URL("http://h/media/", path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}
