// Package imaging keeps pictures with their thumbnails, and knows their
// addresses.
package imaging

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Prefix is the path under which Handler serves files.
const Prefix = "/media/"

// immutable is for how long a file may be kept by who has it: names are never
// used again for another content.
const immutable = "public, max-age=31536000, immutable"

// ErrExists means that a file of that name is there already.
var ErrExists = errors.New("a file of this name exists")

// ErrUnavailable means that a file could not be written, which may be possible
// later.
var ErrUnavailable = errors.New("the media store does not answer")

// Store keeps files under keys such as core_media/2025/12/02/technology.png.
type Store interface {
	// Create writes a new file of size bytes, or returns ErrExists or an error
	// that is ErrUnavailable. Once it
	// returns the file is there for good, and nobody ever sees it half written.
	Create(ctx context.Context, key string, content io.Reader, size int64) error
	// Exists reports whether there is such a file.
	Exists(ctx context.Context, key string) (bool, error)
	// Remove deletes a file. One that is not there is no error.
	Remove(ctx context.Context, key string) error
	// Files lists every file, also what a process that died left half written.
	Files(ctx context.Context) iter.Seq2[File, error]
	// Check returns an error unless files can be written.
	Check(ctx context.Context) error
	// Handler serves the files at Prefix.
	Handler() http.Handler
	Close() error
}

// File is one entry of a store.
type File struct {
	Key      string
	Modified time.Time
}

// Open opens file:PATH, a folder that it makes if needed, or
// s3://BUCKET?endpoint=URL&region=NAME.
func Open(address string) (Store, error) {
	switch scheme, rest, _ := strings.Cut(address, ":"); {
	case scheme == "file" && rest != "":
		return openFolder(rest)
	case scheme == "s3":
		return openBucket(address)
	}
	return nil, errors.New("not file:PATH or s3://BUCKET?endpoint=URL&region=NAME")
}

// URL is the address of the file that a path of a row names. The base ends in
// a slash.
func URL(base, path string) string {
	return base + (&url.URL{Path: Key(path)}).EscapedPath()
}

// Key is the key of the file that a path of a row names: the legacy system's
// paths may begin with slashes.
func Key(path string) string { return strings.TrimLeft(path, "/") }

// served answers everything that is not a GET of a possible key, and else
// returns the key.
func served(w http.ResponseWriter, r *http.Request) (key string, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return "", false
	}
	key = strings.TrimPrefix(r.URL.Path, Prefix)
	if !fs.ValidPath(key) || strings.HasPrefix(path.Base(key), ".") {
		http.NotFound(w, r)
		return "", false
	}
	return key, true
}

// contentType goes by the name alone: what is not a picture is a download.
func contentType(key string) string {
	if kind := mime.TypeByExtension(path.Ext(key)); strings.HasPrefix(kind, "image/") && !strings.HasPrefix(kind, "image/svg") {
		return kind
	}
	return "application/octet-stream"
}
