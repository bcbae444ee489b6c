package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// racing is a file system in which a process of another user creates each directory first.
type racing struct {
	System
	t    *testing.T
	base string // of its names
}

// anotherUser is the number of a user who is neither root nor the owner of the parent.
const anotherUser = 54322

func (r racing) Mkdir(name string, mode fs.FileMode) error {
	created := filepath.Join(r.base, name)
	if err := os.Mkdir(created, 0o755); err != nil {
		r.t.Error(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(created, anotherUser, anotherUser); err != nil {
			r.t.Error(err)
		}
	}
	return r.System.Mkdir(name, mode)
}

// TestMakeDirectories_KeepsDirectoriesOfOthers checks that a directory which another process has
// just created keeps its owner and its mode.
func TestMakeDirectories_KeepsDirectoriesOfOthers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"file system", "directory"} {
		t.Run(kind, func(t *testing.T) {
			parent := t.TempDir()
			if os.Geteuid() == 0 {
				if err := os.Chown(parent, anotherUser-1, anotherUser-1); err != nil {
					t.Fatal(err)
				}
			}
			fsys, directory := racing{System: OS, t: t}, filepath.Join(parent, "a/b")
			if kind == "directory" {
				root, err := os.OpenRoot(parent)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = root.Close() }()
				fsys, directory = racing{System: root, t: t, base: parent}, "a/b"
			}
			if err := MakeDirectories(fsys, directory); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "a/b"} {
				info, err := os.Stat(filepath.Join(parent, name))
				if err != nil {
					t.Fatal(err)
				}
				if mode := info.Mode().Perm(); mode != 0o755 {
					t.Errorf("%s has the mode %o, want 755", name, mode)
				}
				if uid, _, ok := owner(info); ok && os.Geteuid() == 0 && uid != anotherUser {
					t.Errorf("%s belongs to %d, want %d", name, uid, anotherUser)
				}
			}
		})
	}
}

// TestMakeDirectories_CreatesParents checks the modes of what it creates, and that it replaces
// no file.
func TestMakeDirectories_CreatesParents(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	directory := filepath.Join(parent, "a", "b", "c")
	for range 2 { // the second time they exist
		if err := MakeDirectories(OS, directory); err != nil {
			t.Fatal(err)
		}
	}
	for name := directory; name != parent; name = filepath.Dir(name) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != DirectoryMode {
			t.Errorf("%s: %v, %v, want the mode %o", name, info, err, DirectoryMode)
		}
	}
	file := filepath.Join(parent, "file")
	if err := os.WriteFile(file, nil, Mode); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, filepath.Join(file, "below")} {
		if err := MakeDirectories(OS, name); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: error %v, want %v", name, err, syscall.ENOTDIR)
		}
	}
	if err := OS.Mkdir(directory, DirectoryMode); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Mkdir of a directory that exists: %v, want %v", err, fs.ErrExist)
	}
}
