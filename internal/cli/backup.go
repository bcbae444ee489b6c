package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"portfolio/db"
	"portfolio/internal/backup"
	"portfolio/internal/buildinfo"
	"portfolio/internal/config"
	"portfolio/internal/files"
	"portfolio/internal/images"
	"portfolio/internal/printable"
	"portfolio/internal/storage"
)

// backupTarget returns the SQLite database and the media directory of the settings. It returns
// an error if the settings name PostgreSQL or a bucket.
func (f *globalFlags) backupTarget(store storage.Location) (target backup.Target, err error) {
	target = backup.Target{Database: f.Database().SQLitePath(), Media: store.Directory()}
	switch {
	case target.Database == "":
		err = errors.New("DATABASE_URL: must be SQLite; back up PostgreSQL with pg_dump, as docs/backup.md describes")
	case target.Media == "":
		err = errors.New("MEDIA_STORE: must be a directory; back up a bucket with its own tools, as docs/backup.md describes")
	}
	return target, err
}

type backupCommand struct {
	config.Store
	File string `arg:"" help:"File to write. It must not exist."`
}

func (c *backupCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	target, err := flags.backupTarget(c.Location(&flags.Global))
	if err != nil {
		return err
	}
	url, err := flags.existingDatabase(env)
	if err != nil {
		return err
	}
	if _, err := os.Stat(target.Database); errors.Is(err, fs.ErrNotExist) { // Open would create it
		return fmt.Errorf("DATABASE_URL: %s does not exist", target.Database)
	}
	if files.Contains(target.Media, c.File) {
		return fmt.Errorf("%s would be in MEDIA_STORE, whose files are public", c.File)
	}
	database, err := url.Open(ctx) // without a migration: the server may be older
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	defer func() { _ = database.Close() }()
	if err := database.CheckSchema(ctx); err != nil && !errors.Is(err, db.ErrSchemaBehind) {
		return err
	}
	missing, err := backup.Create(ctx, backup.Source{Database: database, Media: target.Media, Program: buildinfo.Read().String()}, c.File)
	if err != nil {
		return err
	}
	if missing > 0 {
		_, _ = fmt.Fprintf(env.stderr, "portfolio: rows refer to %d files that do not exist: \"portfolio media sweep\" lists them\n", missing)
	}
	if err := printBackup(ctx, env, c.File); err != nil {
		return err
	}
	problems, err := images.KeyProblems(ctx, database)
	if err != nil || len(problems) == 0 {
		return err
	}
	return fmt.Errorf("the backup was written, but lacks files: %s", strings.Join(problems, "; "))
}

// printBackup checks a backup and prints a summary of its contents.
func printBackup(ctx context.Context, env environment, name string) error {
	return withArchive(name, func(archive *backup.Archive) error {
		contents, err := archive.Check(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "%s: %d files and the database, %d bytes, of %s.\n",
			printable.Quote(name), contents.Files, contents.Bytes, archive.Info.Time.Format("2006-01-02T15:04:05Z"))
		return err
	})
}

func withArchive(name string, fn func(*backup.Archive) error) error {
	file, info, err := files.OpenRegular(files.OS, name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	archive, err := backup.Read(file, info.Size())
	if err != nil {
		return err
	}
	return fn(archive)
}

type restoreCommand struct {
	config.Store
	File      string `arg:"" help:"Backup to restore."`
	Force     bool   `help:"Replace the current database and files."`
	CheckOnly bool   `name:"check" help:"Check the backup, and restore nothing."` // a field Check would hide the method of Store
}

func (c *restoreCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	if c.CheckOnly {
		return printBackup(ctx, env, c.File)
	}
	target, err := flags.backupTarget(c.Location(&flags.Global))
	if err != nil {
		return err
	}
	if target.Interrupted() {
		if err := target.Finish(); err != nil {
			return err
		}
		env.auditObjects(ctx, "restore", false)
		_, err := fmt.Fprintln(env.stdout, "Finished the restore that was interrupted.")
		return err
	}
	if _, err := flags.existingDatabase(env); err != nil {
		return err
	}
	return withArchive(c.File, func(archive *backup.Archive) error {
		contents, err := target.Restore(ctx, archive, c.Force)
		if err != nil {
			return err
		}
		env.auditObjects(ctx, "restore", false)
		_, err = fmt.Fprintf(env.stdout, "Restored %d files and the database, %d bytes.\n", contents.Files, contents.Bytes)
		return err
	})
}
