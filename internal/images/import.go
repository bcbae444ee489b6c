package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sync/errgroup"

	"portfolio/db"
)

// Import saves the image files with the given names, several concurrently, and
// skips those that were saved before. It prints a line for each file: to stdout
// its row, to stderr its error and, on a terminal, the progress. It calls created,
// possibly concurrently, for each row that is stored.
func Import(ctx context.Context, service *Service, database *db.DB, files []string, created func(db.NodeID), stdout, stderr io.Writer) error {
	progress := mpb.NewWithContext(ctx, mpb.WithOutput(stderr)) // draws on a terminal only
	bar := progress.AddBar(int64(len(files)),
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d files ")),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	importer := importer{service: service, database: database, seen: map[[sha256.Size]byte]bool{}}
	images, errs := make([]*db.Image, len(files)), make([]error, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0) + 1) // one does I/O while the others decode
	for i, file := range files {
		group.Go(func() error {
			images[i], errs[i] = importer.save(ctx, file)
			if images[i] != nil {
				created(images[i].NodeID())
			}
			bar.Increment()
			return nil
		})
	}
	_ = group.Wait()
	progress.Wait()
	failed := 0
	for i, file := range files {
		switch {
		case errs[i] != nil:
			failed++
			_, _ = fmt.Fprintf(stderr, "%s: %v\n", file, errs[i])
		case images[i] == nil:
			_, _ = fmt.Fprintf(stdout, "%s\tstored before\n", file)
		default:
			_, _ = fmt.Fprintf(stdout, "%s\t%d\t%s\n", file, images[i].ID, images[i].Path)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files were not stored", failed, len(files))
	}
	return nil
}

type importer struct {
	service  *Service
	database *db.DB

	mu   sync.Mutex
	seen map[[sha256.Size]byte]bool // by the hash of the file
}

// save returns nil, nil for an image that was saved before.
func (i *importer) save(ctx context.Context, name string) (*db.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return nil, err
	}
	hash := [sha256.Size]byte(sum.Sum(nil))
	i.mu.Lock()
	duplicate := i.seen[hash]
	i.seen[hash] = true
	i.mu.Unlock()
	if duplicate {
		return nil, nil
	}
	if _, err = i.database.ImageBySource(ctx, hash); !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	return i.service.Save(ctx, filepath.Base(name), file, i.database.CreateImage)
}
