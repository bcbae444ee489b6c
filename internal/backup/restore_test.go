package backup

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// newTarget returns a database and files whose rows and contents are label.
func newTarget(t testing.TB, label string, keys ...string) Target {
	t.Helper()
	directory := t.TempDir()
	target := Target{Database: filepath.Join(directory, "test.db"), Media: filepath.Join(directory, "media")}
	database := dbtest.Open(t, "sqlite:"+target.Database)
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		writeFile(t, target, key, label)
		if err := database.CreateImage(t.Context(), &db.Image{Name: label, Path: db.FileKey("/" + key)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := database.Close(); err != nil {
		t.Fatal(err)
	}
	return target
}

func openDatabase(t testing.TB, target Target) *db.DB {
	t.Helper()
	return dbtest.Open(t, "sqlite:"+target.Database)
}

// backUp returns a backup of a target.
func backUp(t testing.TB, target Target) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "backup.tar")
	if missing, err := Create(t.Context(), Source{Database: openDatabase(t, target), Media: target.Media}, name); err != nil || missing != 0 {
		t.Fatal(missing, err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func open(t testing.TB, content []byte) *Archive {
	t.Helper()
	archive, err := Read(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// state returns the names of images and the content of each file, including the files of restores.
func state(t testing.TB, target Target) map[string]string {
	t.Helper()
	found := map[string]string{}
	if _, err := os.Stat(target.Database); err == nil {
		connection, err := sql.Open("sqlite", target.Database+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		var names string
		if err := connection.QueryRow("SELECT coalesce(group_concat(name || ' ' || path), '') FROM images").Scan(&names); err != nil {
			t.Fatal(err)
		}
		found["rows"] = names
	}
	directory := filepath.Dir(target.Database)
	err := fs.WalkDir(os.DirFS(directory), ".", func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || entry.IsDir() || strings.HasPrefix(name, "test.db-") {
			return nil
		}
		if content, err := os.ReadFile(filepath.Join(directory, name)); name != "test.db" {
			found[name] = string(content)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestRestore_ReplacesRowsAndFiles checks that a restore needs force if the target is not empty.
func TestRestore_ReplacesRowsAndFiles(t *testing.T) {
	t.Parallel()
	source := newTarget(t, "new", "a/b/c.png", "d.png")
	archive := backUp(t, source)
	target := newTarget(t, "old", "a/b/c.png", "e/f.png")
	before := state(t, target)
	for name, c := range map[string]struct {
		target Target
		want   string
	}{
		"database": {Target{target.Database, filepath.Join(t.TempDir(), "media")}, target.Database + " exists: --force replaces it"},
		"media":    {Target{filepath.Join(t.TempDir(), "test.db"), target.Media}, target.Media + " is not empty: --force replaces its files"},
	} {
		if _, err := c.target.Restore(t.Context(), open(t, archive), false); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	used := openDatabase(t, target)
	if _, err := target.Restore(t.Context(), open(t, archive), true); !errors.Is(err, db.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if err := used.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, state(t, target)); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		found, err := target.Restore(t.Context(), open(t, archive), true)
		if err != nil || found.Files != 2 {
			t.Errorf("%v, %v", found, err)
		}
		if diff := cmp.Diff(state(t, source), state(t, target)); diff != "" {
			t.Error(diff)
		}
	}
	empty := t.TempDir()
	target = Target{filepath.Join(empty, "new", "test.db"), filepath.Join(empty, "new", "media")}
	if _, err := target.Restore(t.Context(), open(t, archive), false); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(state(t, source), state(t, target)); diff != "" {
		t.Error(diff)
	}
}

// TestRestore_ChecksBeforeItReplaces checks that a restore which could not be finished changes
// nothing: it reports the obstacle, and the database can be opened.
func TestRestore_ChecksBeforeItReplaces(t *testing.T) {
	t.Parallel()
	archive := backUp(t, newTarget(t, "new", "a/b.png", "c.png"))
	for name, c := range map[string]struct {
		foreign string // in the media directory
		want    string
	}{
		"file":      {incoming + "/a.png", incoming + " exists, and no restore was interrupted: move it away"},
		"directory": {incoming + "/a/b.png", incoming + " exists, and no restore was interrupted: move it away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := newTarget(t, "old", "a/b.png", c.foreign)
			before := state(t, target)
			for _, force := range []bool{true, false} {
				if _, err := target.Restore(t.Context(), open(t, archive), force); err == nil || !strings.HasSuffix(err.Error(), c.want) {
					t.Errorf("force %v: %v, want %s", force, err, c.want)
				}
			}
			if target.Interrupted() {
				t.Error("the restore is said to be interrupted")
			}
			if diff := cmp.Diff(before, state(t, target)); diff != "" {
				t.Error(diff)
			}
			if err := os.RemoveAll(filepath.Join(target.Media, incoming)); err != nil {
				t.Fatal(err)
			}
			if _, err := target.Restore(t.Context(), open(t, archive), true); err != nil {
				t.Errorf("after it was moved away: %v", err)
			}
		})
	}
}

// TestRestore_ReplacesDamagedDatabase replaces a database that cannot be opened.
func TestRestore_ReplacesDamagedDatabase(t *testing.T) {
	t.Parallel()
	source, target := newTarget(t, "new", "a.png"), newTarget(t, "old")
	archive := backUp(t, source)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.WriteFile(target.Database+suffix, bytes.Repeat([]byte("damaged "), 10_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := target.Restore(t.Context(), open(t, archive), true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state(t, source), state(t, target)); diff != "" {
		t.Error(diff)
	}
}

// TestRestore_RejectsDamagedBackup checks that a damaged backup changes nothing.
func TestRestore_RejectsDamagedBackup(t *testing.T) {
	t.Parallel()
	target := newTarget(t, "old", "a.png")
	before := state(t, target)
	newer := newTarget(t, "new", "b.png")
	dbtest.Exec(t, "sqlite:"+newer.Database, "INSERT INTO bun_migrations (name, group_id) VALUES ('29990101000000', 9)")
	otherSum := line{Name: "media/b.png", Size: 1, SHA256: strings.Repeat("0", 64)}
	whole := backUp(t, newTarget(t, "new", "b.png"))
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"checksum":      {archiveOf(t, firstLine, database, entry{name: "media/b.png", content: "b", line: otherSum}), `the backup is damaged: "media/b.png" has a wrong checksum`},
		"same key":      {archiveOf(t, firstLine, entry{name: "media/b.png"}, entry{name: "media/b.png"}, database), "openat b.png: file exists"},
		"key in file":   {archiveOf(t, firstLine, entry{name: "media/b.png"}, entry{name: "media/b.png/c.png"}, database), "mkdirat b.png: file exists"},
		"no SQLite":     {archiveOf(t, firstLine, database), "the database is unavailable: file is not a database (26)"},
		"newer version": {backUp(t, newer), "the database's schema is newer than this version: it has the migration 29990101000000"},
		"flipped bit":   {flipped(whole, bytes.Index(whole, []byte("SQLite format 3"))+5000), `the backup is damaged: "portfolio.db" has a wrong checksum`},
	} {
		if _, err := target.Restore(t.Context(), open(t, c.archive), true); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if diff := cmp.Diff(before, state(t, target)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func flipped(content []byte, i int) []byte {
	content = slices.Clone(content)
	content[i] ^= 1
	return content
}

// TestFinish_ContinuesAfterEachStep interrupts a restore between any two steps that replace something.
// The database cannot be opened until the restore is finished.
func TestFinish_ContinuesAfterEachStep(t *testing.T) {
	t.Parallel()
	source := newTarget(t, "new", "a/b.png", "c.png")
	archive := backUp(t, source)
	want := state(t, source)
	// Each step is done without the next one. The names are in the media directory.
	for steps := range 8 {
		target := newTarget(t, "old", "a/b.png", "d/e.png")
		if err := stageOnly(t.Context(), target, open(t, archive)); err != nil {
			t.Fatal(err)
		}
		for _, step := range [][2]string{
			{"a", outgoing + "/a"}, {"d", outgoing + "/d"}, {staged, incoming}, {incoming + "/a", "a"}, {incoming + "/c.png", "c.png"}, {incoming, ""},
			{"../test.db.restored", "../test.db"},
		}[:steps] {
			if err := os.MkdirAll(filepath.Join(target.Media, outgoing), 0o755); err != nil {
				t.Fatal(err)
			}
			from := filepath.Join(target.Media, step[0])
			err := os.Rename(from, filepath.Join(target.Media, step[1]))
			if step[1] == "" {
				err = os.Remove(from)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if steps < 7 {
			if !target.Interrupted() {
				t.Errorf("after %d steps: not interrupted", steps)
			}
			if _, err := db.Open(t.Context(), "sqlite:"+target.Database); !errors.Is(err, db.ErrRestoring) {
				t.Errorf("after %d steps: %v", steps, err)
			}
			if err := target.Finish(); err != nil {
				t.Errorf("after %d steps: %v", steps, err)
			}
		} else if target.Interrupted() { // the files before the restore are left
			t.Error("interrupted at the end")
		} else if _, err := target.Restore(t.Context(), open(t, archive), true); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, state(t, target)); diff != "" {
			t.Errorf("after %d steps: %s", steps, diff)
		}
	}
}

// stageOnly restores until the first step that replaces something.
func stageOnly(ctx context.Context, target Target, archive *Archive) error {
	media, err := os.OpenRoot(target.Media)
	if err != nil {
		return err
	}
	defer func() { _ = media.Close() }()
	if _, err := target.stage(ctx, media, archive); err != nil {
		return err
	}
	return os.Rename(target.stagedDatabase(), db.RestoredPath(target.Database))
}
