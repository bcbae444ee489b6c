package storage

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// openRecorded opens a store that calls synced with the name of each directory that it syncs,
// relative to the store.
func openRecorded(t *testing.T, name string, synced func(directory string)) *directory {
	t.Helper()
	opened, err := openDirectory(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	d := opened.(*directory)
	d.sync = func(file *os.File) error {
		if info, err := file.Stat(); err == nil && info.IsDir() {
			relative, _ := filepath.Rel(name, file.Name())
			synced(relative)
		}
		return file.Sync()
	}
	return d
}

// TestCreate_WaitsForOtherCreators checks that a file is durable when Create returns, also
// if another creator is still syncing the parents of its directory.
func TestCreate_WaitsForOtherCreators(t *testing.T) {
	name := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		syncing, proceed := make(chan struct{}), make(chan struct{})
		var once sync.Once
		d := openRecorded(t, name, func(directory string) {
			if directory == "a" {
				once.Do(func() {
					close(syncing)
					<-proceed
				})
			}
		})
		var creators sync.WaitGroup
		creators.Go(func() {
			if err := d.Create(t.Context(), "a/b/first.png", strings.NewReader("x"), 1); err != nil {
				t.Error(err)
			}
		})
		<-syncing
		var returned atomic.Bool
		creators.Go(func() {
			if err := d.Create(t.Context(), "a/b/second.png", strings.NewReader("x"), 1); err != nil {
				t.Error(err)
			}
			returned.Store(true)
		})
		synctest.Wait()
		if returned.Load() {
			t.Error("the second creator returned before the parents of its directory were synced")
		}
		close(proceed)
		creators.Wait()
	})
}

// TestCreate_SyncsDirectoriesOfOthers checks that Create syncs once the parents of a directory
// that another process has created.
func TestCreate_SyncsDirectoriesOfOthers(t *testing.T) {
	t.Parallel()
	name := t.TempDir()
	if err := os.MkdirAll(filepath.Join(name, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	var synced []string
	d := openRecorded(t, name, func(directory string) { synced = append(synced, directory) })
	for i, want := range [][]string{{"a", ".", "a/b"}, {"a/b"}} {
		synced = nil
		if err := d.Create(t.Context(), "a/b/"+string(rune('0'+i)), strings.NewReader("x"), 1); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(synced, want) {
			t.Errorf("file %d: synced %q, want %q", i, synced, want)
		}
	}
	if err := os.RemoveAll(filepath.Join(name, "a")); err != nil { // as an operator may
		t.Fatal(err)
	}
	synced = nil
	err := d.Create(t.Context(), "a/b/2", strings.NewReader("x"), 1)
	if want := []string{"a", ".", "a/b"}; err != nil || !slices.Equal(synced, want) {
		t.Errorf("after the removal: synced %q, %v, want %q", synced, err, want)
	}
	if info, err := os.Stat(filepath.Join(name, "a", "b")); err != nil || info.Mode().Perm()&^fs.FileMode(0o700) != 0 {
		t.Errorf("the directory: %v, %v", info, err)
	}
}
