package system

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestMediaStore_MustNotContainDatabase checks every way to name a directory that has the
// database in it, and that nothing is created.
func TestMediaStore_MustNotContainDatabase(t *testing.T) {
	t.Chdir(t.TempDir())
	working, _ := os.Getwd()
	if err := errors.Join(os.MkdirAll("real/nested", 0o700), os.Symlink("real", "alias"), os.Symlink("real/nested", "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ database, store, shown string }{
		{"", "file:data", "data/portfolio.db"},
		{"", "file:.", "data/portfolio.db"},
		{"", "file:data/", "data/portfolio.db"},
		{"", "file:data/media/..", "data/portfolio.db"},
		{"", "file:" + working, "data/portfolio.db"},
		{"sqlite:real/x.db", "file:alias", "real/x.db"},
		{"sqlite:alias/x.db", "file:real", "alias/x.db"},
		{"sqlite:elsewhere/none/x.db", "file:real", "elsewhere/none/x.db"},
		{"sqlite:" + working + "/real/nested/x.db", "file:alias", working + "/real/nested/x.db"},
		{"sqlite:none/x.db", "file:none", "none/x.db"},
	} {
		args := []string{"--media-store=" + c.store}
		if c.database != "" {
			args = append(args, "--database-url="+c.database)
		}
		if want, stderr := "portfolio: MEDIA_STORE: must not contain the database, "+c.shown, serveFails(t, args...); !strings.HasPrefix(stderr, want) {
			t.Errorf("%q: serve said %q, want %s", args, stderr, want)
		}
		for _, command := range []string{"media sweep --delete", "images create x.png", "backup x.tar", "restore x.tar", "config"} {
			checkFails(t, "MEDIA_STORE: must not contain the database, "+c.shown+": files in it are public", append(strings.Fields(command), args...)...)
		}
		if stdout, _ := runCommand(t, 1, append([]string{"check"}, args...)...); !strings.Contains(stdout, "failed  MEDIA_STORE: must not contain the database") {
			t.Errorf("%q: check printed %s", args, stdout)
		}
	}
	// Only config, which deletes nothing, tries the root.
	checkFails(t, "MEDIA_STORE: must not contain the database, x.db: files in it are public", "config", "--database-url=sqlite:x.db", "--media-store=file:/")
	for _, c := range []struct{ database, store string }{
		{"sqlite:real/x.db", "file:real/nested"}, {"sqlite:real/x.db", "file:re"}, {"sqlite:real2/x.db", "file:real"}, {"postgres://h/x", "file:."},
	} {
		runCommand(t, 0, "config", "--database-url="+c.database, "--media-store="+c.store)
	}
	for _, name := range []string{"data", "none", "re", "x.db", "real/x.db"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was created", name)
		}
	}
}

// TestMediaStore_MustNotBeFileOfServer checks stores whose directory would have the name of a
// file that the server creates, and that nothing is created.
func TestMediaStore_MustNotBeFileOfServer(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.MkdirAll("real", 0o700), os.Symlink("real", "alias"), os.WriteFile("real/old.db", nil, 0o600), os.Symlink("real/old.db", "link.db")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ database, store, shown string }{
		{"sqlite:p.db", "file:p.db", "p.db"},
		{"sqlite:p.db", "file:p.db/media", "p.db"},
		{"sqlite:p.db", "file:./p.db-wal", "p.db-wal"},
		{"sqlite:p.db", "file:p.db-shm/a/b", "p.db-shm"},
		{"sqlite:p.db", "file:p.db-journal", "p.db-journal"},
		{"sqlite:p.db", "file:p.db.restored", "p.db.restored"},
		{"sqlite:alias/p.db", "file:real/p.db", "alias/p.db"},
		{"sqlite:real/p.db", "file:alias/p.db-wal", "real/p.db-wal"},
		{"sqlite:link.db", "file:real/old.db-wal", "real/old.db-wal"},
		{"", "file:data/portfolio.db", "data/portfolio.db"},
		{"", "file:data/demo-token", "data/demo-token"},
		{"sqlite:p.db", "file:data/demo-token/x", "data/demo-token"},
	} {
		args := []string{"--media-store=" + c.store}
		if c.database != "" {
			args = append(args, "--database-url="+c.database)
		}
		want := "MEDIA_STORE: must not be " + c.shown + " or below it: a file has that name"
		if stderr := serveFails(t, args...); !strings.HasPrefix(stderr, "portfolio: "+want) {
			t.Errorf("%q: serve said %q, want %s", args, stderr, want)
		}
		checkFails(t, want, append([]string{"images", "create", "x.png"}, args...)...)
		if stdout, _ := runCommand(t, 1, append([]string{"check"}, args...)...); !strings.Contains(stdout, "failed  "+want) {
			t.Errorf("%q: check printed %s, want %s", args, stdout, want)
		}
	}
	for _, c := range []struct{ database, store string }{
		{"sqlite:p.db", "file:p.db-files"}, {"sqlite:p.db", "file:p.d"}, {"", "file:data/media"}, {"postgres://h/x", "file:x"},
	} {
		runCommand(t, 0, "config", "--database-url="+c.database, "--media-store="+c.store)
	}
	for _, name := range []string{"p.db", "p.db-wal", "p.db-shm", "real/p.db", "real/old.db-wal", "data"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s was created", name)
		}
	}
}
