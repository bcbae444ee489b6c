package images_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/internal/images"
	"portfolio/internal/imaging"
	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

// stuckStore never removes a file. It notes what Remove gets, and the memory that the
// service has reserved meanwhile.
type stuckStore struct {
	storage.Store
	service   *images.Service
	deadlines []time.Time
	reserved  int64
}

func (s *stuckStore) Remove(ctx context.Context, _ string) error {
	deadline, _ := ctx.Deadline()
	reserved, _ := s.service.Memory()
	s.deadlines, s.reserved = append(s.deadlines, deadline), s.reserved+reserved
	return errors.New("stuck")
}

// TestSaveAll_BoundsCleanUp checks that all files of a request which fails are removed by one
// deadline, without memory, and that a file that is left is logged and does not hide
// why the request failed.
func TestSaveAll_BoundsCleanUp(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	valid, invalid := encodePNG(t, 160, 120), []byte("<html>")
	for name, c := range map[string]struct {
		store storage.Store
		files [][]byte
		want  error
		left  int
	}{
		"the rows are not written":  {storagetest.Directory(t), [][]byte{valid, valid}, failed, 10},
		"the second is invalid":     {storagetest.Directory(t), [][]byte{valid, invalid}, imaging.InputError("must be a JPEG, PNG, GIF or WebP file"), 5},
		"the second is not stored":  {&failingStore{storagetest.Directory(t), 7}, [][]byte{valid, valid}, storage.ErrUnavailable, 7},
		"the files are not removed": {storagetest.Directory(t), nil, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stuck := &stuckStore{Store: c.store}
			var logs bytes.Buffer
			service := images.New(stuck, images.Options{MaxBytes: maxBytes, MaxMemory: maxMemory, Log: slog.New(slog.NewTextHandler(&logs, nil))})
			stuck.service = service
			var files []images.File
			for _, content := range c.files {
				files = append(files, images.File{Name: "a.png", Content: bytes.NewReader(content)})
			}
			if files == nil {
				service.RemoveFiles(t.Context(), []db.FileKey{"a", "b", "c"})
			} else if err := service.SaveAll(t.Context(), files, func(context.Context, []*db.Image) error { return failed }); !errors.Is(err, c.want) || strings.Contains(err.Error(), "stuck") {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := strings.Count(logs.String(), "stuck"); got != c.left || stuck.reserved != 0 {
				t.Errorf("%d files are logged, want %d; %d bytes were reserved, want 0", got, c.left, stuck.reserved)
			}
			for _, deadline := range stuck.deadlines {
				if deadline.IsZero() || time.Until(deadline) > 10*time.Second {
					t.Errorf("the deadline of a removal is %v, want one in some seconds", deadline)
				}
			}
			if got := slices.MaxFunc(stuck.deadlines, time.Time.Compare).Sub(slices.MinFunc(stuck.deadlines, time.Time.Compare)); got > 0 {
				t.Errorf("the deadlines of removals differ by %s, want 0", got)
			}
		})
	}
}
