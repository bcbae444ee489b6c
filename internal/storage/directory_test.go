package storage_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

func openNew(t *testing.T) (store storage.Store, directory string) {
	t.Helper()
	directory = filepath.Join(t.TempDir(), "new", "media")
	return storagetest.Open(t, "file:"+directory), directory
}

// TestCreate_NeverReplacesFile checks that Create keeps existing files, and rejects keys outside of
// the directory.
func TestCreate_NeverReplacesFile(t *testing.T) {
	t.Parallel()
	store, directory := openNew(t)
	if err := create(t, store, "a/b/c.png", "first"); err != nil {
		t.Fatal(err)
	}
	if err := create(t, store, "a/b/c.png", "second"); !errors.Is(err, storage.ErrExists) {
		t.Errorf("create the same key again: %v", err)
	}
	for _, key := range []string{"../up.png", "/etc/up.png", "a/../../up.png", "a/b/c.png/d", "nul\x00.png"} {
		if err := create(t, store, key, "x"); err == nil {
			t.Errorf("%q was created", key)
		}
	}
	for key, want := range map[string]bool{"a/b/c.png": true, "a/b": false, "a/d.png": false, "../up.png": false} {
		if exists, err := store.Exists(t.Context(), key); exists != want || err != nil {
			t.Errorf("%q exists: got %t, %v, want %t", key, exists, err, want)
		}
	}
	got, err := os.ReadFile(filepath.Join(directory, "a/b/c.png"))
	if err != nil || string(got) != "first" {
		t.Errorf("got %q, %v, want first", got, err)
	}
	entries, err := os.ReadDir(filepath.Join(directory, "a/b"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestDirectoryHandler_ServesFiles checks the headers and bodies of files.
func TestDirectoryHandler_ServesFiles(t *testing.T) {
	t.Parallel()
	server := serveDirectory(t)
	target := storage.URL("/media/", "a b/تصویر.png")
	first, _ := roundTrip(t, "GET", server, target, nil)
	etag := first.Header.Get("ETag")
	for _, c := range []struct {
		method, path      string
		header            http.Header
		status            int
		contentType, body string
	}{
		{"GET", target, nil, 200, "image/png", "content"},
		{"HEAD", target, nil, 200, "image/png", ""},
		{"GET", target, http.Header{"Range": {"bytes=1-3"}}, 206, "image/png", "ont"},
		{"GET", target, http.Header{"Range": {"bytes=99-"}}, 416, "text/plain; charset=utf-8", "invalid range: failed to overlap\n"},
		{"GET", target, http.Header{"If-None-Match": {etag}}, 304, "", ""},
		{"GET", target, http.Header{"If-None-Match": {`"other"`}}, 200, "image/png", "content"},
		{"GET", "/media/page.html", nil, 200, "application/octet-stream", "<script>"},
		{"GET", "/media/drawing.svg", nil, 200, "application/octet-stream", "<svg>"},
		{"POST", target, nil, 405, "text/plain; charset=utf-8", "Method not allowed.\n"},
	} {
		response, body := roundTrip(t, c.method, server, c.path, c.header)
		if response.StatusCode != c.status || body != c.body || response.Header.Get("Content-Type") != c.contentType {
			t.Errorf("%s %s %v: %d %s %q", c.method, c.path, c.header, response.StatusCode, response.Header.Get("Content-Type"), body)
		}
		cache := ""
		if c.status < 400 {
			cache = "public, max-age=31536000, immutable"
		}
		if got := response.Header.Get("Cache-Control"); got != cache {
			t.Errorf("%s %s %v: Cache-Control: %s", c.method, c.path, c.header, got)
		}
		if c.status == 200 && (response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("ETag") == "") {
			t.Errorf("%s %s: headers %v", c.method, c.path, response.Header)
		}
	}
}

// TestDirectoryHandler_ServesNothingElse checks that only files with valid keys are served.
func TestDirectoryHandler_ServesNothingElse(t *testing.T) {
	t.Parallel()
	server := serveDirectory(t)
	for _, path := range []string{
		"/media/", "/media/a%20b", "/media/a%20b/", "/media/missing.png", "/media/.hidden.png", "/media/link.png",
		"/media/../secret.png", "/media/..%2fsecret.png", "/media/%2e%2e/secret.png", "/media/a%20b/../../secret.png",
		"/media//etc/passwd", "/media/%2fetc%2fpasswd", "/media/x%00.png", `/media/..\secret.png`, "/media/page.html/x",
	} {
		if response, body := roundTrip(t, "GET", server, path, nil); response.StatusCode != http.StatusNotFound || strings.Contains(body, "secret") {
			t.Errorf("%s: got %d %q, want 404", path, response.StatusCode, body)
		}
	}
}

// serveDirectory serves a directory with a secret beside it, to which a
// symbolic link leads.
func serveDirectory(t *testing.T) (url string) {
	t.Helper()
	store, directory := openNew(t)
	for key, content := range map[string]string{"a b/تصویر.png": "content", "page.html": "<script>", "drawing.svg": "<svg>"} {
		if err := create(t, store, key, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(directory, ".hidden.png"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(filepath.Dir(directory), "secret.png")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(directory, "link.png")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(store.Handler(slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return server.URL
}

// roundTrip sends a request with the path exactly as given.
func roundTrip(t *testing.T, method, server, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, server, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = path
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

// TestCreate_RejectsHiddenKeys checks that no store takes a key with an element that begins
// with a dot, or that another system reads differently.
func TestCreate_RejectsHiddenKeys(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		for _, key := range []string{
			".restore-incoming/a.png", "a/.restore-staged/b.png", ".a.png", "a/.b.png", "...", "a/...", ".new-x", "a\\b.png", "a\x00.png", "", ".", "../a.png", "a//b.png", "/a.png",
		} {
			if err := create(t, store, key, "x"); err == nil || errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("%q: %v, want a refusal that is final", key, err)
			}
		}
		checkKeys(t, store)
		for _, key := range []string{"a.png", "a/b.c/d..png", "a-.b/c.", "تصویر\u200c.png"} {
			if err := create(t, store, key, "x"); err != nil {
				t.Errorf("%q: %v", key, err)
			}
		}
	})
}

// TestCreate_RejectsUnsupportedKeys checks that keys which a file system does not take are not
// mistaken for keys of files that exist, nor for an outage.
func TestCreate_RejectsUnsupportedKeys(t *testing.T) {
	t.Parallel()
	store, _ := openNew(t)
	if err := create(t, store, "a/b.png", "x"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 256)
	for _, key := range []string{"a/b.png/c.png", "a/b.png/c/d.png", long, long + "/a.png", "a/" + long + ".png"} {
		if err := create(t, store, key, "x"); err == nil || errors.Is(err, storage.ErrExists) || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%.20q: %v, want a refusal that is final", key, err)
		}
		if exists, err := store.Exists(t.Context(), key); exists || err != nil {
			t.Errorf("%.20q exists: %t, %v", key, exists, err)
		}
	}
	checkKeys(t, store, "a/b.png")
}

// TestDirectory_ListsForeignNames checks that Files and Remove work with names that are not valid
// keys.
func TestDirectory_ListsForeignNames(t *testing.T) {
	t.Parallel()
	store, directory := openNew(t)
	want := []string{".hidden/.new-1", "a\x9b/b\xff.png", "c\\d.png"}
	for _, name := range want {
		name = filepath.Join(directory, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	checkKeys(t, store, want...)
	for _, name := range want {
		if err := store.Remove(t.Context(), name); err != nil {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	checkKeys(t, store)
}

// TestDirectoryHandler_ReportsUnreadableFile checks that a file which exists and cannot be read
// is not missing, and that the log has the cause.
func TestDirectoryHandler_ReportsUnreadableFile(t *testing.T) {
	t.Parallel()
	store, directory := openNew(t)
	if err := create(t, store, "a/b.png", "x"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop.png", filepath.Join(directory, "loop.png")); err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	server := httptest.NewServer(store.Handler(slog.New(slog.NewTextHandler(&logs, nil))))
	defer server.Close()
	for _, path := range []string{"/media/loop.png", "/media/a/b.png/c.png", "/media/" + strings.Repeat("x", 300)} {
		if response, _ := roundTrip(t, "GET", server.URL, path, nil); response.StatusCode != http.StatusNotFound || logs.Len() > 0 {
			t.Errorf("%s: %d, want 404; logged %s", path, response.StatusCode, logs.String())
		}
	}
	if err := store.Close(); err != nil { // no file can be read
		t.Fatal(err)
	}
	for _, path := range []string{"/media/a/b.png", "/media/none.png"} {
		logs.Reset()
		response, body := roundTrip(t, "GET", server.URL, path, nil)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Cache-Control") != "no-store" || body != "File storage is unavailable.\n" {
			t.Errorf("%s: %d %v %q, want 503", path, response.StatusCode, response.Header, body)
		}
		if text := logs.String(); strings.Count(text, "level=ERROR") != 1 {
			t.Errorf("%s: logged %q, want one error", path, text)
		}
	}
}

// TestDirectory_DetectsMove checks that a directory which was moved, deleted or replaced does not
// look empty, and that Create stores no file in it.
func TestDirectory_DetectsMove(t *testing.T) {
	t.Parallel()
	move := func(directory string) error { return os.Rename(directory, directory+".away") }
	for name, displace := range map[string]func(directory string) error{
		"moved":    move,
		"deleted":  os.RemoveAll,
		"replaced": func(directory string) error { return errors.Join(move(directory), os.Mkdir(directory, 0o700)) },
		"a link to another directory": func(directory string) error {
			return errors.Join(move(directory), os.Symlink(filepath.Dir(directory), directory))
		},
		"a file":         func(directory string) error { return errors.Join(move(directory), os.WriteFile(directory, nil, 0o600)) },
		"parent renamed": func(directory string) error { return move(filepath.Dir(directory)) },
	} {
		store, directory := openNew(t)
		if err := create(t, store, "a/b.png", "x"); err != nil {
			t.Fatal(err)
		}
		if err := displace(directory); err != nil {
			t.Fatal(err)
		}
		if err := create(t, store, "c.png", "x"); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: create: %v, want %v", name, err, storage.ErrUnavailable)
		}
		if err := store.Check(t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), directory+" was moved, deleted or replaced: ") {
			t.Errorf("%s: check: %v", name, err)
		}
		if exists, err := store.Exists(t.Context(), "none.png"); err == nil {
			t.Errorf("%s: a file exists: %t without an error", name, exists)
		}
		if _, err := read(t, store, "none.png"); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: read: %v, want an error that is not %v", name, err, fs.ErrNotExist)
		}
		if err := store.Remove(t.Context(), "none.png"); err == nil {
			t.Errorf("%s: a file was removed", name)
		}
		for _, err := range store.Files(t.Context()) {
			if err == nil {
				t.Errorf("%s: files were listed", name)
			}
			break
		}
		if status, body := get(t, store, "/media/none.png"); status != http.StatusServiceUnavailable {
			t.Errorf("%s: GET: %d %q, want 503", name, status, body)
		}
	}
}

// TestDirectory_WorksAfterMoveBack checks that a directory works again once it has its name back.
func TestDirectory_WorksAfterMoveBack(t *testing.T) {
	t.Parallel()
	store, directory := openNew(t)
	if err := os.Rename(directory, directory+".away"); err != nil {
		t.Fatal(err)
	}
	if err := store.Check(t.Context()); err == nil {
		t.Error("moved: the store is ready")
	}
	if err := os.Rename(directory+".away", directory); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.Check(t.Context()), create(t, store, "a.png", "x")); err != nil {
		t.Errorf("moved back: %v", err)
	}
}

// TestDirectory_OpensRegularFilesOnly checks that no method waits for the writer of a named
// pipe, and that irregular files do not exist.
func TestDirectory_OpensRegularFilesOnly(t *testing.T) {
	t.Parallel()
	store, directory := openNew(t)
	socket, err := net.Listen("unix", filepath.Join(directory, "socket.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	if err := errors.Join(syscall.Mkfifo(filepath.Join(directory, "pipe.png"), 0o600), os.Symlink("pipe.png", filepath.Join(directory, "link.png")), os.Mkdir(filepath.Join(directory, "directory.png"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"pipe.png", "link.png", "socket.png", "directory.png"} {
		if status, body := get(t, store, "/media/"+key); status != http.StatusNotFound {
			t.Errorf("%s: GET: %d %q, want 404", key, status, body)
		}
		if _, err := read(t, store, key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: read: %v, want %v", key, err, fs.ErrNotExist)
		}
		if exists, err := store.Exists(t.Context(), key); exists || err != nil {
			t.Errorf("%s exists: %t, %v", key, exists, err)
		}
	}
	checkKeys(t, store, "link.png")
}
