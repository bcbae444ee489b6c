package system

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

// TestUpload_LeavesNothingWhenKilled kills the server while images are uploaded and deleted, at a random
// number of files. No row may be without its files, and garbage collection finds
// what else is left. The variable TEST_KILLS sets how often.
func TestUpload_LeavesNothingWhenKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	image, kills := photograph(t, 300, 200), environmentNumber(t, "TEST_KILLS", 4)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		location, spool, key := "file:"+t.TempDir(), t.TempDir(), newKey(t, dsn)
		store := storagetest.Open(t, location)
		stored := 0
		for range kills {
			server := startProcess(t, dsn, location, spool)
			killDuringUploads(t, server, store, key, image)
			rows, files := rowsOf(t, dsn), storagetest.Keys(t, store)
			stored = len(rows)
			for _, row := range rows {
				if !slices.Contains(files, row) {
					t.Fatalf("%s has a row but no file", row)
				}
			}
		}
		left := storagetest.Keys(t, store)
		database(dsn).run(t, 0, "media", "sweep", "--media-store="+location, "--delete", "--grace=0s")
		if diff := cmp.Diff(rowsOf(t, dsn), storagetest.Keys(t, store)); diff != "" {
			t.Error(diff)
		}
		entries, err := os.ReadDir(spool)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err != nil || info.Size() > 0 {
				t.Errorf("left of what was received: %v, %v", info, err)
			}
		}
		if stored == 0 || len(left) == stored {
			t.Errorf("%d files of rows and %d in all: no kill hit an upload", stored, len(left))
		}
		t.Logf("%d files of rows; %d others were collected", stored, len(left)-stored)
	})
}

// killDuringUploads kills the server once the store has a random number of
// files more. A third of the images is deleted again.
func killDuringUploads(t *testing.T, server *process, store storage.Store, key string, image []byte) {
	t.Helper()
	enough := len(storagetest.Keys(t, store)) + rand.IntN(20)
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for {
				status, body := server.upload(key, image)
				if status == 0 {
					return
				}
				id, ok := strings.CutPrefix(body, `{"data":{"uploadImage":{"image":{"id":"`)
				if status != http.StatusOK || !ok {
					t.Errorf("%d %s", status, body)
				}
				if rand.IntN(3) > 0 {
					continue
				}
				id, _, _ = strings.Cut(id, `"`)
				status, body = server.post(key, "application/json", strings.NewReader(`{"query":"mutation{deleteImage(input:{id:`+id+`}){image{id}}}"}`))
				if status != 0 && body != `{"data":{"deleteImage":{"image":{"id":"`+id+`"}}}}` {
					t.Errorf("%d %s", status, body)
				}
			}
		})
	}
	for len(storagetest.Keys(t, store)) < enough {
	}
	server.kill(t)
	clients.Wait()
}

func rowsOf(t testing.TB, dsn string) []string {
	t.Helper()
	database := dbtest.Open(t, dsn)
	paths := []string{}
	for row, err := range database.FileRefs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, string(row.Path))
	}
	slices.Sort(paths)
	return paths
}

// TestMediaSweep_DeletesOnlyOrphans checks that orphaned files and rows are found, and deleted on
// request.
func TestMediaSweep_DeletesOnlyOrphans(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		directory := t.TempDir()
		for _, key := range []string{"kept.png", "kept_64.png", "old.png", "a/.new-1", "young.png", "thumbnail_of_lost.png"} {
			file := filepath.Join(directory, key)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if key != "young.png" {
				if err := os.Chtimes(file, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, statement := range []string{
			"INSERT INTO portfolios (id, name) VALUES (1, 'p')",
			"INSERT INTO images (id, type, name, path, size) VALUES (1, 'image', 'kept', '/kept.png', 0), (2, 'image', 'lost', 'lost.png', 0), (3, 'image', 'no file', '', 0)",
			"INSERT INTO thumbnails (id, image_id, path) VALUES (1, 1, 'kept_64.png'), (2, 1, 'lost_64.png'), (3, 2, 'thumbnail_of_lost.png')",
			"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (1, 1, 2, 'link')",
		} {
			dbtest.Exec(t, dsn, statement)
		}
		const found = "file without a row: a/.new-1\nfile without a row: old.png\nrow without a file: image 2, lost.png\nrow without a file: thumbnail 2, lost_64.png\n"
		for _, c := range []struct {
			args []string
			want string
		}{
			{nil, found},
			{nil, found},
			{[]string{"--delete"}, found},
			{[]string{"--delete"}, "file without a row: thumbnail_of_lost.png\n"}, // whose image went
			{[]string{"--delete", "--grace=0s"}, "file without a row: young.png\n"},
			{[]string{"--delete", "--grace=0s"}, ""},
		} {
			output, _ := database(dsn).run(t, 0, append([]string{"media", "sweep", "--media-store=file:" + directory}, c.args...)...)
			if diff := cmp.Diff(c.want, output); diff != "" {
				t.Errorf("%v: %s", c.args, diff)
			}
		}
		if diff := cmp.Diff([]string{"/kept.png", "kept_64.png"}, rowsOf(t, dsn)); diff != "" {
			t.Error(diff)
		}
		_, stderr := database(dsn).run(t, 1, "media", "sweep", "--delete", "--media-store=file:"+t.TempDir())
		if want := "portfolio: MEDIA_STORE: the store is empty, but rows refer to files: check the setting\n"; stderr != want {
			t.Errorf("another store: %q", stderr)
		}
	})
}

// TestImagesCreate_StoresFiles imports files, some of them twice.
func TestImagesCreate_StoresFiles(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		directory := t.TempDir()
		var files []string
		for i := range 8 {
			name := filepath.Join(directory, fmt.Sprintf("image %d.jpg", i))
			content := photograph(t, 30+i, 20)
			if i == 7 {
				content = photograph(t, 30, 20) // the first again
			}
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
		page, none := filepath.Join(directory, "page.jpg"), filepath.Join(directory, "none.jpg")
		if err := os.WriteFile(page, []byte("<html>"), 0o600); err != nil {
			t.Fatal(err)
		}
		create := func(code int, files ...string) (lines []string, stderr string) {
			stdout, stderr := database(dsn).run(t, code, append([]string{"images", "create", "--media-store=file:" + directory + "/media"}, files...)...)
			stdout, stderr = strings.ReplaceAll(stdout, directory+"/", ""), strings.ReplaceAll(stderr, directory+"/", "")
			stdout = regexp.MustCompile(`\t\d+\tcore_media/\d{4}/\d\d/\d\d/(.*)_[A-Z2-7]{7}\.`).ReplaceAllString(stdout, "\tID\tDIRECTORY/$1.")
			return slices.Collect(strings.Lines(stdout)), stderr
		}
		lines, stderr := create(1, append(files[:3:3], page, none)...)
		want := []string{"image 0.jpg\tID\tDIRECTORY/image_0.jpg\n", "image 1.jpg\tID\tDIRECTORY/image_1.jpg\n", "image 2.jpg\tID\tDIRECTORY/image_2.jpg\n"}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
		for _, line := range []string{"page.jpg: must be a JPEG, PNG, GIF or WebP file\n", "none.jpg: open none.jpg: no such file or directory\n", "portfolio: 2 of 5 files were not stored\n"} {
			if !strings.Contains(stderr, line) {
				t.Errorf("no line %q in %q", line, stderr)
			}
		}
		lines, _ = create(0, files...)
		for i, line := range lines {
			want := fmt.Sprintf("image %d.jpg\tID\tDIRECTORY/image_%d.jpg\n", i, i)
			if i < 3 || i == 7 {
				want = fmt.Sprintf("image %d.jpg\talready stored\n", i)
			}
			if line != want {
				t.Errorf("%q, want %q", line, want)
			}
		}
		if rows := rowsOf(t, dsn); len(rows) != 7*5 {
			t.Errorf("%d rows", len(rows))
		}
	})
}
