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
	"net/http"
	"os"
	"path"
)

// directory is a Store in a directory of the file system.
type directory struct{ root *os.Root }

func openDirectory(ctx context.Context, name string) (Store, error) {
	if err := os.MkdirAll(name, 0o755); err != nil {
		return nil, fmt.Errorf("create the directory: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	d := &directory{root}
	if err := d.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("write to the directory %s: %w", name, err), root.Close())
	}
	return d, nil
}

func (d *directory) Close() error { return d.root.Close() }

const (
	tempPrefix = ".new-" // of the names of files that are being written
	checkSize  = 4 << 10 // bytes: a block of most file systems
)

// Create writes a temporary file and links it to the key. Unlike renaming,
// linking never replaces a file.
func (d *directory) Create(_ context.Context, key string, content io.Reader, _ int64) error {
	err := d.create(key, content)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (d *directory) create(key string, content io.Reader) error {
	parent := path.Dir(key)
	if err := d.makeDirectory(parent); err != nil {
		return err
	}
	temp, err := d.writeTemp(parent, content)
	if err == nil {
		err = d.root.Link(temp, key)
	}
	if removed := d.root.Remove(temp); err == nil {
		err = removed
	}
	if err != nil {
		return err
	}
	return d.sync(parent)
}

// writeTemp writes a temporary file, which may exist even if an error is
// returned.
func (d *directory) writeTemp(parent string, content io.Reader) (name string, err error) {
	name = path.Join(parent, tempPrefix+rand.Text()[:12])
	file, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return name, err
	}
	_, err = io.Copy(file, content)
	return name, errors.Join(err, file.Sync(), file.Close())
}

// Check writes a small file and removes it.
func (d *directory) Check(context.Context) error {
	name, err := d.writeTemp(".", bytes.NewReader(make([]byte, checkSize)))
	if removed := d.root.Remove(name); err == nil {
		err = removed
	}
	return err
}

// makeDirectory creates a directory and syncs its parents, so that it survives
// a loss of power.
func (d *directory) makeDirectory(name string) error {
	if _, err := d.root.Stat(name); err == nil {
		return nil
	}
	if err := d.root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	for name != "." {
		name = path.Dir(name)
		if err := d.sync(name); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) sync(name string) error {
	opened, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

func (d *directory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	return d.root.Open(key)
}

func (d *directory) Exists(_ context.Context, key string) (bool, error) {
	if !fs.ValidPath(key) {
		return false, nil
	}
	info, err := d.root.Stat(key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular(), err
}

func (d *directory) Remove(_ context.Context, key string) error {
	if !fs.ValidPath(key) {
		return nil
	}
	err := d.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *directory) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		err := fs.WalkDir(d.root.FS(), ".", func(key string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) { // removed since it was listed
				return nil
			}
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && !yield(File{key, info.ModTime()}, nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			yield(File{}, err)
		}
	}
}

func (d *directory) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := keyFromRequest(w, r)
		if !ok {
			return
		}
		file, info, err := d.open(key)
		if err != nil {
			http.NotFound(w, r)
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

func (d *directory) open(key string) (*os.File, fs.FileInfo, error) {
	file, err := d.root.Open(key)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
