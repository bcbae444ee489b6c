package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sync/errgroup"

	"portfolio/db"
	"portfolio/graph"
	"portfolio/internal/imaging"
)

// storeSettings say where files are.
type storeSettings struct {
	MediaStore string `env:"MEDIA_STORE" default:"file:data/media" placeholder:"STORE" help:"Where files are kept (${default}): file:PATH, or s3://BUCKET?endpoint=URL&region=NAME with keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
}

func (s *storeSettings) open() (imaging.Store, error) {
	store, err := imaging.Open(s.MediaStore)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_STORE: %w", err)
	}
	return store, nil
}

// pictureSettings say what pictures are taken, and where to.
type pictureSettings struct {
	storeSettings
	MediaMemory   int64 `env:"MEDIA_MEMORY" default:"536870912" placeholder:"BYTES" help:"How much memory all pictures may take that are worked on at once (${default}). One that takes more is refused."`
	MediaMaxBytes int64 `env:"MEDIA_MAX_BYTES" default:"20971520" placeholder:"BYTES" help:"How large a picture's file may be (${default})."`
}

type imagesCreateCommand struct {
	pictureSettings
	File []string `arg:"" help:"JPEG, PNG, GIF or WebP files. One that was stored before is skipped."`
}

func (c *imagesCreateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, false, func(database *db.DB) error {
		store, err := c.open()
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		load := bulkLoad{database: database, pictures: imaging.NewPictures(store, c.MediaMaxBytes, c.MediaMemory), underWay: map[[sha256.Size]byte]bool{}}
		return load.run(ctx, c.File, out)
	})
}

// bulkLoad stores files, several at once.
type bulkLoad struct {
	database *db.DB
	pictures *imaging.Pictures

	mu       sync.Mutex
	underWay map[[sha256.Size]byte]bool // by the hash of the file
}

func (l *bulkLoad) run(ctx context.Context, files []string, out streams) error {
	progress := mpb.NewWithContext(ctx, mpb.WithOutput(out.stderr)) // draws on a terminal only
	bar := progress.AddBar(int64(len(files)),
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d files ")),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	images, errs := make([]*db.Image, len(files)), make([]error, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0) + 1) // one reads or writes while the others decode
	for i, file := range files {
		group.Go(func() error {
			images[i], errs[i] = l.store(ctx, file)
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
			_, _ = fmt.Fprintf(out.stderr, "%s: %v\n", file, errs[i])
		case images[i] == nil:
			_, _ = fmt.Fprintf(out.stdout, "%s\tstored before\n", file)
		default:
			_, _ = fmt.Fprintf(out.stdout, "%s\t%d\t%s\n", file, images[i].ID, images[i].Path)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files were not stored", failed, len(files))
	}
	return nil
}

// store is nil without an error for a picture that was stored before.
func (l *bulkLoad) store(ctx context.Context, name string) (*db.Image, error) {
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
	l.mu.Lock()
	twice := l.underWay[hash]
	l.underWay[hash] = true
	l.mu.Unlock()
	if twice {
		return nil, nil
	}
	if _, err = l.database.ImageBySource(ctx, hash); !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	return graph.SavePicture(ctx, l.pictures, filepath.Base(name), file, l.database.CreateImage)
}

type mediaSweepCommand struct {
	storeSettings
	Delete bool          `help:"Delete what is found. Links keep, without their image."`
	Grace  time.Duration `default:"1h" help:"Leave files alone that are younger (${default}): their upload may be under way."`
}

func (c *mediaSweepCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, false, func(database *db.DB) error {
		store, err := c.open()
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		return c.sweep(ctx, database, store, out)
	})
}

// sweep lists the files before the rows: a picture that is uploaded meanwhile
// then has rows whose files are not listed, for which the store is asked
// again, but never files whose rows are not.
func (c *mediaSweepCommand) sweep(ctx context.Context, database *db.DB, store imaging.Store, out streams) error {
	youngest := time.Now().Add(-c.Grace)
	modified := map[string]time.Time{}
	for file, err := range store.Files(ctx) {
		if err != nil {
			return err
		}
		modified[file.Key] = file.Modified
	}
	var lost []db.StoredFile
	named := map[string]bool{}
	for row, err := range database.StoredFiles(ctx) {
		if err != nil {
			return err
		}
		key := imaging.Key(string(row.Path))
		named[key] = true
		if _, listed := modified[key]; !listed {
			lost = append(lost, row)
		}
	}
	if len(modified) == 0 && len(lost) > 0 && c.Delete {
		return errors.New("MEDIA_STORE: there is no file at all, so this is not the store of these rows")
	}
	for _, key := range slices.Sorted(maps.Keys(modified)) {
		if named[key] || modified[key].After(youngest) {
			continue
		}
		_, _ = fmt.Fprintf(out.stdout, "file without a row: %s\n", key)
		if c.Delete {
			if err := store.Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	for _, row := range lost {
		found, err := store.Exists(ctx, imaging.Key(string(row.Path)))
		if err != nil {
			return err
		}
		if found {
			continue
		}
		what, id := "image", row.ImageID
		if row.ThumbnailID != nil {
			what, id = "thumbnail", *row.ThumbnailID
		}
		_, _ = fmt.Fprintf(out.stdout, "row without a file: %s %d, %s\n", what, id, row.Path)
		if c.Delete {
			if err := database.DeleteStoredFile(ctx, row); err != nil {
				return err
			}
		}
	}
	return nil
}
