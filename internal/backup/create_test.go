package backup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// result is what Create returned.
type result struct {
	missing int64
	err     error
}

// create starts a backup.
func create(t *testing.T, source Target, name string, p pauses) <-chan result {
	t.Helper()
	database, done := openDatabase(t, source), make(chan result, 1)
	go func() {
		missing, err := Create(t.Context(), Source{Database: database, Media: source.Media, beforeCopy: p.wait}, name)
		done <- result{missing, err}
	}()
	return done
}

// makeFIFO creates a named pipe, which nobody writes.
func makeFIFO(t *testing.T, source Target, key string) {
	t.Helper()
	if err := syscall.Mkfifo(filepath.Join(source.Media, key), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pauses lets a backup wait before it copies files.
type pauses map[string]pause // by key

type pause struct{ reached, proceed chan struct{} }

func newPauses(keys ...string) pauses {
	p := pauses{}
	for _, key := range keys {
		p[key] = pause{make(chan struct{}), make(chan struct{})}
	}
	return p
}

// await waits until the backup is at a file.
func (p pauses) await(t *testing.T, key string, done <-chan result) {
	t.Helper()
	select {
	case got := <-done:
		t.Fatalf("the backup ended early: %v", got.err)
	case <-p[key].reached:
	}
}

// wait waits in the backup until the channel proceed of a file is closed.
func (p pauses) wait(key string) {
	if pause, ok := p[key]; ok {
		close(pause.reached)
		<-pause.proceed
	}
}

// TestCreate_CopiesOneMoment changes rows and files while a backup is written.
func TestCreate_CopiesOneMoment(t *testing.T) {
	t.Parallel()
	source := newTarget(t, "kept", "a/copied and deleted.png", "b/1", "b/2", "c/deleted.png", "d/kept.png", "e/lost.png", "f/deleted too.png")
	dsn := "sqlite:" + source.Database
	for _, key := range []string{"b/1", "b/2", "e/lost.png"} {
		removeFile(t, source, key)
	}
	makeFIFO(t, source, "b/1")
	makeFIFO(t, source, "b/2")
	for _, statement := range []string{
		"INSERT INTO images (type, name, path, size) VALUES ('image', 'same', 'd/kept.png', 4), ('image', 'none', '', 0), ('image', 'outside', '/../test.db', 0), ('image', 'nul', 'a'||char(0)||'b', 0), ('image', 'file', 'd/kept.png/x', 0), ('image', 'directory', 'd', 0)",
		"INSERT INTO thumbnails (image_id, path) SELECT id, 'e/thumbnail.png' FROM images WHERE path = '/e/lost.png'",
	} {
		dbtest.Exec(t, dsn, statement)
	}
	name := filepath.Join(t.TempDir(), "backup.tar")
	p := newPauses("b/1", "b/2")
	done := create(t, source, name, p)
	p.await(t, "b/1", done)
	for _, key := range []string{"a/copied and deleted.png", "c/deleted.png", "f/deleted too.png"} {
		dbtest.Exec(t, dsn, "DELETE FROM images WHERE path = '/"+key+"'")
		removeFile(t, source, key)
	}
	writeFile(t, source, "e/thumbnail.png", "too late")
	writeFile(t, source, "a/added.png", "added")
	dbtest.Exec(t, dsn, "INSERT INTO images (type, name, path, size) VALUES ('image', 'added', 'a/added.png', 5)")
	dbtest.Exec(t, dsn, "UPDATE images SET name = 'changed' WHERE path = '/d/kept.png'")
	close(p["b/1"].proceed)
	p.await(t, "b/2", done)
	close(p["b/2"].proceed)
	if got := <-done; got.err != nil || got.missing != 7 { // b/1, b/2, e/lost.png and four strange paths
		t.Errorf("%d files are missing, %v", got.missing, got.err)
	}
	removeFile(t, source, "b/1")
	removeFile(t, source, "b/2")
	checkCreated(t, source, name, map[string]string{"a/added.png": "added", "d/kept.png": "kept", "e/thumbnail.png": "too late"})
}

// checkCreated checks that a backup has the rows of the source, and the files.
func checkCreated(t *testing.T, source Target, name string, files map[string]string) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{filepath.Join(t.TempDir(), "test.db"), filepath.Join(t.TempDir(), "media")}
	if _, err := target.Restore(t.Context(), open(t, content), false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state(t, source)["rows"], state(t, target)["rows"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(files, filesBelow(t, target.Media)); diff != "" {
		t.Error(diff)
	}
}

func removeFile(t testing.TB, source Target, key string) {
	t.Helper()
	if err := os.Remove(filepath.Join(source.Media, key)); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, source Target, key, content string) {
	t.Helper()
	file := filepath.Join(source.Media, key)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func filesBelow(t testing.TB, directory string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(directory), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(directory, name))
		found[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCreate_NeedsNoDirectoryWithoutFiles backs up rows that have no file: there are
// no images, or their paths are not valid.
func TestCreate_NeedsNoDirectoryWithoutFiles(t *testing.T) {
	t.Parallel()
	empty, strange := newTarget(t, "empty"), newTarget(t, "strange")
	dbtest.Exec(t, "sqlite:"+strange.Database, "INSERT INTO images (type, name, path, size) VALUES ('image', 'none', '', 0)")
	for name, source := range map[string]Target{"no images": empty, "an image without a path": strange} {
		if _, err := os.Stat(source.Media); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: the directory exists: %v", name, err)
		}
		backup := filepath.Join(t.TempDir(), "backup.tar")
		if got := <-create(t, source, backup, nil); got.err != nil || got.missing != 0 {
			t.Errorf("%s: got %d missing files and %v, want none", name, got.missing, got.err)
			continue
		}
		checkCreated(t, source, backup, map[string]string{})
	}
}

// TestCreate_LeavesNoFileAfterError checks that a backup that fails leaves no file.
func TestCreate_LeavesNoFileAfterError(t *testing.T) {
	t.Parallel()
	absent, files, damaged := newTarget(t, "absent", "a.png"), newTarget(t, "files", "a.png"), newTarget(t, "damaged", "a.png")
	if err := os.RemoveAll(absent.Media); err != nil {
		t.Fatal(err)
	}
	removeFile(t, files, "a.png")
	dbtest.Exec(t, "sqlite:"+damaged.Database, "PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'tokens_user_id'")
	for name, c := range map[string]struct {
		source Target
		want   string
	}{
		"no directory":     {absent, "MEDIA_STORE: open " + absent.Media + ": no such file or directory"},
		"no file at all":   {files, "MEDIA_STORE: the store is empty, but rows refer to files: check the setting"},
		"damaged database": {damaged, "the database is damaged: "},
	} {
		directory := t.TempDir()
		_, err := Create(t.Context(), Source{Database: openDatabase(t, c.source), Media: c.source.Media}, filepath.Join(directory, "backup.tar"))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	unmigrated := Target{Database: filepath.Join(t.TempDir(), "test.db"), Media: t.TempDir()}
	if _, err := Create(t.Context(), Source{Database: openDatabase(t, unmigrated), Media: unmigrated.Media}, filepath.Join(t.TempDir(), "backup.tar")); !errors.Is(err, db.ErrSchemaBehind) {
		t.Errorf("no tables: %v", err)
	}
}
