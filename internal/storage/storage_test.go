package storage_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
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

// TestStore_CreatesListsAndRemoves checks the methods of each store.
func TestStore_CreatesListsAndRemoves(t *testing.T) {
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
		for key, want := range map[string]bool{key: true, "core_media/2025/12/02/no.png": false, "no/no.png": false} {
			if exists, err := store.Exists(t.Context(), key); err != nil || exists != want {
				t.Errorf("%s exists: got %t, %v, want %t", key, exists, err, want)
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
		for _, removed := range []string{key, key, "core_media//other.png", "core_media/no/../other.png"} { // removing a missing file is not an error
			if err := store.Remove(t.Context(), removed); err != nil {
				t.Error(removed, err)
			}
		}
		checkKeys(t, store, other)
	})
}

// TestOpen_ReadsFile checks the content of a file, and the error for a missing file.
func TestOpen_ReadsFile(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		if err := create(t, store, "a/b.png", "one"); err != nil {
			t.Fatal(err)
		}
		if content, err := read(t, store, "a/b.png"); content != "one" || err != nil {
			t.Errorf("read %q, %v", content, err)
		}
		if _, err := read(t, store, "no/no.png"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read a missing file: %v", err)
		}
	})
}

// TestProbe_LeavesNoFile checks that a probe leaves nothing behind, and that it fails if files
// cannot be written.
func TestProbe_LeavesNoFile(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		if err := storage.Probe(t.Context(), store); err != nil {
			t.Error(err)
		}
		checkKeys(t, store)
	})
	if err := storage.Probe(t.Context(), storagetest.S3(t, "http://127.0.0.1:1")); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}

func read(t testing.TB, store storage.Store, key string) (string, error) {
	t.Helper()
	file, err := store.Open(t.Context(), key)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(file)
	return string(content), err
}

func checkKeys(t *testing.T, store storage.Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), storagetest.Keys(t, store)); diff != "" {
		t.Error(diff)
	}
}

// TestCreate_HasOneWinner lets 20 writers create one key: one succeeds, and the
// file has its content.
func TestCreate_HasOneWinner(t *testing.T) {
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
			t.Errorf("writer %d succeeded, but the file has other content", winner)
		}
		checkKeys(t, store, "a.png")
	})
}

// TestS3Handler_Redirects checks the responses of the handler of a bucket.
func TestS3Handler_Redirects(t *testing.T) {
	handler := storagetest.S3(t, "http://localhost:1").Handler(slog.New(slog.DiscardHandler))
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

// TestOpen_RejectsInvalidLocations checks that the errors name the cause, and no secret.
func TestOpen_RejectsInvalidLocations(t *testing.T) {
	const (
		forms   = "not file:PATH or s3://BUCKET?endpoint=URL&region=NAME"
		s3Form  = "not s3://BUCKET?endpoint=URL&region=NAME"
		at      = "?endpoint=http://localhost:1"
		badName = "Bucket name contains invalid characters"
	)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	for location, want := range map[string]string{
		"":                   forms,
		"file:":              forms,
		"data/media":         forms,
		"gs://images":        forms,
		"file:" + file:       "create the directory: mkdir " + file + ": not a directory",
		"file:/proc/media":   "create the directory: mkdir /proc/media: no such file or directory",
		"file:/proc/self":    "write to the directory /proc/self: openat",
		"file://data/media":  "file://: a path follows the colon",
		"file:///data/media": "file://: a path follows the colon",
		"s3:images":          s3Form,
		"s3://images?endpoint=https://project.supabase.co/storage/v1/s3": "endpoint: must end after the host and its port",
		"s3://images?endpoint=https://h/%23a":                            "endpoint: must end after the host and its port",
		"s3://images?endpoint=https://h%3Fa=b":                           "endpoint: must end after the host and its port",
		"s3://images/directory" + at:                                     s3Form,
		"s3://images?a;b":                                                s3Form,
		"s3://" + at:                                                     "s3: needs the name of a bucket",
		"s3://my_bucket!" + at:                                           `bucket "my_bucket!": ` + badName,
		"s3://key:secret@images" + at:                                    "must not contain keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
		"s3://images":                                                    "needs endpoint=URL, or region=NAME for Amazon S3",
		"s3://images" + at + "&key=x":                                    `unknown parameter "key": there are endpoint and region`,
		"s3://images?endpoint=storage":                                   "endpoint: not an absolute http or https URL",
		"s3://images?endpoint=http://key:secret@h":                       "endpoint: not an absolute http or https URL",
		"s3://images" + at:                                               "there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
	} {
		if _, err := storage.Open(t.Context(), location); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %s", location, err, want)
		}
	}
}

// get requests a file over HTTP and follows redirects.
func get(t testing.TB, store storage.Store, target string) (status int, body string) {
	t.Helper()
	server := httptest.NewServer(store.Handler(slog.New(slog.DiscardHandler)))
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
