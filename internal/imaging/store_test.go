package imaging_test

import (
	"bytes"
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
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"portfolio/internal/imaging"
)

// eachStore runs a test on a folder and on a bucket.
func eachStore(t *testing.T, test func(t *testing.T, store imaging.Store)) {
	t.Helper()
	t.Run("file", func(t *testing.T) { test(t, openStore(t, "file:"+t.TempDir())) })
	t.Run("s3", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "key")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
		backend := s3mem.New()
		if err := backend.CreateBucket("pictures"); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(gofakes3.New(backend).Server())
		t.Cleanup(server.Close)
		test(t, openStore(t, "s3://pictures?endpoint="+server.URL+"&region=eu-central-1"))
	})
}

func openStore(t testing.TB, address string) imaging.Store {
	t.Helper()
	store, err := imaging.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func create(t testing.TB, store imaging.Store, key, content string) error {
	t.Helper()
	return store.Create(t.Context(), key, strings.NewReader(content), int64(len(content)))
}

func keysOf(t testing.TB, store imaging.Store) []string {
	t.Helper()
	return shelf{Store: store}.keys(t)
}

// TestStore is the contract of both stores.
func TestStore(t *testing.T) {
	eachStore(t, func(t *testing.T, store imaging.Store) {
		const key = "core_media/2025/12/02/می \u200cخواهم+a&b.png"
		if err := create(t, store, key, "one"); err != nil {
			t.Fatal(err)
		}
		if err := create(t, store, key, "another"); !errors.Is(err, imaging.ErrExists) {
			t.Errorf("the same key again: %v", err)
		}
		if err := create(t, store, "core_media/other.png", "two"); err != nil {
			t.Error(err)
		}
		for asked, want := range map[string]bool{key: true, "core_media/2025/12/02/no.png": false, "no/no.png": false} {
			if found, err := store.Exists(t.Context(), asked); err != nil || found != want {
				t.Errorf("%s exists: %v, %v", asked, found, err)
			}
		}
		if diff := cmp.Diff([]string{key, "core_media/other.png"}, keysOf(t, store)); diff != "" {
			t.Error(diff)
		}
		for file, err := range store.Files(t.Context()) {
			if age := time.Since(file.Modified); err != nil || age < -time.Minute || age > time.Hour {
				t.Errorf("%s: modified %s ago, %v", file.Key, age, err)
			}
			break // which ends the listing
		}
		status, body := fetch(t, store, imaging.URL(imaging.Prefix, key))
		if status != http.StatusOK || body != "one" {
			t.Errorf("GET: %d %q", status, body)
		}
		for range 2 { // what is not there is no error
			if err := store.Remove(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]string{"core_media/other.png"}, keysOf(t, store)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestCreateAtOnce lets twenty writers want one name: one gets it, and the
// file is whole.
func TestCreateAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, store imaging.Store) {
		var group sync.WaitGroup
		errs := make([]error, 20)
		for i := range errs {
			group.Go(func() { errs[i] = create(t, store, "a.png", strings.Repeat(fmt.Sprintf("%02d", i), 100_000)) })
		}
		group.Wait()
		won := slices.Index(errs, nil)
		for i, err := range errs {
			if i != won && !errors.Is(err, imaging.ErrExists) {
				t.Errorf("writer %d: %v", i, err)
			}
		}
		if _, body := fetch(t, store, "/media/a.png"); won < 0 || body != strings.Repeat(fmt.Sprintf("%02d", won), 100_000) {
			t.Errorf("writer %d won, but the file is not its own", won)
		}
		if diff := cmp.Diff([]string{"a.png"}, keysOf(t, store)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSaveInEach stores a picture in both.
func TestSaveInEach(t *testing.T) {
	eachStore(t, func(t *testing.T, store imaging.Store) {
		pictures := imaging.NewPictures(store, maxBytes, 512<<20)
		content := pngOf(t, readPNG(t, "scene.png"))
		for _, want := range []int{5, 10} {
			if err := pictures.Save(t.Context(), "a.png", bytes.NewReader(content), func(imaging.Picture) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if keys := keysOf(t, store); len(keys) != want {
				t.Errorf("there are %q", keys)
			}
		}
		refused := errors.New("no")
		if err := pictures.Save(t.Context(), "a.png", bytes.NewReader(content), func(imaging.Picture) error { return refused }); !errors.Is(err, refused) {
			t.Error(err)
		}
		if keys := keysOf(t, store); len(keys) != 10 {
			t.Errorf("there are %q", keys)
		}
	})
}

// TestRedirect shows what a bucket's handler answers itself.
func TestRedirect(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	store := openStore(t, "s3://pictures?endpoint=http://localhost:1&region=eu-central-1")
	w := httptest.NewRecorder()
	store.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/media/a/b.png", nil))
	location := w.Header().Get("Location")
	if w.Code != http.StatusFound || w.Header().Get("Cache-Control") != "private, max-age=1800" ||
		!strings.HasPrefix(location, "http://localhost:1/pictures/a/b.png?") || strings.Contains(location, "secret") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	store.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/media/../b.png", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestOpenRefuses(t *testing.T) {
	const forms = "not file:PATH or s3://BUCKET?endpoint=URL&region=NAME"
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := imaging.Open("file:" + file); err == nil {
		t.Error("a file is opened as a folder")
	}
	for address, want := range map[string]string{
		"":                        forms,
		"file:":                   forms,
		"data/media":              forms,
		"gs://pictures":           forms,
		"s3://":                   "not s3://BUCKET?endpoint=URL&region=NAME",
		"s3://pictures/folder":    "not s3://BUCKET?endpoint=URL&region=NAME",
		"s3://key:secret@p":       "not s3://BUCKET?endpoint=URL&region=NAME",
		"s3://p?endpoint=storage": "endpoint: not an absolute http or https URL",
	} {
		if _, err := imaging.Open(address); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", address, err, want)
		}
	}
}

// fetch asks a store's handler over HTTP, and follows where it leads.
func fetch(t testing.TB, store imaging.Store, target string) (status int, body string) {
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
