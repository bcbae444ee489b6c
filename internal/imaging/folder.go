package imaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"path"
)

// folder is a Store on a file system.
type folder struct{ root *os.Root }

func openFolder(name string) (*folder, error) {
	if err := os.MkdirAll(name, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of media: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open the folder of media: %w", err)
	}
	return &folder{root}, nil
}

func (f *folder) Close() error { return f.root.Close() }

const unfinished = ".new-" // begins the name of a file that is being written

// Create writes beside the name and then links, which unlike a rename never
// replaces a file.
func (f *folder) Create(_ context.Context, key string, content io.Reader, _ int64) error {
	err := f.create(key, content)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (f *folder) create(key string, content io.Reader) error {
	in := path.Dir(key)
	if err := f.makeFolder(in); err != nil {
		return err
	}
	temporary, err := f.writeTemporary(in, content)
	if err == nil {
		err = f.root.Link(temporary, key)
	}
	if removed := f.root.Remove(temporary); err == nil {
		err = removed
	}
	if err != nil {
		return err
	}
	return f.sync(in)
}

// writeTemporary writes a file that is not to stay. There may be one even with
// an error.
func (f *folder) writeTemporary(in string, content io.Reader) (name string, err error) {
	name = path.Join(in, unfinished+randomText(12))
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return name, err
	}
	_, err = io.Copy(file, content)
	return name, errors.Join(err, file.Sync(), file.Close())
}

// Check writes a small file and removes it.
func (f *folder) Check(context.Context) error {
	name, err := f.writeTemporary(".", bytes.NewReader(make([]byte, checkSize)))
	return errors.Join(err, f.root.Remove(name))
}

const checkSize = 4 << 10 // bytes: a block of most file systems

// makeFolder makes a folder that survives a loss of power.
func (f *folder) makeFolder(name string) error {
	if _, err := f.root.Stat(name); err == nil {
		return nil
	}
	if err := f.root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	for name != "." {
		name = path.Dir(name)
		if err := f.sync(name); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) sync(name string) error {
	opened, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

func (f *folder) Exists(_ context.Context, key string) (bool, error) {
	if !fs.ValidPath(key) {
		return false, nil
	}
	_, err := f.root.Stat(key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (f *folder) Remove(_ context.Context, key string) error {
	err := f.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (f *folder) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		err := fs.WalkDir(f.root.FS(), ".", func(key string, entry fs.DirEntry, err error) error {
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

func (f *folder) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := served(w, r)
		if !ok {
			return
		}
		file, info, err := f.open(key)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer func() { _ = file.Close() }()
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", immutable)
		header.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		header.Set("Content-Type", contentType(key))
		http.ServeContent(w, r, "", info.ModTime(), file)
	})
}

func (f *folder) open(key string) (*os.File, fs.FileInfo, error) {
	file, err := f.root.Open(key)
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
