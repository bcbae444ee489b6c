package storage_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

func create(t testing.TB, store storage.Store, key, content string) error {
	t.Helper()
	return store.Create(t.Context(), key, strings.NewReader(content), int64(len(content)))
}

func TestStore(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		const key, other = "core_media/2025/12/02/می \u200cخواهم+a&b.png", "core_media/other.png"
		if err := create(t, store, key, "one"); err != nil {
			t.Fatal(err)
		}
		if err := create(t, store, key, "another"); !errors.Is(err, storage.ErrExists) {
			t.Errorf("create the same key again: %v", err)
		}
		if err := create(t, store, other, "two"); err != nil {
			t.Error(err)
		}
		for asked, want := range map[string]bool{key: true, "core_media/2025/12/02/no.png": false, "no/no.png": false} {
			if found, err := store.Exists(t.Context(), asked); err != nil || found != want {
				t.Errorf("%s exists: %v, %v", asked, found, err)
			}
		}
		checkKeys(t, store, key, other)
		for file, err := range store.Files(t.Context()) {
			if age := time.Since(file.Modified); err != nil || age < -time.Minute || age > time.Hour {
				t.Errorf("%s: modified %s ago, %v", file.Key, age, err)
			}
			break // which ends the listing
		}
		if status, body := get(t, store, storage.URL(storage.Prefix, key)); status != http.StatusOK || body != "one" {
			t.Errorf("GET: %d %q", status, body)
		}
		for range 2 { // removing a missing file is not an error
			if err := store.Remove(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		checkKeys(t, store, other)
	})
}

func checkKeys(t *testing.T, store storage.Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, storagetest.Keys(t, store)); diff != "" {
		t.Error(diff)
	}
}

// TestConcurrentCreate lets 20 writers create one key: one succeeds, and the
// file is its file.
func TestConcurrentCreate(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		var group sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			group.Go(func() { errs[i] = create(t, store, "a.png", strings.Repeat(fmt.Sprintf("%02d", i), 100_000)) })
		}
		group.Wait()
		winner := slices.Index(errs, nil)
		for i, err := range errs {
			if i != winner && !errors.Is(err, storage.ErrExists) {
				t.Errorf("writer %d: %v", i, err)
			}
		}
		if _, body := get(t, store, "/media/a.png"); winner < 0 || body != strings.Repeat(fmt.Sprintf("%02d", winner), 100_000) {
			t.Errorf("writer %d succeeded, but the file is another", winner)
		}
		checkKeys(t, store, "a.png")
	})
}

// TestRedirect checks what the handler of a bucket responds itself.
func TestRedirect(t *testing.T) {
	handler := storagetest.S3(t, "http://localhost:1").Handler()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/media/a/b.png", nil))
	location := w.Header().Get("Location")
	if w.Code != http.StatusFound || w.Header().Get("Cache-Control") != "private, max-age=1800" ||
		!strings.HasPrefix(location, "http://localhost:1/images/a/b.png?") || strings.Contains(location, "secret") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/media/../b.png", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestOpenErrors(t *testing.T) {
	const forms = "not file:PATH or s3://BUCKET?endpoint=URL&region=NAME"
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open("file:" + file); err == nil {
		t.Error("a file is opened as a directory")
	}
	for location, want := range map[string]string{
		"":                        forms,
		"file:":                   forms,
		"data/media":              forms,
		"gs://images":             forms,
		"s3://":                   "not s3://BUCKET?endpoint=URL&region=NAME",
		"s3://images/directory":   "not s3://BUCKET?endpoint=URL&region=NAME",
		"s3://key:secret@p":       "not s3://BUCKET?endpoint=URL&region=NAME",
		"s3://p?endpoint=storage": "endpoint: not an absolute http or https URL",
	} {
		if _, err := storage.Open(location); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", location, err, want)
		}
	}
}

// get requests a file over HTTP and follows redirects.
func get(t testing.TB, store storage.Store, target string) (status int, body string) {
	t.Helper()
	server := httptest.NewServer(store.Handler())
	defer server.Close()
	response, err := server.Client().Get(server.URL + target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
