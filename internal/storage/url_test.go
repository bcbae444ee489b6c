package storage_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"portfolio/internal/storage"
)

func TestMediaURL_ParsesBaseURLs(t *testing.T) {
	t.Parallel()
	const notAbsolute = "not an absolute http or https URL"
	for _, c := range []struct{ text, want, problem string }{
		{"", "", notAbsolute},
		{"http://cdn.example", "http://cdn.example/", ""},
		{"https://cdn.example/", "https://cdn.example/", ""},
		{"https://cdn.example:8443/a", "https://cdn.example:8443/a/", ""},
		{"https://cdn.example/a b/", "https://cdn.example/a%20b/", ""},
		{"cdn.example", "", notAbsolute},
		{"/media/", "", notAbsolute},
		{"//cdn.example/", "", notAbsolute},
		{"ftp://cdn.example", "", notAbsolute},
		{"http://", "", notAbsolute},
		{"http://:80/", "", notAbsolute},
		{"http://%", "", notAbsolute},
		{"http://cdn.example/?a", "", "must not have a query or a fragment"},
		{"http://cdn.example/?", "", "must not have a query or a fragment"},
		{"http://cdn.example/#a", "", "must not have a query or a fragment"},
		{"http://sara:secret@cdn.example/", "", "must not contain a user or a password: clients see it"},
	} {
		var got storage.MediaURL
		problem := ""
		if err := got.UnmarshalText([]byte(c.text)); err != nil {
			problem = err.Error()
		}
		if string(got) != c.want || problem != c.problem {
			t.Errorf("%q: %q, %q", c.text, got, problem)
		}
	}
}

func TestMediaURL_UsesHostOfRequest(t *testing.T) {
	t.Parallel()
	const own, cdn storage.MediaURL = "", "https://cdn.example/"
	plain, overTLS := t.Context(), storage.WithTLS(t.Context())
	for i, c := range []struct{ got, want string }{
		{own.For(plain, "h:8000"), "http://h:8000/media/"},
		{own.For(overTLS, "h:8000"), "https://h:8000/media/"},
		{cdn.For(plain, "h:8000"), "https://cdn.example/"},
		{cdn.For(overTLS, "h:8000"), "https://cdn.example/"},
		{own.For(plain, ""), "http:///media/"},
		{own.For(context.WithValue(plain, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000}), ""), "http://127.0.0.1:8000/media/"},
		{own.For(context.WithValue(overTLS, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv6loopback, Port: 8000}), ""), "https://[::1]:8000/media/"},
	} {
		if c.got != c.want {
			t.Errorf("case %d: %s, want %s", i, c.got, c.want)
		}
	}
}

func TestBaseURL_ReturnsURLOfContext(t *testing.T) {
	t.Parallel()
	if got := storage.BaseURL(t.Context()); got != "" {
		t.Errorf("without a base URL: %q", got)
	}
	if got := storage.BaseURL(storage.WithBaseURL(t.Context(), "https://cdn.example/")); got != "https://cdn.example/" {
		t.Errorf("%q", got)
	}
}

func TestURL_EscapesKeys(t *testing.T) {
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
