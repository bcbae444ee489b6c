// Package media keeps files and knows their addresses.
package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
)

// Prefix is the path under which Handler serves files.
const Prefix = "/media/"

// ErrExists means that a file of that name is there already.
var ErrExists = errors.New("a file of this name exists")

// URL is the address of a file. The base ends in a slash.
func URL(base, key string) string {
	return base + (&url.URL{Path: strings.TrimLeft(key, "/")}).EscapedPath()
}

// Store keeps files in a folder.
type Store struct{ root *os.Root }

// Open opens file:PATH, which it makes if needed.
func Open(address string) (*Store, error) {
	folder, ok := strings.CutPrefix(address, "file:")
	if !ok || folder == "" {
		return nil, errors.New("not file:PATH")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of media: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the folder of media: %w", err)
	}
	return &Store{root}, nil
}

// Close releases the folder.
func (s *Store) Close() error { return s.root.Close() }

// Create writes a new file, or returns ErrExists. Nobody sees it half
// written.
func (s *Store) Create(_ context.Context, key string, content io.Reader) error {
	if err := s.root.MkdirAll(path.Dir(key), 0o755); err != nil {
		return err
	}
	temporary := path.Join(path.Dir(key), ".new-"+path.Base(key))
	file, err := s.root.Create(temporary)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = s.root.Link(temporary, key)
	}
	if removed := s.root.Remove(temporary); err == nil {
		err = removed
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// Handler serves the files at Prefix.
func (s *Store) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
			return
		}
		key := strings.TrimPrefix(r.URL.Path, Prefix)
		file, info, err := s.open(key)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer func() { _ = file.Close() }()
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		header.Set("Content-Type", contentType(key))
		http.ServeContent(w, r, "", info.ModTime(), file)
	})
}

func (s *Store) open(key string) (*os.File, fs.FileInfo, error) {
	if !fs.ValidPath(key) || strings.HasPrefix(path.Base(key), ".") {
		return nil, nil, fs.ErrNotExist
	}
	file, err := s.root.Open(key)
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

// contentType goes by the name alone: what is not a picture is a download.
func contentType(key string) string {
	if kind := mime.TypeByExtension(path.Ext(key)); strings.HasPrefix(kind, "image/") && !strings.HasPrefix(kind, "image/svg") {
		return kind
	}
	return "application/octet-stream"
}
