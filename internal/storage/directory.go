package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"

	"portfolio/internal/files"
)

// directory is a Store in a directory of the file system.
type directory struct {
	name    string
	private []string // files that the handler does not serve
	root    *os.Root
	sync    func(*os.File) error // (*os.File).Sync; tests replace it
	durable sync.Map             // fs.FileInfo of directories that survive a loss of power, by name
	created singleflight.Group   // directories that are being created, by name
}

// openDirectory opens a directory as a Store, and creates it if needed. It returns an error unless
// the directory is writable.
func openDirectory(ctx context.Context, name string, private ...string) (Store, error) {
	if err := files.MakeDirectories(files.OS, name); err != nil {
		return nil, fmt.Errorf("create the directory: %w", files.Explain("", err))
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", files.Explain("", err))
	}
	d := &directory{name: name, private: private, root: root, sync: (*os.File).Sync}
	if err := d.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("write to the directory %s: %w", name, err), root.Close())
	}
	return d, nil
}

func (d *directory) Close() error { return d.root.Close() }

// checkPlace returns an error if the directory was moved, deleted, replaced or unmounted since it
// was opened. Otherwise a file could seem missing that exists in the directory of that name.
func (d *directory) checkPlace() error {
	rootInfo, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	nameInfo, err := os.Stat(d.name)
	if errors.Is(err, fs.ErrPermission) { // to look the name up, so a move would not show
		return nil
	}
	if err == nil && !os.SameFile(rootInfo, nameInfo) {
		err = errors.New("it is not the directory that was opened: put it back, or restart the server")
	}
	if err != nil {
		return fmt.Errorf("the directory %s was moved, deleted or replaced: %v", d.name, err) //nolint:errorlint // must not match fs.ErrNotExist
	}
	return nil
}

const (
	tempPrefix = ".new-" // of the names of files that are being written
	checkSize  = 4 << 10 // bytes: a block of most file systems
)

// Create writes a temporary file and links or renames it to the key. It never replaces a file.
func (d *directory) Create(_ context.Context, key string, content io.Reader, _ int64) error {
	if !ValidKey(key) {
		return fmt.Errorf("%w: %q", errInvalidKey, key)
	}
	parent := path.Dir(key)
	err := d.checkPlace()
	if err == nil {
		err = d.makeDirectory(parent)
	}
	if errors.Is(err, fs.ErrExist) { // as a file
		return fmt.Errorf("%w: %w", errInvalidKey, err)
	}
	if err == nil {
		err = d.writeFile(key, content)
	}
	if err == nil {
		err = d.syncDirectory(parent)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return ErrExists
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %w", errInvalidKey, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, files.Explain(d.name, err))
	}
	return nil
}

// writeFile writes a file that appears under its name when it is complete.
func (d *directory) writeFile(name string, content io.Reader) error {
	temp := path.Join(path.Dir(name), tempPrefix+rand.Text()[:12])
	file, err := files.Create(d.root, temp)
	if err == nil {
		_, err = io.Copy(file, content)
		err = errors.Join(err, d.sync(file), file.Close())
	}
	if err == nil {
		err = d.publish(temp, name)
	}
	if removeErr := d.root.Remove(temp); err == nil && !errors.Is(removeErr, fs.ErrNotExist) {
		err = removeErr
	}
	return err
}

// noLinks are the errors of file systems without hard links.
var noLinks = []error{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EMLINK}

// publish gives a temporary file its name, unless the name is taken. On file systems without hard
// links it renames temp.
func (d *directory) publish(temp, name string) error {
	err := d.root.Link(temp, name)
	if !slices.ContainsFunc(noLinks, func(target error) bool { return errors.Is(err, target) }) {
		return err
	}
	renameErr := renameNew(d.root, temp, path.Base(name))
	if renameErr == nil || errors.Is(renameErr, fs.ErrExist) {
		return renameErr
	}
	return errors.Join(err, renameErr)
}

// Check writes a small file to the directories of today, and removes it.
func (d *directory) Check(context.Context) error {
	if err := d.checkPlace(); err != nil {
		return err
	}
	today := DirectoryOf(time.Now())
	last := ""
	for _, name := range []string{today, path.Join(today, ThumbnailDirectory)} {
		parent, err := d.nearestExisting(name)
		if err == nil && parent != last {
			last = parent
			err = d.checkDirectory(parent)
		}
		if err != nil {
			return files.Explain(d.name, err)
		}
	}
	return nil
}

// nearestExisting returns a directory, or the first of its parents that exists.
func (d *directory) nearestExisting(name string) (string, error) {
	for {
		_, err := d.root.Stat(name)
		if name == "." || !errors.Is(err, fs.ErrNotExist) {
			return name, err
		}
		name = path.Dir(name)
	}
}

func (d *directory) checkDirectory(name string) error {
	file := path.Join(name, tempPrefix+rand.Text()[:12])
	err := d.writeFile(file, bytes.NewReader(make([]byte, checkSize)))
	if removeErr := d.root.Remove(file); err == nil {
		err = removeErr
	}
	return err
}

// makeDirectory creates a directory and syncs its parents, so that it survives a loss of power. It
// also syncs the parents of an existing directory, which another process may not have synced.
func (d *directory) makeDirectory(name string) error {
	info, err := d.root.Stat(name)
	if durable, ok := d.durable.Load(name); ok && err == nil && os.SameFile(info, durable.(fs.FileInfo)) {
		return nil
	}
	_, err, _ = d.created.Do(name, func() (any, error) {
		if err := files.MakeDirectories(d.root, name); err != nil {
			return nil, err
		}
		for parent := name; parent != "."; {
			parent = path.Dir(parent)
			if err := d.syncDirectory(parent); err != nil {
				return nil, err
			}
		}
		info, err := d.root.Stat(name)
		if err == nil {
			d.durable.Store(name, info)
		}
		return nil, err
	})
	return err
}

func (d *directory) syncDirectory(name string) error {
	file, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.sync(file), file.Close())
}

func (d *directory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	file, _, err := d.open(key)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (d *directory) Exists(_ context.Context, key string) (bool, error) {
	if !fs.ValidPath(key) {
		return false, nil
	}
	info, err := d.root.Stat(key)
	if isMissing(err) {
		return false, d.checkPlace()
	}
	return err == nil && info.Mode().IsRegular(), err
}

func (d *directory) Remove(_ context.Context, key string) error {
	if path.Clean(key) != key || !filepath.IsLocal(key) {
		return nil
	}
	if err := d.checkPlace(); err != nil {
		return err
	}
	err := d.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *directory) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		err := d.checkPlace()
		if err == nil {
			err = d.walk(ctx, func(file File) bool { return yield(file, nil) })
		}
		if err != nil {
			yield(File{}, err)
		}
	}
}

// walk calls visit with each file until it returns false.
func (d *directory) walk(ctx context.Context, visit func(File) bool) error {
	return fs.WalkDir(unvalidatedFS{d.root}, ".", func(key string, entry fs.DirEntry, err error) error {
		if kind := entry.Type(); err != nil || !kind.IsRegular() && kind != fs.ModeSymlink {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // removed since it was listed
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && !visit(File{key, info.ModTime()}) {
			return fs.SkipAll
		}
		return err
	})
}

// unvalidatedFS is the file system of a directory. Names of files from other programs need not be
// UTF-8.
type unvalidatedFS struct{ root *os.Root }

func (u unvalidatedFS) Open(name string) (fs.File, error) { return u.root.Open(name) }

func (d *directory) Handler(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := keyFromRequest(w, r)
		if !ok {
			return
		}
		file, info, err := d.open(key)
		if errors.Is(err, fs.ErrNotExist) {
			http.NotFound(w, r)
			return
		}
		if err != nil {
			unavailable(w, r, log, files.Explain(d.name, err))
			return
		}
		defer func() { _ = file.Close() }()
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", cacheForever)
		header.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		header.Set("Content-Type", contentType(key))
		http.ServeContent(w, r, "", info.ModTime(), file)
	})
}

// isMissing reports whether err means that a file does not exist. An error without an errno
// counts as such: os.Root returns it for a link out of the directory, and files.OpenRegular for
// an irregular file.
func isMissing(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	switch {
	case err == nil, errors.Is(err, fs.ErrClosed):
		return false
	case !ok:
		return true
	}
	return slices.Contains([]syscall.Errno{syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP}, errno)
}

// open opens a file. If the file does not exist, the error wraps fs.ErrNotExist.
func (d *directory) open(key string) (*os.File, fs.FileInfo, error) {
	if d.isPrivate(key) {
		return nil, nil, fs.ErrNotExist
	}
	file, info, err := files.OpenRegular(d.root, key)
	if isMissing(err) {
		err = fs.ErrNotExist
		if placeErr := d.checkPlace(); placeErr != nil {
			err = placeErr
		}
	}
	return file, info, err
}

// isPrivate reports whether a key is a hard link to a private file. The handler does not even open
// such a file: to close it would release the locks that SQLite has on it.
func (d *directory) isPrivate(key string) bool {
	return slices.ContainsFunc(d.private, func(name string) bool {
		private, err := os.Stat(name)
		if err != nil || !files.HasOtherNames(private) {
			return false
		}
		info, err := d.root.Stat(key)
		return err == nil && os.SameFile(private, info)
	})
}
