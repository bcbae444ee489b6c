// Package storagetest opens stores of files for tests.
package storagetest

import (
	"context"
	"net/http/httptest"
	"slices"
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
		backend := s3mem.New()
		if err := backend.CreateBucket("images"); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(gofakes3.New(backend).Server())
		t.Cleanup(server.Close)
		test(t, S3(t, server.URL))
	})
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
