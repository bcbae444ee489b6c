// Package storage stores files in a directory or in an S3 bucket, serves them
// over HTTP and builds their URLs.
package storage

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// Prefix is the URL path below which files are served.
const Prefix = "/media/"

// cacheForever is a Cache-Control for files: a key is never reused for other
// content.
const cacheForever = "public, max-age=31536000, immutable"

var (
	// ErrExists means that a file with the key already exists.
	ErrExists = errors.New("file already exists")
	// ErrUnavailable means that a file could not be written. A later attempt may
	// succeed.
	ErrUnavailable = errors.New("file storage is unavailable")

	errInvalidKey = errors.New("a file cannot have this key")
)

// ValidKey reports whether a file may have the key. No element of a key begins with a dot, since
// temporary files, restores and file systems use such names.
func ValidKey(key string) bool {
	return fs.ValidPath(key) && !strings.HasPrefix(key, ".") && !strings.Contains(key, "/.") && !strings.ContainsAny(key, "\x00\\")
}

// ThumbnailDirectory is the directory of thumbnails, within the directory of their images.
const ThumbnailDirectory = "thumbnails"

// DirectoryOf returns the directory of the images that are uploaded on a day.
func DirectoryOf(day time.Time) string { return day.UTC().Format("core_media/2006/01/02") }

// Store stores files under keys such as core_media/2025/12/02/technology.png.
type Store interface {
	// Create writes a new file of size bytes. It returns ErrExists if the key is
	// taken, and an error wrapping ErrUnavailable if the file cannot be written.
	// The file is durable when Create returns, and never visible half written.
	Create(ctx context.Context, key string, content io.Reader, size int64) error
	// Open opens a file for reading. If the file does not exist, the error wraps
	// fs.ErrNotExist.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Exists reports whether a file with the key exists.
	Exists(ctx context.Context, key string) (bool, error)
	// Remove deletes a file. It returns nil if the file does not exist.
	Remove(ctx context.Context, key string) error
	// Files iterates over all files, including files that a killed process left
	// half written.
	Files(ctx context.Context) iter.Seq2[File, error]
	// Check returns an error unless files can be written.
	Check(ctx context.Context) error
	// Handler returns a handler that serves the files below Prefix. It logs why a file
	// cannot be read, unless the file does not exist.
	Handler(log *slog.Logger) http.Handler
	Close() error
}

// File describes a file in a Store.
type File struct {
	Key      string
	Modified time.Time
}

// Location names a Store: file:PATH for a directory, or
// s3://BUCKET?endpoint=URL&region=NAME.
type Location struct {
	text      string
	directory string
	private   []string // files that a directory does not serve
	bucket    bucket
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Location) UnmarshalText(text []byte) (err error) {
	*l = Location{text: string(text)}
	switch scheme, rest, _ := strings.Cut(l.text, ":"); {
	case scheme == "file" && strings.HasPrefix(rest, "//"):
		err = errors.New("file://: a path follows the colon, as in file:data/media or file:/srv/media")
	case scheme == "file" && rest != "":
		l.directory = rest
	case scheme == "s3":
		l.bucket, err = parseBucket(l.text)
	default:
		err = errors.New("not file:PATH or s3://BUCKET?endpoint=URL&region=NAME")
	}
	return err
}

// String returns the text of the location. It never contains a password.
func (l Location) String() string { return l.text }

// Directory returns the directory of the files, or "" if they are in a bucket.
func (l Location) Directory() string { return l.directory }

// Hide returns the location of a directory that does not serve the files with names, even through
// hard links.
func (l Location) Hide(names ...string) Location {
	l.private = names
	return l
}

// Open opens the store. It creates a directory if needed. The directory must be writable.
func (l Location) Open(ctx context.Context) (Store, error) {
	if l.directory != "" {
		return openDirectory(ctx, l.directory, l.private...)
	}
	return l.bucket.open(ctx)
}

// Open parses a location and opens the store.
func Open(ctx context.Context, location string) (Store, error) {
	var parsed Location
	if err := parsed.UnmarshalText([]byte(location)); err != nil {
		return nil, err
	}
	return parsed.Open(ctx)
}

// keyFromRequest returns the key of the requested file. If the request has no valid key, it
// responds with an error and returns false.
func keyFromRequest(w http.ResponseWriter, r *http.Request) (key string, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return "", false
	}
	key = strings.TrimPrefix(r.URL.Path, Prefix)
	if !ValidKey(key) {
		http.NotFound(w, r)
		return "", false
	}
	return key, true
}

// unavailable responds to a request for a file that cannot be read.
func unavailable(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	log.ErrorContext(r.Context(), "file cannot be read", "error", err)
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "File storage is unavailable.", http.StatusServiceUnavailable)
}

// contentType returns the media type for a key by its extension. Files other than raster images are
// application/octet-stream, which no browser runs.
func contentType(key string) string {
	if kind := mime.TypeByExtension(path.Ext(key)); strings.HasPrefix(kind, "image/") && !strings.HasPrefix(kind, "image/svg") {
		return kind
	}
	return "application/octet-stream"
}
