package images

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sync/errgroup"

	"portfolio/db"
	"portfolio/internal/files"
	"portfolio/internal/printable"
)

// Import saves the image files with names concurrently, and skips files that are already stored.
// For each file it prints its row to stdout, or its error to stderr. On a terminal it also
// prints the progress. It calls created for each stored row, possibly concurrently.
func Import(ctx context.Context, service *Service, database *db.DB, names []string, created func(db.NodeID), stdout, stderr io.Writer) error {
	progress := mpb.NewWithContext(ctx, mpb.WithOutput(stderr)) // draws on a terminal only
	bar := progress.AddBar(int64(len(names)),
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d files ")),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	importer := importer{service: service, database: database, contents: map[[sha256.Size]byte]*importedContent{}}
	images, errs := make([]*db.Image, len(names)), make([]error, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0) + 1) // one goroutine does I/O while the rest decode
	for i, name := range names {
		group.Go(func() error {
			images[i], errs[i] = importer.save(ctx, name)
			if images[i] != nil {
				created(images[i].NodeID())
			}
			bar.Increment()
			return nil
		})
	}
	_ = group.Wait()
	progress.Wait()
	failures := 0
	for i, name := range names {
		name = printable.Quote(name)
		switch {
		case errs[i] != nil:
			failures++
			_, _ = fmt.Fprintf(stderr, "%s: %s\n", name, printable.Escape(errs[i].Error()))
		case images[i] == nil:
			_, _ = fmt.Fprintf(stdout, "%s\talready stored\n", name)
		default:
			_, _ = fmt.Fprintf(stdout, "%s\t%d\t%s\n", name, images[i].ID, images[i].Path)
		}
	}
	if failures > 0 {
		return fmt.Errorf("%d of %d files were not stored", failures, len(names))
	}
	return nil
}

type importer struct {
	service  *Service
	database *db.DB

	mu       sync.Mutex
	contents map[[sha256.Size]byte]*importedContent // by the hash of the file
}

// importedContent is the content of one or more files of an import.
type importedContent struct {
	mu       sync.Mutex // held while a file with the content is saved
	isStored bool
}

// content returns the content with a hash.
func (i *importer) content(hash [sha256.Size]byte) *importedContent {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.contents[hash] == nil {
		i.contents[hash] = new(importedContent)
	}
	return i.contents[hash]
}

// save saves an image file. It returns nil, nil if the image is already stored. Files with equal
// content are saved one by one, until one of them is stored.
func (i *importer) save(ctx context.Context, name string) (*db.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, _, err := files.OpenRegular(files.OS, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return nil, err
	}
	hash := [sha256.Size]byte(sum.Sum(nil))
	content := i.content(hash)
	content.mu.Lock()
	defer content.mu.Unlock()
	if content.isStored {
		return nil, nil
	}
	if _, err = i.database.ImageBySource(ctx, hash); !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	image, err := i.service.Save(ctx, filepath.Base(name), file, i.database.CreateImage)
	content.isStored = err == nil
	return image, err
}
