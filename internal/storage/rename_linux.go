package storage

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// renameNew renames a file within its directory, unless the new name is taken.
func renameNew(root *os.Root, name, newName string) error {
	parent, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	fd := int(parent.Fd())
	if err := unix.Renameat2(fd, path.Base(name), fd, newName, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "renameat2", Old: name, New: newName, Err: err}
	}
	return nil
}
