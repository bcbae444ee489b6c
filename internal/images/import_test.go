package images_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/images"
	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

// briefOutage is a store that fails once.
type briefOutage struct {
	storage.Store
	over atomic.Bool
}

func (s *briefOutage) Create(ctx context.Context, key string, content io.Reader, size int64) error {
	if s.over.CompareAndSwap(false, true) {
		return storage.ErrUnavailable
	}
	return s.Store.Create(ctx, key, content, size)
}

// TestImport_SavesDuplicateOfFailedFile checks that a file counts as already stored only if a file
// with its content was stored, whichever of them comes first.
func TestImport_SavesDuplicateOfFailedFile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		directory := t.TempDir()
		write := func(name string, content []byte) string {
			name = filepath.Join(directory, name)
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		page, valid := []byte("<html>"), encodePNG(t, 20, 10)
		for _, c := range []struct {
			name                   string
			store                  storage.Store
			contents               [][]byte
			stored, before, failed int
		}{
			{"invalid files", storagetest.Directory(t), [][]byte{page, page, page}, 0, 0, 3},
			{"one was not saved", &briefOutage{Store: storagetest.Directory(t)}, [][]byte{valid, valid, valid}, 1, 1, 1},
			{"all were saved before", storagetest.Directory(t), [][]byte{valid, valid}, 0, 2, 0},
		} {
			var files []string
			for i, content := range c.contents {
				files = append(files, write(fmt.Sprint(i, ".png"), content))
			}
			var stdout, stderr bytes.Buffer
			var created atomic.Int64
			err := images.Import(t.Context(), images.New(c.store, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory}), database, files, func(db.NodeID) { created.Add(1) }, &stdout, &stderr)
			got := []int{int(created.Load()), strings.Count(stdout.String(), "\talready stored\n"), strings.Count(stderr.String(), ".png: ")}
			if want := []int{c.stored, c.before, c.failed}; !slices.Equal(got, want) || (err != nil) != (c.failed > 0) {
				t.Errorf("%s: stored, before and failed: %v, want %v: %s%s%v", c.name, got, want, stdout.String(), stderr.String(), err)
			}
		}
	})
}

// TestImport_RejectsNamedPipes checks that an import does not wait for the writer of a pipe.
func TestImport_RejectsNamedPipes(t *testing.T) {
	t.Parallel()
	database, pipe := dbtest.Open(t, dbtest.SQLite(t)), filepath.Join(t.TempDir(), "pipe.png")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err := images.Import(t.Context(), images.New(storagetest.Directory(t), images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory}), database, []string{pipe}, func(db.NodeID) {}, &stdout, &stderr)
	if err == nil || !strings.HasSuffix(stderr.String(), "open "+pipe+": not a regular file\n") {
		t.Errorf("import: %v, printed %s%s", err, stdout.String(), stderr.String())
	}
}
