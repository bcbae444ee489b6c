package system

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// TestCheck_NamesInvalidKeys checks that rows are named whose files are not served, and that a
// backup which lacks such files fails once it is written.
func TestCheck_NamesInvalidKeys(t *testing.T) {
	const statement = "INSERT INTO images (id, type, name, path, size) VALUES (1, 'image', 'a', '/a/b.png', 1), (2, 'image', 'none', '', 0), (3, 'image', 'hidden', '.hidden/a.png', 1), (4, 'image', 'slashes', 'a//b.png', 1)"
	const thumbnail = "INSERT INTO thumbnails (id, image_id, path) VALUES (7, 1, '/a/.thumbnail.png')"
	problems := []string{
		`the image 3 refers to ".hidden/a.png", which is neither served nor backed up: no file may have this name`,
		`the image 4 refers to "a//b.png", which is neither served nor backed up: no file may have this name`,
		`the thumbnail 7 refers to "/a/.thumbnail.png", which is neither served nor backed up: no file may have this name`,
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		t.Setenv("DATABASE_URL", dsn)
		t.Setenv("MEDIA_STORE", "file:media")
		for _, key := range []string{"media/a/b.png", "media/.hidden/a.png", "media/a/.thumbnail.png"} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(key), 0o700), os.WriteFile(key, []byte("x"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		dbtest.Exec(t, dsn, statement)
		dbtest.Exec(t, dsn, thumbnail)
		stdout, _ := runCommand(t, 0, "check")
		for _, problem := range problems {
			if !strings.Contains(stdout, "warning database: "+problem+"\n") {
				t.Errorf("check printed %s, want %s", stdout, problem)
			}
		}
		if got := strings.Count(stdout, "warning "); got != len(problems) {
			t.Errorf("check printed %d warnings, want %d: %s", got, len(problems), stdout)
		}
		if strings.HasPrefix(dsn, "postgres") {
			return
		}
		stdout, stderr := runCommand(t, 1, "backup", "backup.tar")
		if want := "portfolio: the backup was written, but lacks files: " + strings.Join(problems, "; ") + "\n"; !strings.HasSuffix(stderr, want) {
			t.Errorf("backup printed %s, want %s", stderr, want)
		}
		if want := "backup.tar: 1 files and the database, "; !strings.HasPrefix(stdout, want) {
			t.Errorf("backup printed %s, want %s", stdout, want)
		}
	})
}

// TestMediaStore_ServesNoLinksToDatabase checks that no link in the media directory publishes
// what the server keeps elsewhere, and that a file with a link elsewhere is served.
func TestMediaStore_ServesNoLinksToDatabase(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	inData := func(name string) string { return filepath.Join(server.data, name) }
	const image = "core_media/2025/12/02/technology.png"
	for name, file := range map[string]string{"database.png": "portfolio.db", "wal.png": "portfolio.db-wal", "token.png": "demo-token"} {
		if err := errors.Join(os.Link(inData(file), inData("media/"+name)), os.Symlink("../"+file, inData("media/symbolic-"+name))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(inData("media/"+image), inData("snapshot.png")); err != nil { // as cp --link does
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"database.png": 404, "wal.png": 404, "token.png": 404, "symbolic-database.png": 404, "symbolic-token.png": 404, image: 200,
	} {
		if status, body := server.get("/media/" + path); status != want {
			t.Errorf("%s: %d, want %d: %.20q", path, status, want, body)
		}
	}
}
