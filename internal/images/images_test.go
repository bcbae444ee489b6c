package images_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/internal/images"
	"portfolio/internal/imaging"
	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

const maxBytes, maxMemory = 20 << 20, 512 << 20

// encodePNG returns a PNG of white pixels.
func encodePNG(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, img); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

func encodeJPEG(t testing.TB, width, height int) []byte {
	t.Helper()
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// save saves a valid image without rows.
func save(t testing.TB, store storage.Store, filename string, content []byte) *db.Image {
	t.Helper()
	service := images.New(store, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory})
	image, err := service.Save(t.Context(), filename, bytes.NewReader(content), func(context.Context, *db.Image) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func read(t testing.TB, store storage.Store, path db.FileKey) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	store.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, storage.URL(storage.Prefix, string(path)), nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d", path, w.Code)
	}
	return w.Body.Bytes()
}

func checkFileCount(t testing.TB, store storage.Store, want int) {
	t.Helper()
	if keys := storagetest.Keys(t, store); len(keys) != want {
		t.Errorf("got %d files, want %d: %q", len(keys), want, keys)
	}
}

// TestSave_DescribesFilesInRows compares the rows of an image with its files.
func TestSave_DescribesFilesInRows(t *testing.T) {
	t.Parallel()
	store := storagetest.Directory(t)
	saved := save(t, store, "a.png", encodePNG(t, 300, 200))
	if size := len(read(t, store, saved.Path)); int64(size) != saved.Size {
		t.Errorf("size %d, but the file has %d bytes", saved.Size, size)
	}
	got := []string{fmt.Sprintf("%s %s %s %dx%d", saved.Type, *saved.MimeType, *saved.Mode, *saved.Width, *saved.Height)}
	for _, thumbnail := range saved.Thumbnails {
		content := read(t, store, thumbnail.Path)
		if int64(len(content)) != *thumbnail.FileSize {
			t.Errorf("%s: file size %d, but the file has %d bytes", thumbnail.Path, *thumbnail.FileSize, len(content))
		}
		config, format, err := image.DecodeConfig(bytes.NewReader(content))
		if err != nil || config.Width != *thumbnail.Width || config.Height != *thumbnail.Height {
			t.Errorf("%s: %d x %d, %v", thumbnail.Path, config.Width, config.Height, err)
		}
		got = append(got, fmt.Sprintf("%d %s %dx%d", *thumbnail.Size, format, config.Width, config.Height))
	}
	want := []string{"image image/png RGB 300x200", "64 jpeg 64x43", "128 jpeg 128x85", "512 jpeg 300x200", "1080 jpeg 300x200"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSave_RemovesFilesAfterError checks that each store keeps the files of saved images only.
func TestSave_RemovesFilesAfterError(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		content := encodePNG(t, 160, 120)
		for _, want := range []int{5, 10} {
			save(t, store, "a.png", content)
			checkFileCount(t, store, want)
		}
		failed := errors.New("failed")
		service := images.New(store, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory})
		if _, err := service.Save(t.Context(), "a.png", bytes.NewReader(content), func(context.Context, *db.Image) error { return failed }); !errors.Is(err, failed) {
			t.Error(err)
		}
		checkFileCount(t, store, 10)
	})
}

// TestSave_KeepsFilesOfUnknownCommit checks which files are left if writing the rows fails, even
// if the client has disconnected.
func TestSave_KeepsFilesOfUnknownCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		files int
	}{
		"not written":   {errors.New("no"), 0},
		"maybe written": {fmt.Errorf("%w: lost", db.ErrUnavailable), 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := storagetest.Directory(t)
			ctx, cancel := context.WithCancel(t.Context())
			service := images.New(store, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory})
			_, err := service.Save(ctx, "a.png", bytes.NewReader(encodePNG(t, 160, 120)), func(ctx context.Context, _ *db.Image) error {
				checkFileCount(t, store, 5)
				cancel()
				if deadline, ok := ctx.Deadline(); ctx.Err() != nil || !ok || time.Until(deadline) > 10*time.Second {
					t.Errorf("the context of the commit: %v, %v", ctx.Err(), deadline)
				}
				return c.err
			})
			if !errors.Is(err, c.err) {
				t.Errorf("got %v, want %v", err, c.err)
			}
			checkFileCount(t, store, c.files)
		})
	}
}

// TestStaged_CommitsOrDiscards checks that Discard removes the files unless they are committed.
func TestStaged_CommitsOrDiscards(t *testing.T) {
	t.Parallel()
	store := storagetest.Directory(t)
	service := images.New(store, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory})
	for _, commit := range []bool{false, true} {
		staged, err := service.Stage(t.Context(), "a.png", bytes.NewReader(encodePNG(t, 160, 120)))
		if err != nil {
			t.Fatal(err)
		}
		checkFileCount(t, store, 5)
		want := 0
		if commit {
			staged.Commit()
			want = 5
		}
		for range 2 {
			if err := staged.Discard(t.Context()); err != nil {
				t.Error(err)
			}
			checkFileCount(t, store, want)
		}
	}
}

// failingStore creates remaining files, and then fails.
type failingStore struct {
	storage.Store
	remaining int
}

func (s *failingStore) Create(ctx context.Context, key string, content io.Reader, size int64) error {
	if s.remaining--; s.remaining < 0 {
		return storage.ErrUnavailable
	}
	return s.Store.Create(ctx, key, content, size)
}

// TestStage_RemovesFilesAfterError checks that no file is left if the store fails.
func TestStage_RemovesFilesAfterError(t *testing.T) {
	t.Parallel()
	store := storagetest.Directory(t)
	for created := range 5 {
		service := images.New(&failingStore{store, created}, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory})
		if _, err := service.Stage(t.Context(), "a.png", bytes.NewReader(encodePNG(t, 160, 120))); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("after %d files: %v", created, err)
		}
		checkFileCount(t, store, 0)
	}
}

// TestStage_RejectsInvalidImages checks that no file is stored for an invalid image.
func TestStage_RejectsInvalidImages(t *testing.T) {
	t.Parallel()
	store := storagetest.Directory(t)
	service := images.New(store, images.Options{MaxBytes: 10_000, MaxMemory: 10 << 20})
	truncated := encodePNG(t, 160, 120)
	for name, c := range map[string]struct {
		content []byte
		want    imaging.InputError
	}{
		"too many bytes":  {make([]byte, 10_001), "may have at most 10000 bytes"},
		"HTML":            {[]byte("<html>"), "must be a JPEG, PNG, GIF or WebP file"},
		"truncated":       {truncated[:len(truncated)-50], "is corrupt or truncated"},
		"too much memory": {encodePNG(t, 1000, 1000), "needs 20 MiB of memory to decode; the limit is 10 MiB"},
	} {
		if _, err := service.Stage(t.Context(), "a.png", bytes.NewReader(c.content)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	checkFileCount(t, store, 0)
}

// TestStage_WaitsForMemory checks that an image waits for memory until its context
// ends, and that all memory is released.
func TestStage_WaitsForMemory(t *testing.T) {
	t.Parallel()
	content := encodePNG(t, 400, 400)
	var reserved, peak atomic.Int64
	onChange := func(delta int64) { peak.Store(max(peak.Load(), reserved.Add(delta))) }
	alone := images.New(storagetest.Directory(t), images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory, OnMemoryChange: onChange})
	if _, err := alone.Stage(t.Context(), "a.png", bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if peak.Load() < 8<<20 || reserved.Load() != 0 {
		t.Errorf("at most %d bytes were reserved, finally %d", peak.Load(), reserved.Load())
	}

	blocking := &blockingStore{Store: storagetest.Directory(t), entered: make(chan struct{}), unblock: make(chan struct{})}
	service := images.New(blocking, images.Options{MaxBytes: maxBytes, MaxMemory: peak.Load(), OnMemoryChange: onChange})
	done := make(chan error)
	go func() {
		_, err := service.Stage(t.Context(), "a.png", bytes.NewReader(content))
		done <- err
	}()
	<-blocking.entered
	if got := reserved.Load(); got <= 0 || got > int64(len(content)) {
		t.Errorf("%d bytes are reserved while the files are written", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := service.Stage(ctx, "b.png", bytes.NewReader(content)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second image: %v", err)
	}
	close(blocking.unblock)
	if err := <-done; err != nil || reserved.Load() != 0 {
		t.Errorf("%v, %d bytes are reserved", err, reserved.Load())
	}
}

// blockingStore blocks while it creates the first file.
type blockingStore struct {
	storage.Store
	once             sync.Once
	entered, unblock chan struct{}
}

func (s *blockingStore) Create(ctx context.Context, key string, content io.Reader, size int64) error {
	s.once.Do(func() { close(s.entered) })
	<-s.unblock
	return s.Store.Create(ctx, key, content, size)
}

// paths returns the paths of an image and its thumbnails.
func paths(image *db.Image) []db.FileKey {
	paths := []db.FileKey{image.Path}
	for _, thumbnail := range image.Thumbnails {
		paths = append(paths, thumbnail.Path)
	}
	return paths
}

// takenStore reports that the first key is taken.
type takenStore struct {
	storage.Store
	once sync.Once
}

func (s *takenStore) Create(ctx context.Context, key string, content io.Reader, size int64) error {
	taken := false
	s.once.Do(func() { taken = true })
	if taken {
		return storage.ErrExists
	}
	return s.Store.Create(ctx, key, content, size)
}

// TestSave_NeverReusesKeys saves images with one name: they share no file, not even after the
// files of the first were removed.
func TestSave_NeverReusesKeys(t *testing.T) {
	t.Parallel()
	store := storagetest.Directory(t)
	first := save(t, store, "a.png", encodePNG(t, 160, 120))
	day := time.Now().UTC().Format("core_media/2006/01/02/")
	want := []string{day + "a.png"}
	for _, box := range []string{"64x64", "128x128", "512x512", "1080x1080"} {
		want = append(want, day+"thumbnails/a_thumbnail_"+box+".jpg")
	}
	all := paths(first)
	for i, path := range all {
		if got := withoutSuffix(path); got != want[i] || got == string(path) {
			t.Errorf("got %s, want %s with a suffix", path, want[i])
		}
	}
	images.New(store, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory}).RemoveFiles(t.Context(), paths(first))
	checkFileCount(t, store, 0)
	all = append(all, paths(save(t, store, "a.png", encodePNG(t, 160, 120)))...)
	all = append(all, paths(save(t, store, "a.jpg", encodeJPEG(t, 40, 40)))...)
	all = append(all, paths(save(t, &takenStore{Store: store}, "a.png", encodePNG(t, 50, 50)))...)
	checkFileCount(t, store, 15)
	slices.Sort(all)
	if distinct := slices.Compact(all); len(distinct) != 20 {
		t.Errorf("got %d different keys, want 20", len(distinct))
	}
}

// TestRemoveFiles_ContinuesAfterErrors checks that files are removed after the client has disconnected,
// and that a file that cannot be removed is logged and does not stop others.
func TestRemoveFiles_ContinuesAfterErrors(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, store storage.Store) {
		first, second := save(t, store, "a.png", encodePNG(t, 20, 10)), save(t, store, "a.png", encodePNG(t, 20, 10))
		var logs bytes.Buffer
		service := images.New(&lockedStore{store, string(first.Path)}, images.Options{
			MaxBytes: maxBytes, MaxMemory: maxMemory, Log: slog.New(slog.NewTextHandler(&logs, nil)),
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		service.RemoveFiles(ctx, append(paths(first), "missing.png", "/"+second.Path))
		checkFileCount(t, store, 5) // the locked one, and the thumbnails of the second
		if text := logs.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, string(first.Path)) {
			t.Errorf("logged %s", text)
		}
	})
}

// lockedStore does not remove the file of one key.
type lockedStore struct {
	storage.Store
	key string
}

func (s *lockedStore) Remove(ctx context.Context, key string) error {
	if key == s.key {
		return errors.New("locked")
	}
	return s.Store.Remove(ctx, key)
}

// TestSave_RowsHoldNoContent checks that the rows of images do not keep the content of
// their files in memory, as an import holds the rows of all its images.
func TestSave_RowsHoldNoContent(t *testing.T) {
	store := storagetest.Directory(t)
	noise := image.NewNRGBA(image.Rect(0, 0, 500, 500))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rand.Uint32())
	}
	var encoded bytes.Buffer
	if err := png.Encode(&encoded, noise); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var rows []*db.Image
	for i := range 10 {
		rows = append(rows, save(t, store, fmt.Sprint(i, ".png"), encoded.Bytes()))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > int64(encoded.Len()) {
		t.Errorf("%d rows hold %d bytes, files of %d bytes each", len(rows), held, encoded.Len())
	}
	runtime.KeepAlive(rows)
}
