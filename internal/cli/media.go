package cli

import (
	"context"
	"fmt"
	"time"

	"portfolio/db"
	"portfolio/internal/config"
	"portfolio/internal/images"
	"portfolio/internal/storage"
)

func openStore(ctx context.Context, location storage.Location) (storage.Store, error) {
	store, err := location.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_STORE: %w", err)
	}
	return store, nil
}

// withStore opens the database and the store, calls fn and closes both.
func (f *globalFlags) withStore(ctx context.Context, location storage.Location, env environment, fn func(*db.DB, storage.Store) error) error {
	return f.withDB(ctx, env, func(database *db.DB) error {
		store, err := openStore(ctx, location)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		return fn(database, store)
	})
}

type imagesCreateCommand struct {
	config.Images
	File []string `arg:"" help:"JPEG, PNG, GIF or WebP files. Files that are already stored are skipped."`
}

func (c *imagesCreateCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	return flags.withStore(ctx, c.Location(&flags.Global), env, func(database *db.DB, store storage.Store) error {
		service := images.New(store, images.Options{MaxBytes: c.MediaMaxBytes, MaxMemory: c.MediaMemory})
		created := func(id db.NodeID) { env.audit(ctx, "images create", nil, id) }
		return images.Import(ctx, service, database, c.File, created, env.stdout, env.stderr)
	})
}

type mediaSweepCommand struct {
	config.Store
	Delete bool          `help:"Delete orphaned files and rows. Affected links lose their image."`
	Grace  time.Duration `default:"1h" help:"Minimum age of a file (${default}). Younger files may belong to an upload in progress."`
}

func (c *mediaSweepCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	return flags.withStore(ctx, c.Location(&flags.Global), env, func(database *db.DB, store storage.Store) error {
		collector := images.GarbageCollector{Database: database, Store: store, MinAge: c.Grace, Delete: c.Delete, Output: env.stdout}
		collector.Deleted = func(object string) { env.auditObjects(ctx, "media sweep", false, object) }
		return collector.Run(ctx)
	})
}
