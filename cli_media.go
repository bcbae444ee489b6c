package main

import (
	"context"
	"fmt"
	"time"

	"portfolio/db"
	"portfolio/internal/files"
	"portfolio/internal/images"
	"portfolio/internal/storage"
)

type storeSettings struct {
	MediaStore storage.Location `env:"MEDIA_STORE" default:"file:data/media" placeholder:"STORE" help:"Where files are stored (${default}): file:PATH, or s3://BUCKET?endpoint=URL&region=NAME with keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
}

// check returns an error if the files of the store include the database: they are public.
func (s *storeSettings) check(flags *globalFlags) []settingError {
	database := flags.database().SQLitePath()
	if directory := s.MediaStore.Directory(); database != "" && directory != "" && files.Contains(directory, database) {
		return []settingError{{"MEDIA_STORE", fmt.Errorf("must not contain the database, %s: files in it are public", database)}}
	}
	return nil
}

func (s *storeSettings) openStore(ctx context.Context) (storage.Store, error) {
	store, err := s.MediaStore.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_STORE: %w", err)
	}
	return store, nil
}

// withStore opens the database and the store, calls fn and closes both.
func (s *storeSettings) withStore(ctx context.Context, flags *globalFlags, out streams, fn func(*db.DB, storage.Store) error) error {
	return flags.withDB(ctx, out, func(database *db.DB) error {
		store, err := s.openStore(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		return fn(database, store)
	})
}

type imageSettings struct {
	storeSettings
	MediaMemory   int64 `env:"MEDIA_MEMORY" default:"536870912" min:"1" placeholder:"BYTES" help:"Maximum memory for all images that are processed concurrently (${default}). An image that takes more is rejected."`
	MediaMaxBytes int64 `env:"MEDIA_MAX_BYTES" default:"20971520" min:"1" placeholder:"BYTES" help:"Maximum size of an image file (${default})."`
}

type imagesCreateCommand struct {
	imageSettings
	File []string `arg:"" help:"JPEG, PNG, GIF or WebP files. Those that were stored before are skipped."`
}

func (c *imagesCreateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return c.withStore(ctx, flags, out, func(database *db.DB, store storage.Store) error {
		service := images.NewService(store, c.MediaMaxBytes, c.MediaMemory)
		created := func(id db.NodeID) { out.audit(ctx, "images create", nil, id) }
		return images.Import(ctx, service, database, c.File, created, out.stdout, out.stderr)
	})
}

type mediaSweepCommand struct {
	storeSettings
	Delete bool          `help:"Delete orphaned files and rows. Affected links lose their image."`
	Grace  time.Duration `default:"1h" help:"Minimum age of a file (${default}). Younger files may belong to an upload in progress."`
}

func (c *mediaSweepCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return c.withStore(ctx, flags, out, func(database *db.DB, store storage.Store) error {
		collector := images.GarbageCollector{Database: database, Store: store, MinAge: c.Grace, Delete: c.Delete, Output: out.stdout}
		collector.Deleted = func(object string) { out.auditObjects(ctx, "media sweep", false, object) }
		return collector.Run(ctx)
	})
}
