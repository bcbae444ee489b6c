package imaging_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portfolio/internal/imaging"
)

func open(t *testing.T) (imaging.Store, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "new", "media")
	store, err := imaging.Open("file:" + folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store, folder
}

func TestCreate(t *testing.T) {
	store, folder := open(t)
	create := func(key, content string) error {
		return store.Create(t.Context(), key, strings.NewReader(content), int64(len(content)))
	}
	if err := create("a/b/c.png", "first"); err != nil {
		t.Fatal(err)
	}
	if err := create("a/b/c.png", "second"); !errors.Is(err, imaging.ErrExists) {
		t.Errorf("again: %v", err)
	}
	for _, key := range []string{"../up.png", "/etc/up.png", "a/../../up.png", "a/b/c.png/d", "nul\x00.png"} {
		if err := create(key, "x"); err == nil {
			t.Errorf("%q is made", key)
		}
	}
	got, err := os.ReadFile(filepath.Join(folder, "a/b/c.png"))
	if err != nil || string(got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
	entries, err := os.ReadDir(filepath.Join(folder, "a/b"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestHandler(t *testing.T) {
	store, folder := open(t)
	for key, content := range map[string]string{"a b/تصویر.png": "picture", "page.html": "<script>", "drawing.svg": "<svg>", ".hidden.png": "x"} {
		if err := store.Create(t.Context(), key, strings.NewReader(content), int64(len(content))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(folder), "secret.png"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(filepath.Dir(folder), "secret.png"), filepath.Join(folder, "link.png")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(store.Handler())
	t.Cleanup(server.Close)
	get := func(method, path string, header http.Header) (*http.Response, string) {
		request, err := http.NewRequest(method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Opaque = path // as it is
		if header != nil {
			request.Header = header
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	picture := imaging.URL("/media/", "a b/تصویر.png")
	first, _ := get("GET", picture, nil)
	etag := first.Header.Get("ETag")
	for _, c := range []struct {
		method, path      string
		header            http.Header
		status            int
		contentType, body string
	}{
		{"GET", picture, nil, 200, "image/png", "picture"},
		{"HEAD", picture, nil, 200, "image/png", ""},
		{"GET", picture, http.Header{"Range": {"bytes=1-3"}}, 206, "image/png", "ict"},
		{"GET", picture, http.Header{"Range": {"bytes=99-"}}, 416, "text/plain; charset=utf-8", "invalid range: failed to overlap\n"},
		{"GET", picture, http.Header{"If-None-Match": {etag}}, 304, "", ""},
		{"GET", picture, http.Header{"If-None-Match": {`"other"`}}, 200, "image/png", "picture"},
		{"GET", "/media/page.html", nil, 200, "application/octet-stream", "<script>"},
		{"GET", "/media/drawing.svg", nil, 200, "application/octet-stream", "<svg>"},
		{"POST", picture, nil, 405, "text/plain; charset=utf-8", "Method not allowed.\n"},
	} {
		response, body := get(c.method, c.path, c.header)
		if response.StatusCode != c.status || body != c.body || response.Header.Get("Content-Type") != c.contentType {
			t.Errorf("%s %s %v: %d %s %q", c.method, c.path, c.header, response.StatusCode, response.Header.Get("Content-Type"), body)
		}
		cached := ""
		if c.status < 400 {
			cached = "public, max-age=31536000, immutable"
		}
		if got := response.Header.Get("Cache-Control"); got != cached {
			t.Errorf("%s %s %v: Cache-Control: %s", c.method, c.path, c.header, got)
		}
		if c.status == 200 && (response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("ETag") == "") {
			t.Errorf("%s %s: headers %v", c.method, c.path, response.Header)
		}
	}
	for _, path := range []string{
		"/media/", "/media/a%20b", "/media/a%20b/", "/media/missing.png", "/media/.hidden.png", "/media/link.png",
		"/media/../secret.png", "/media/..%2fsecret.png", "/media/%2e%2e/secret.png", "/media/a%20b/../../secret.png",
		"/media//etc/passwd", "/media/%2fetc%2fpasswd", "/media/x%00.png", `/media/..\secret.png`, "/media/page.html/x",
	} {
		if response, body := get("GET", path, nil); response.StatusCode != http.StatusNotFound || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q", path, response.StatusCode, body)
		}
	}
}
