// Package storagetest opens stores of files for tests.
package storagetest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"portfolio/internal/storage"
)

// Open opens a store that is closed when the test ends.
func Open(t testing.TB, location string) storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// Directory opens a store in a temporary directory.
func Directory(t testing.TB) storage.Store {
	t.Helper()
	return Open(t, "file:"+t.TempDir())
}

// Each runs a test with a directory and with an S3 bucket.
func Each(t *testing.T, test func(t *testing.T, store storage.Store)) {
	t.Helper()
	t.Run("file", func(t *testing.T) { test(t, Directory(t)) })
	t.Run("s3", func(t *testing.T) {
		store, _ := HangingS3(t, func(*http.Request) bool { return false })
		test(t, store)
	})
}

// HangingS3 opens a bucket whose server does not respond to some requests until the
// function release is called.
func HangingS3(t *testing.T, hangs func(*http.Request) bool) (store storage.Store, release func()) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("images"); err != nil {
		t.Fatal(err)
	}
	bucket, released := gofakes3.New(backend).Server(), make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hangs(r) {
			<-released
		}
		bucket.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		release()
		server.Close()
	})
	return S3(t, server.URL), release
}

// S3 opens the bucket images at an S3 endpoint.
func S3(t *testing.T, endpoint string) storage.Store {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	return Open(t, "s3://images?endpoint="+endpoint+"&region=eu-central-1")
}

// Keys returns the keys of all files of a store in ascending order.
func Keys(t testing.TB, store storage.Store) []string {
	t.Helper()
	keys := []string{}
	for file, err := range store.Files(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, file.Key)
	}
	slices.Sort(keys)
	return keys
}
