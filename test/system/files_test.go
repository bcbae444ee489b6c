package system

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portfolio/db/dbtest"
)

// checkPrivate checks that only their owner may read the files and directories below a
// directory, and returns their names.
func checkPrivate(t *testing.T, directory string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(directory, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || name == directory {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // a temporary file
			return nil
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return names
}

// TestFiles_ArePrivate runs each command that may create data before any other has, with
// the umasks that keep most and least from others.
func TestFiles_ArePrivate(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "image.jpg")
	if err := os.WriteFile(image, photograph(t, 30, 20), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := makeBackup(t, image)
	checkPrivate(t, filepath.Dir(archive))
	for _, umask := range []string{"000", "022", "077"} {
		for _, c := range []struct{ args, made string }{
			{"check", "data/media"},
			{"migrate", "data/portfolio.db"},
			{"user create sara", "data/portfolio.db"},
			{"token list", "data/portfolio.db"},
			{"images create " + image, "data/media/core_media"},
			{"media sweep", "data/portfolio.db"},
			{"restore " + archive, "data/media/core_media"},
			{"import legacy --url=http://127.0.0.1:1 --token=x --portfolio=1 --links=1 --report=data/report.json", "data/report.json"},
		} {
			t.Run(umask+" "+strings.Fields(c.args)[0], func(t *testing.T) {
				t.Parallel()
				directory := t.TempDir()
				runAfter(t, directory, "umask "+umask, "check")
				runAfter(t, directory, "umask "+umask, strings.Fields(c.args)...)
				checkPrivate(t, directory)
				if _, err := os.Stat(filepath.Join(directory, c.made)); err != nil {
					t.Errorf("the command created no %s: %v", c.made, err)
				}
			})
		}
	}
}

// runAfter runs a command line of the program after one of the shell. It has to end, not
// to succeed.
func runAfter(t *testing.T, directory, shell string, args ...string) {
	t.Helper()
	binary, _ := os.Executable()
	command := exec.Command("sh", append([]string{"-c", shell + ` && exec "$0" "$@"`, binary}, args...)...)
	command.Dir = directory
	command.Env = append(os.Environ(), "TEST_RUN_PROGRAM=1", "DATABASE_URL=sqlite:data/portfolio.db")
	if output, err := command.CombinedOutput(); err != nil && args[0] != "import" {
		t.Errorf("%q: %v %s", args, err, output)
	}
}

// makeBackup makes a backup of a database with an image, and returns its path. Its directory is
// new, and has the database as well.
func makeBackup(t *testing.T, image string) (archive string) {
	t.Helper()
	directory := t.TempDir()
	archive, source, store := directory+"/backup.tar", database("sqlite:"+directory+"/source/portfolio.db"), "--media-store=file:"+directory+"/source/media"
	source.run(t, 0, "images", "create", store, image)
	source.run(t, 0, "backup", store, archive)
	return archive
}

// TestFiles_ArePrivateWhileServed checks the logs of the database, which exist as long as
// it is open, and the key of the demo.
func TestFiles_ArePrivateWhileServed(t *testing.T) {
	t.Chdir(t.TempDir())
	previous := syscall.Umask(0)
	server := startServer(t, "--data-dir=data")
	status, body := server.upload(server.demoKey(), photograph(t, 30, 20))
	syscall.Umask(previous)
	if status != http.StatusOK {
		t.Errorf("upload: %d %s", status, body)
	}
	names := fmt.Sprint(checkPrivate(t, "."))
	for _, want := range []string{"data/portfolio.db", "data/portfolio.db-wal", "data/portfolio.db-shm", "data/demo-token", "data/media/core_media"} {
		if !strings.Contains(names, want) {
			t.Errorf("%s is not in %s", want, names)
		}
	}
}

// otherUser is the number of a user who is not root and owns nothing.
const otherUser = 54321

// needRoot skips a test that changes owners.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped without the rights of root")
	}
}

// ownedDirectory returns a directory of another user that anyone may enter, with a copy of
// the program outside of it.
func ownedDirectory(t *testing.T) (directory, program string) {
	t.Helper()
	base, err := os.MkdirTemp("", "portfolio-owner")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	binary, _ := os.Executable()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	directory, program = filepath.Join(base, "state"), filepath.Join(base, "program")
	if err := errors.Join(os.Chmod(base, 0o755), os.WriteFile(program, content, 0o755), os.Mkdir(directory, 0o700), os.Chown(directory, otherUser, otherUser)); err != nil {
		t.Fatal(err)
	}
	return directory, program
}

// runAs runs a command line of the program as another user.
func runAs(t *testing.T, program, directory string, args ...string) (output string, err error) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Dir = directory
	command.Env = append(os.Environ(), "TEST_RUN_PROGRAM=1", "DATABASE_URL=sqlite:portfolio.db", "MEDIA_STORE=file:media", "TMPDIR="+directory)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser}}
	text, err := command.CombinedOutput()
	return string(text), err
}

// TestRoot_GivesFilesToOwnerOfDirectory checks that the server, which is another user, can
// use what commands of root have created.
func TestRoot_GivesFilesToOwnerOfDirectory(t *testing.T) {
	t.Parallel()
	needRoot(t)
	image := filepath.Join(t.TempDir(), "image.jpg")
	if err := os.WriteFile(image, photograph(t, 30, 20), 0o644); err != nil {
		t.Fatal(err)
	}
	archive := makeBackup(t, image)
	for name, args := range map[string][]string{
		"restore": {"restore", archive}, "images create": {"images", "create", image}, "user create": {"user", "create", "sara"},
		"check": {"check"}, "restore over": nil,
	} {
		t.Run(name, func(t *testing.T) {
			directory, program := ownedDirectory(t)
			place := []string{"--database-url=sqlite:" + directory + "/portfolio.db"}
			if name != "user create" {
				place = append(place, "--media-store=file:"+directory+"/media")
			}
			if args == nil {
				if output, err := runAs(t, program, directory, "images", "create", program); err == nil { // not an image
					t.Error(output)
				}
				args = []string{"restore", "--force", archive}
			}
			runCommand(t, 0, append(args, place...)...)
			checkOwner(t, directory)
			for _, command := range []string{"check", "user create omid"} {
				if name == "user create" && command == "check" {
					continue // the media store belongs to root
				}
				if output, err := runAs(t, program, directory, strings.Fields(command)...); err != nil {
					t.Errorf("%s: %v %s", command, err, output)
				}
			}
		})
	}
}

// checkOwner checks that everything in a directory belongs to the other user.
func checkOwner(t *testing.T, directory string) {
	t.Helper()
	err := filepath.WalkDir(directory, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && (stat.Uid != otherUser || stat.Gid != otherUser) {
			t.Errorf("%s belongs to %d:%d, want %d", name, stat.Uid, stat.Gid, otherUser)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCheck_FindsForeignOwners checks that files which the server cannot use are reported
// with their owner, also where only uploads would fail.
func TestCheck_FindsForeignOwners(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, c := range map[string]struct {
		foreign string // that belongs to root
		want    []string
	}{
		"database":   {"portfolio.db", []string{"failed  database: ", "portfolio.db: permission denied: portfolio.db belongs to root, and this process runs as user 54321\n", "ok      media store: "}},
		"directory":  {".", []string{"failed  database: ", ". belongs to root, and this process runs as user 54321\n"}},
		"media":      {"media", []string{"ok      database: ", "failed  media store: ", "permission denied: media belongs to root, and this process runs as user 54321\n"}},
		"uploads":    {"media/core_media", []string{"ok      database: ", "failed  media store: ", "permission denied: media/core_media belongs to root, and this process runs as user 54321\n"}},
		"thumbnails": {"THUMBNAILS", []string{"failed  media store: ", "/thumbnails belongs to root, and this process runs as user 54321\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			directory, program := ownedDirectory(t)
			image := filepath.Join(directory, "image.jpg")
			if err := errors.Join(os.WriteFile(image, photograph(t, 30, 20), 0o644), os.Chown(image, otherUser, otherUser)); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"images", "create", "image.jpg"}, {"check"}} {
				if output, err := runAs(t, program, directory, args...); err != nil {
					t.Fatalf("%v %s", err, output)
				}
			}
			foreign := filepath.Join(directory, c.foreign)
			if c.foreign == "THUMBNAILS" {
				found, _ := filepath.Glob(filepath.Join(directory, "media/core_media/*/*/*/thumbnails"))
				foreign = found[0]
			}
			if err := os.Chown(foreign, 0, 0); err != nil {
				t.Fatal(err)
			}
			if name == "directory" {
				if err := os.Chmod(foreign, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			output, err := runAs(t, program, directory, "check")
			if err == nil {
				t.Error("check succeeded")
			}
			for _, want := range c.want {
				if !strings.Contains(output, want) {
					t.Errorf("printed %s, want %s", output, want)
				}
			}
		})
	}
}

// TestRestore_RefusesForeignDirectory checks that a restore which could not move a directory
// away, such as lost+found of a disk, changes nothing.
func TestRestore_RefusesForeignDirectory(t *testing.T) {
	t.Parallel()
	needRoot(t)
	directory, program := ownedDirectory(t)
	for _, args := range [][]string{{"user", "create", "sara"}, {"check"}, {"backup", "backup.tar"}} {
		if output, err := runAs(t, program, directory, args...); err != nil {
			t.Fatalf("%q: %v %s", args, err, output)
		}
	}
	if err := os.Mkdir(filepath.Join(directory, "media/lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	const want = "media/lost+found: permission denied: media/lost+found belongs to root, and this process runs as user 54321\n"
	if output, err := runAs(t, program, directory, "restore", "--force", "backup.tar"); err == nil || !strings.HasSuffix(output, want) {
		t.Errorf("%v %s, want %s", err, output, want)
	}
	if output, err := runAs(t, program, directory, "user", "list"); err != nil || !strings.Contains(output, "sara") {
		t.Errorf("afterwards: %v %s", err, output)
	}
}

// TestBackup_RefusesPublicFile checks that no backup is written where anyone can download
// it.
func TestBackup_RefusesPublicFile(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("DATABASE_URL", dbtest.SQLite(t))
	if err := errors.Join(os.MkdirAll("media/a", 0o700), os.Symlink("media", "alias")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"media/x.tar", "media/a/x.tar", "alias/x.tar"} {
		checkFails(t, name+" would be in MEDIA_STORE, whose files are public", "backup", "--media-store=file:media", name)
	}
}
