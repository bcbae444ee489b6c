package system

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// embeddedState is what a backup has, row by row and file by file.
type embeddedState struct {
	Rows  map[string]string // by table and ID
	Files map[string]string // contents and times by key
}

// stateOf reads a database and its files. It leaves out what a killed restore left.
func stateOf(t testing.TB, database, media string) embeddedState {
	t.Helper()
	connection, err := sql.Open("sqlite", database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	state := embeddedState{map[string]string{}, map[string]string{}}
	tables, err := connection.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tables.Close() }()
	for tables.Next() {
		var table string
		if err := tables.Scan(&table); err != nil {
			t.Fatal(err)
		}
		readTable(t, connection, table, state.Rows)
	}
	if err := tables.Err(); err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(media), ".", func(key string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(key, ".restore-") {
			return err
		}
		content, err := os.ReadFile(filepath.Join(media, key))
		if err != nil {
			return err
		}
		info, err := entry.Info()
		state.Files[key] = fmt.Sprintf("%x %s", content, info.ModTime().UTC())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func readTable(t testing.TB, connection *sql.DB, table string, into map[string]string) {
	t.Helper()
	rows, err := connection.Query("SELECT row_number() OVER (), * FROM " + table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		id := fmt.Sprint(*values[0].(*any))
		for i, column := range columns[1:] {
			texts[column] = fmt.Sprintf("%v", *values[i+1].(*any))
		}
		if texts["id"] != "" {
			id = texts["id"]
		}
		text, _ := json.Marshal(texts)
		into[table+" "+id] = string(text)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// runProcess runs a command line in its own process.
func runProcess(args ...string) *exec.Cmd {
	binary, _ := os.Executable()
	command := exec.Command(binary, args...)
	command.Env = append(os.Environ(), "TEST_RUN_PROGRAM=1")
	return command
}

// TestBackup_RestoresEverything restores the backup of a running server elsewhere.
func TestBackup_RestoresEverything(t *testing.T) {
	t.Chdir(t.TempDir())
	server := startServer(t, "--data-dir=data")
	key := server.demoKey()
	if err := os.WriteFile("data/media/orphan.png", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := runCommand(t, 0, "backup", "backup.tar")
	if want := "backup.tar: 5 files and the database, "; !strings.HasPrefix(stdout, want) || stderr != "portfolio: DATABASE_URL is not set: the database is sqlite:data/portfolio.db\n" {
		t.Errorf("printed %q, %q", stdout, stderr)
	}
	if checked, _ := runCommand(t, 0, "restore", "--check", "backup.tar"); checked != stdout {
		t.Errorf("the check printed %q", checked)
	}
	t.Setenv("DATABASE_URL", "sqlite:data/portfolio.db")
	for want, args := range map[string][]string{
		"backup.tar exists":                                      {"backup", "backup.tar"},
		"data/portfolio.db exists: --force replaces it":          {"restore", "backup.tar"},
		"another process uses the database":                      {"restore", "--force", "backup.tar"},
		"DATABASE_URL: none.db does not exist":                   {"backup", "--database-url=sqlite:none.db", "other.tar"},
		"open none.tar: no such file or directory":               {"restore", "--force", "none.tar"},
		"the backup is damaged: archive/tar: invalid tar header": {"restore", "--check", "data/portfolio.db"},
		"MEDIA_STORE: must be a directory; back up a bucket with its own tools, as docs/backup.md describes": {"backup", "--media-store=s3://bucket?endpoint=http://127.0.0.1:1", "other.tar"},
		"DATABASE_URL: must be SQLite; back up PostgreSQL with pg_dump, as docs/backup.md describes":         {"backup", "--database-url=postgres://127.0.0.1/x", "other.tar"},
	} {
		checkFails(t, want, args...)
	}
	t.Setenv("DATABASE_URL", "")
	const database, media = "copy/portfolio.db", "copy/media"
	runCommand(t, 0, "restore", "--database-url=sqlite:"+database, "--media-store=file:"+media, "backup.tar")
	server.stop()
	if err := os.Remove("data/media/orphan.png"); err != nil { // of which there is no row
		t.Fatal(err)
	}
	want := stateOf(t, "data/portfolio.db", "data/media")
	if diff := cmp.Diff(want, stateOf(t, database, media)); diff != "" {
		t.Error(diff)
	}
	restored := startServer(t, "--database-url=sqlite:"+database, "--media-store=file:"+media)
	if status, body := restored.get("/api/portfolios/1/links/4", "Authorization: Token "+key); status != http.StatusOK || body != documented {
		t.Errorf("%d %s", status, cmp.Diff(documented, body))
	}
	runCommand(t, 0, "restore", "--force", "backup.tar")
	if diff := cmp.Diff(want, stateOf(t, "data/portfolio.db", "data/media")); diff != "" {
		t.Error(diff)
	}
}

// checkComplete checks that the files of a state are the files of its rows, with the
// sizes that the rows have.
func checkComplete(t *testing.T, state embeddedState, media string) {
	t.Helper()
	files := maps.Clone(state.Files)
	for row, text := range state.Rows {
		table, _, _ := strings.Cut(row, " ")
		size, ok := map[string]string{"images": "size", "thumbnails": "file_size"}[table]
		if !ok {
			continue
		}
		var fields map[string]string
		_ = json.Unmarshal([]byte(text), &fields)
		info, err := os.Stat(filepath.Join(media, fields["path"]))
		if err != nil || strconv.FormatInt(info.Size(), 10) != fields[size] {
			t.Errorf("%s: %v, %v", text, info, err)
		}
		delete(files, fields["path"])
	}
	for key := range files {
		t.Errorf("%s has no row", key)
	}
}

// checkUnchanged checks that rows and files that never change equal those in the
// final state, if it still has them.
func checkUnchanged(t *testing.T, final, restored embeddedState) {
	t.Helper()
	for row, text := range restored.Rows {
		table, _, _ := strings.Cut(row, " ")
		switch want, kept := final.Rows[row]; table {
		case "images", "thumbnails", "users", "tokens", "portfolios", "bun_migrations":
			if kept && want != text {
				t.Errorf("%s: %s, want %s", row, text, want)
			}
		}
	}
	for key, content := range restored.Files {
		if want, kept := final.Files[key]; kept && want != content {
			t.Errorf("%s has other content or another time", key)
		}
	}
}

// TestBackup_LeavesNothingWhenKilled kills a backup. A file that it cannot read to the end keeps it in
// the middle.
func TestBackup_LeavesNothingWhenKilled(t *testing.T) {
	t.Parallel()
	dsn, directory := dbtest.SQLite(t), t.TempDir()
	media, archive := directory+"/media", directory+"/backup.tar"
	for _, name := range []string{"first", "second"} {
		dbtest.Exec(t, dsn, "INSERT INTO images (type, name, path, size) VALUES ('image', 'x', '"+name+"', 5)")
	}
	if err := errors.Join(os.Mkdir(media, 0o755), os.WriteFile(media+"/first", []byte("first"), 0o600), syscall.Mkfifo(media+"/second", 0o600)); err != nil {
		t.Fatal(err)
	}
	backup := runProcess("backup", "--database-url="+dsn, "--media-store=file:"+media, archive)
	if err := backup.Start(); err != nil {
		t.Fatal(err)
	}
	var left []string
	for len(left) == 0 {
		left, _ = filepath.Glob(archive + ".partial-*/backup.tar")
	}
	if err := backup.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = backup.Wait()
	if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a killed backup left its file: %v", err)
	}
	if err := errors.Join(os.Remove(media+"/second"), os.WriteFile(media+"/second", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	database(dsn).run(t, 0, "backup", "--media-store=file:"+media, archive)
	runCommand(t, 0, "restore", "--check", archive)
}

// TestRestore_ContinuesWhenKilled kills a restore, which leaves the database and the files that
// were there.
func TestRestore_ContinuesWhenKilled(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	archive := directory + "/backup.tar"
	restored := []string{"restore", "--force", "--database-url=sqlite:" + directory + "/old/portfolio.db", "--media-store=file:" + directory + "/old/media", archive}
	makeEmbedded(t, directory+"/new", 200)
	want := stateOf(t, directory+"/new/portfolio.db", directory+"/new/media")
	database("sqlite:"+directory+"/new/portfolio.db").run(t, 0, "backup", "--media-store=file:"+directory+"/new/media", archive)
	makeEmbedded(t, directory+"/old", 3)
	old := stateOf(t, directory+"/old/portfolio.db", directory+"/old/media")
	killed := 0
	for _, files := range []int{0, 10, 50, 100} {
		restore := runProcess(restored...)
		if err := restore.Start(); err != nil {
			t.Fatal(err)
		}
		for {
			if staged, err := os.ReadDir(directory + "/old/media/.restore-staged"); err == nil && len(staged) >= files {
				break
			}
		}
		if err := restore.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := restore.Wait(); err != nil {
			killed++
		} else {
			old = want // it was faster
		}
		if diff := cmp.Diff(old, stateOf(t, directory+"/old/portfolio.db", directory+"/old/media")); diff != "" {
			t.Errorf("killed after %d files: %s", files, diff)
		}
	}
	if killed == 0 {
		t.Error("no restore was killed")
	}
	startServer(t, restored[2], restored[3]).stop()
	runCommand(t, 0, restored...)
	if diff := cmp.Diff(want, stateOf(t, directory+"/old/portfolio.db", directory+"/old/media")); diff != "" {
		t.Error(diff)
	}
	if left, err := filepath.Glob(directory + "/old/*/.restore-*"); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// makeEmbedded makes a database and files in a directory.
func makeEmbedded(t *testing.T, directory string, images int) {
	t.Helper()
	dsn := "sqlite:" + directory + "/portfolio.db"
	runCommand(t, 0, "migrate", "--database-url="+dsn)
	if err := os.Mkdir(directory+"/media", 0o755); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for i := range images {
		name := fmt.Sprint(filepath.Base(directory), i, ".png")
		rows = append(rows, "('image', 'x', '"+name+"', 9)")
		if err := os.WriteFile(filepath.Join(directory, "media", name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dbtest.Exec(t, dsn, "INSERT INTO images (type, name, path, size) VALUES "+strings.Join(rows, ", "))
}
