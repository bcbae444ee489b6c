// Package images stores uploaded images: it checks and renders them, then writes
// their files and rows. It also imports files and removes orphaned files.
package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"portfolio/db"
	"portfolio/internal/imaging"
	"portfolio/internal/storage"
)

const (
	commitTimeout = 10 * time.Second
	removeTimeout = 5 * time.Second // of all files of a request, which holds a slot meanwhile
)

// Service renders images and stores their files.
type Service struct {
	store    storage.Store
	options  Options
	memory   *semaphore.Weighted // of options.MaxMemory bytes
	reserved atomic.Int64
}

// Options configure a Service.
type Options struct {
	MaxBytes  int64 // of a file
	MaxMemory int64 // bytes for all images that are rendered at the same time
	// Log gets the names of files that could not be removed. It may be nil.
	Log *slog.Logger
	// Observe is called after each step of storing an image, possibly concurrently. The
	// steps are read, wait (for memory), render, store (its files) and insert (its
	// rows). For the step render, pixels is the number of rendered pixels. It may be nil.
	Observe func(ctx context.Context, step string, start time.Time, pixels int)
	// OnMemoryChange gets each change of the memory that is reserved for images in
	// bytes, possibly concurrently. It may be nil.
	OnMemoryChange func(delta int64)
}

// New returns a Service.
func New(store storage.Store, options Options) *Service {
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{store: store, options: options, memory: semaphore.NewWeighted(options.MaxMemory)}
}

// MaxBytes returns the maximum size of a file.
func (s *Service) MaxBytes() int64 { return s.options.MaxBytes }

// Memory returns the bytes that are reserved for images, and their maximum.
func (s *Service) Memory() (reserved, limit int64) { return s.reserved.Load(), s.options.MaxMemory }

// Save is like SaveAll for one image. It returns the image.
func (s *Service) Save(ctx context.Context, filename string, content io.ReadSeeker, insert func(context.Context, *db.Image) error) (*db.Image, error) {
	var saved *db.Image
	err := s.SaveAll(ctx, []File{{filename, content}}, func(ctx context.Context, images []*db.Image) error {
		saved = images[0]
		return insert(ctx, saved)
	})
	if err != nil {
		return nil, err
	}
	return saved, nil
}

// File is an image file.
type File struct {
	Name    string // from the client
	Content io.ReadSeeker
}

// FileError reports the file that could not be staged, by its index.
type FileError struct {
	Index int
	Err   error
}

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// SaveAll stages images one by one, calls insert to write their rows, and commits. The context of
// insert is not canceled with ctx, so that a disconnect cannot interrupt the commit. If insert
// fails, SaveAll removes all files. It keeps them after db.ErrUnavailable, since the rows may have
// been written. If an image cannot be staged, the error is a *FileError.
func (s *Service) SaveAll(ctx context.Context, files []File, insert func(context.Context, []*db.Image) error) error {
	var staged []*Staged
	var images []*db.Image
	defer func() { s.discard(ctx, staged...) }()
	for i, file := range files {
		image, err := s.stage(ctx, file.Name, file.Content)
		staged, images = append(staged, image), append(images, image.Image)
		if err != nil {
			return &FileError{i, err}
		}
	}
	commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	finish := s.startStep(ctx, "insert")
	err := insert(commit, images)
	finish(0)
	unknown := errors.Is(err, db.ErrUnavailable)
	if err == nil || unknown {
		for _, image := range staged {
			image.Commit()
		}
	}
	if unknown {
		return fmt.Errorf("it is not known whether the rows were written: %w", err)
	}
	return err
}

// RemoveFiles removes the files of a deleted image, even if ctx is canceled. It leaves a file that
// it cannot remove to garbage collection.
func (s *Service) RemoveFiles(ctx context.Context, files []db.FileKey) {
	keys := make([]string, len(files))
	for i, file := range files {
		keys[i] = storage.Key(string(file))
	}
	if err := s.removeAll(ctx, keys); err != nil {
		s.options.Log.ErrorContext(ctx, "files of a deleted image were not removed", "error", err)
	}
}

// discard removes the files of images that are not committed, as RemoveFiles does.
func (s *Service) discard(ctx context.Context, staged ...*Staged) {
	var keys []string
	for _, image := range staged {
		keys, image.keys = append(keys, image.keys...), nil
	}
	if err := s.removeAll(ctx, keys); err != nil {
		s.options.Log.ErrorContext(ctx, "files of an image that was not saved were not removed", "error", err)
	}
}

// removeAll removes files within removeTimeout, even if ctx is canceled. The error names the files
// that were not removed.
func (s *Service) removeAll(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	var errs error
	for _, key := range keys {
		if err := s.store.Remove(ctx, key); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errs
}

// Staged is an image whose files are stored, but whose rows are not written
// yet.
type Staged struct {
	Image *db.Image // with its thumbnails

	service *Service
	keys    []string // of the files to discard
}

// Commit keeps the files.
func (s *Staged) Commit() { s.keys = nil }

// Discard removes the files unless they were committed, even if ctx is canceled. It leaves files
// that it cannot remove to garbage collection.
func (s *Staged) Discard(ctx context.Context) error {
	keys := s.keys
	s.keys = nil
	return s.service.removeAll(ctx, keys)
}

// Stage checks and renders an image that the client names filename, and stores its files. It waits
// for the necessary memory until ctx is done. The error is an imaging.InputError if the file is not
// an image, is too large, or takes too much memory.
func (s *Service) Stage(ctx context.Context, filename string, content io.ReadSeeker) (*Staged, error) {
	staged, err := s.stage(ctx, filename, content)
	if err != nil {
		s.discard(ctx, staged)
		return nil, err
	}
	return staged, nil
}

// stage is like Stage, but after an error it also returns the Staged to discard.
func (s *Service) stage(ctx context.Context, filename string, content io.ReadSeeker) (*Staged, error) {
	staged := &Staged{service: s}
	finish := s.startStep(ctx, "read")
	source, err := imaging.Read(content, s.options.MaxBytes)
	finish(0)
	if err == nil {
		err = staged.render(ctx, displayName(filename), source)
	}
	return staged, err
}

// render renders an image and stores its files. It holds memory until it returns.
func (s *Staged) render(ctx context.Context, name string, source *imaging.Source) error {
	service, reserved := s.service, source.Memory()
	if limit := service.options.MaxMemory; reserved > limit {
		const mebibyte = 1 << 20
		return imaging.InputError(fmt.Sprintf("needs %d MiB of memory to decode; the limit is %d MiB", (reserved+mebibyte-1)/mebibyte, limit/mebibyte))
	}
	finish := service.startStep(ctx, "wait")
	err := service.memory.Acquire(ctx, reserved)
	finish(0)
	if err != nil {
		return fmt.Errorf("wait for memory: %w", err)
	}
	service.reserveMemory(reserved)
	defer func() { service.releaseMemory(reserved) }()
	finish = service.startStep(ctx, "render")
	renditions, err := source.Render()
	if err != nil {
		finish(0)
		return err
	}
	finish(renditions.Original.Width * renditions.Original.Height)
	files := min(int64(len(renditions.Original.Content)), reserved) // the rest is garbage
	service.releaseMemory(reserved - files)
	reserved = files

	s.Image = newImage(name, source, renditions)
	finish = service.startStep(ctx, "store")
	err = s.writeFiles(ctx, name, renditions)
	finish(0)
	return err
}

// startStep starts to time a step. The caller calls finish at its end.
func (s *Service) startStep(ctx context.Context, step string) (finish func(pixels int)) {
	if s.options.Observe == nil {
		return func(int) {}
	}
	start := time.Now()
	return func(pixels int) { s.options.Observe(ctx, step, start, pixels) }
}

func (s *Service) reserveMemory(bytes int64) {
	s.reserved.Add(bytes)
	if s.options.OnMemoryChange != nil {
		s.options.OnMemoryChange(bytes)
	}
}

func (s *Service) releaseMemory(bytes int64) {
	s.reserveMemory(-bytes)
	s.memory.Release(bytes)
}

// newImage returns the rows of an image. The rows must not refer to the contents of its files,
// which would stay in memory as long as the rows.
func newImage(name string, source *imaging.Source, renditions *imaging.Renditions) *db.Image {
	original := renditions.Original
	image := &db.Image{
		Type: "image", Name: name, Size: int64(len(original.Content)), Width: new(original.Width), Height: new(original.Height),
		Mode: new(renditions.Mode), MimeType: new(renditions.MIMEType), Placeholder: new(renditions.Placeholder),
		SourceHash: slices.Clone(source.Hash[:]),
	}
	for i, box := range imaging.Boxes {
		thumbnail := renditions.Thumbnails[i]
		image.Thumbnails = append(image.Thumbnails, &db.Thumbnail{
			Size: new(box), Width: new(thumbnail.Width), Height: new(thumbnail.Height), FileSize: new(int64(len(thumbnail.Content))),
		})
	}
	return image
}

// writeFiles stores the files and sets their paths. It never reuses the key of a deleted file.
// Caches keep the file for a year, and garbage collection may be about to remove it.
func (s *Staged) writeFiles(ctx context.Context, name string, renditions *imaging.Renditions) error {
	original := renditions.Original
	key, err := s.writeFile(ctx, uniqueKey(storage.DirectoryOf(time.Now())+"/"+safeFilename(name)+original.Extension), original.Content)
	if err != nil {
		return err
	}
	s.Image.Path = db.FileKey(key)
	for i, thumbnail := range renditions.Thumbnails {
		key, err := s.writeFile(ctx, thumbnailKey(key, imaging.Boxes[i], thumbnail.Extension), thumbnail.Content)
		if err != nil {
			return err
		}
		s.Image.Thumbnails[i].Path = db.FileKey(key)
	}
	return nil
}

// writeFile stores a file under key. If key is taken, it appends a suffix. It returns the key of
// the file.
func (s *Staged) writeFile(ctx context.Context, key string, content []byte) (string, error) {
	for candidate := key; ; candidate = uniqueKey(key) {
		err := s.service.store.Create(ctx, candidate, bytes.NewReader(content), int64(len(content)))
		if errors.Is(err, storage.ErrExists) {
			continue
		}
		if err == nil {
			s.keys = append(s.keys, candidate)
		}
		return candidate, err
	}
}
