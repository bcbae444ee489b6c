// Package files creates files and directories of data. Only their owner may read them. It also
// explains why access to a file is denied.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Modes of created files and directories. A umask cannot widen them.
const (
	Mode          fs.FileMode = 0o600
	DirectoryMode fs.FileMode = 0o700
)

// System is a file system: OS, or a directory of OS as an *os.Root.
type System interface {
	Stat(name string) (fs.FileInfo, error)
	Mkdir(name string, mode fs.FileMode) error
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	Lchown(name string, uid, gid int) error
}

// OS is the whole file system.
var OS System = system{}

type system struct{}

func (system) Stat(name string) (fs.FileInfo, error)  { return os.Stat(name) }
func (system) Lchown(name string, uid, gid int) error { return os.Lchown(name, uid, gid) }
func (system) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, mode) //nolint:gosec // the operator names it
}

func (system) Mkdir(name string, mode fs.FileMode) error {
	err := os.Mkdir(name, mode)
	if errors.Is(err, fs.ErrExist) && !isDirectory(OS, name) {
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR} // the cause, as os.MkdirAll says
	}
	return err
}

// Create creates a file and opens it for writing. The file must not exist.
func Create(fsys System, name string) (*os.File, error) {
	file, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, Mode)
	if err == nil {
		adopt(fsys, name, file.Chown) // not by name: the owner of the directory may have replaced the file
	}
	return file, err
}

// ErrIrregular means that a name belongs to a directory, a named pipe, a socket or a device.
var ErrIrregular = errors.New("not a regular file")

// OpenRegular opens a regular file for reading. It does not wait for the writer of a named
// pipe.
func OpenRegular(fsys System, name string) (*os.File, fs.FileInfo, error) {
	file, err := fsys.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ENODEV) { // a socket, or a device without its driver
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: ErrIrregular}
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: ErrIrregular}
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// MakeDirectories creates a directory and its parents, unless they exist.
func MakeDirectories(fsys System, name string) error {
	if isDirectory(fsys, name) {
		return nil
	}
	if parent := filepath.Dir(name); parent != name {
		if err := MakeDirectories(fsys, parent); err != nil {
			return err
		}
	}
	err := fsys.Mkdir(name, DirectoryMode)
	if errors.Is(err, fs.ErrExist) && isDirectory(fsys, name) { // another process has created it
		return nil
	}
	if err == nil {
		adopt(fsys, name, func(uid, gid int) error { return fsys.Lchown(name, uid, gid) })
	}
	return err
}

func isDirectory(fsys System, name string) bool {
	info, err := fsys.Stat(name)
	return err == nil && info.IsDir()
}

// adopt gives a file or directory that root has created to the owner of its parent directory,
// because the server runs as that user. In a container or on a network file system, root may
// lack the right.
func adopt(fsys System, name string, chown func(uid, gid int) error) {
	if os.Geteuid() != 0 {
		return
	}
	directory, err := fsys.Stat(filepath.Dir(name))
	if err != nil {
		return
	}
	if uid, gid, ok := owner(directory); ok && uid != 0 {
		_ = chown(uid, gid) // best effort
	}
}

// Explain adds the owner of the file and the user of this process to an error of denied access.
// Names in the error are relative to directory.
func Explain(directory string, err error) error {
	pathErr, ok := errors.AsType[*fs.PathError](err)
	if !ok || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	name := pathErr.Path
	if !filepath.IsAbs(name) {
		name = filepath.Join(directory, name)
	}
	for { // up to the first directory that exists: it denies the access
		if info, statErr := os.Stat(name); statErr == nil {
			uid, _, ok := owner(info)
			if !ok {
				return err
			}
			return fmt.Errorf("%w: %s belongs to %s, and this process runs as %s", err, name, userName(uid), userName(os.Geteuid()))
		}
		parent := filepath.Dir(name)
		if parent == name {
			return err
		}
		name = parent
	}
}
