package backup

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"portfolio/db"
	"portfolio/internal/files"
	"portfolio/internal/storage"
)

// Source locates the database and the files to back up.
type Source struct {
	Database *db.DB // SQLite
	Media    string // the directory of the files
	Program  string // for Info

	beforeCopy func(key string) // test hook; may be nil
}

// Create writes a backup to a new file. The backup has the state of one moment, even if other
// processes change the database and the files meanwhile. Create returns the number of missing
// files, to which rows refer.
func Create(ctx context.Context, source Source, file string) (missing int64, err error) {
	if _, err := os.Lstat(file); err == nil {
		return 0, fmt.Errorf("%s exists", file)
	}
	work, err := os.MkdirTemp(filepath.Dir(file), filepath.Base(file)+".partial-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	snapshot, err := source.Database.NewSnapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer snapshot.Close()

	archive := filepath.Join(work, "backup.tar")
	b := &backup{directory: source.Media, snapshot: snapshot, work: work, beforeCopy: source.beforeCopy}
	defer b.closeMedia()
	if missing, err = b.write(ctx, archive, source.Program); err != nil {
		return 0, err
	}
	if err := os.Rename(archive, file); err != nil {
		return 0, err
	}
	return missing, syncDirectory(filepath.Dir(file))
}

// backup is a backup in progress.
type backup struct {
	directory string   // of the files
	media     *os.Root // the directory; nil until the first file, since it may not exist without files
	snapshot  *db.Snapshot
	work      string // directory of temporary files
	writer    writer
	copied    int64 // files

	beforeCopy func(key string) // as in Source
}

func (b *backup) closeMedia() {
	if b.media != nil {
		_ = b.media.Close()
	}
}

// write writes the archive, and returns the number of missing files.
func (b *backup) write(ctx context.Context, archive, program string) (missing int64, err error) {
	file, err := os.OpenFile(archive, os.O_WRONLY|os.O_CREATE|os.O_EXCL, files.Mode)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lines, err := os.OpenFile(filepath.Join(b.work, manifestName), os.O_RDWR|os.O_CREATE|os.O_EXCL, files.Mode)
	if err != nil {
		return 0, err
	}
	defer func() { _ = lines.Close() }()
	buffer := bufio.NewWriterSize(file, 1<<20)
	b.writer = writer{tar.NewWriter(buffer), bufio.NewWriter(lines)}

	info := Info{Format: format, Program: program, Time: time.Now().UTC()}
	if info.Schema, err = b.snapshot.Schema(ctx); err != nil {
		return 0, err
	}
	if err := b.writer.writeLine(info); err != nil {
		return 0, err
	}
	if err := b.copyFiles(ctx); err != nil {
		return 0, err
	}
	if missing, err = b.copyDatabase(ctx); err != nil {
		return 0, err
	}
	if err := b.writer.close(lines); err != nil {
		return 0, err
	}
	if err := buffer.Flush(); err != nil {
		return 0, err
	}
	return missing, file.Sync()
}

// maxViews bounds how often files may be deleted before they are copied.
const maxViews = 100

// copyFiles copies the files of a view, and leaves the view open for copyDatabase. A file may be
// deleted before it is copied. Then copyFiles begins a new view. The new view has few new files,
// and shows whether the row of the deleted file was deleted too. Copying the files of the first
// view takes long, so copyFiles does not keep that view open.
func (b *backup) copyFiles(ctx context.Context) error {
	for views := range maxViews {
		if err := b.snapshot.Renew(ctx); err != nil {
			return err
		}
		if views == 0 {
			if err := b.snapshot.EndView(ctx); err != nil {
				return err
			}
		}
		missing, err := b.copyListed(ctx)
		if err != nil {
			return err
		}
		if views > 0 && missing == 0 {
			return nil
		}
	}
	return errors.New("files are deleted faster than they can be copied")
}

// copyListed copies the files that are new in the view, and counts the missing files.
func (b *backup) copyListed(ctx context.Context) (missing int, err error) {
	for {
		files, err := b.snapshot.NextFiles(ctx)
		if err != nil || len(files) == 0 {
			return missing, err
		}
		for _, file := range files {
			exists, err := b.copyFile(ctx, file.Key)
			if err != nil {
				return missing, fmt.Errorf("MEDIA_STORE: %w", err)
			}
			if exists {
				b.copied++
				continue
			}
			missing++
			if err := b.snapshot.SetMissing(ctx, file); err != nil {
				return missing, err
			}
		}
	}
}

// copyFile copies a file into the archive. It reports whether the file exists.
func (b *backup) copyFile(ctx context.Context, key string) (exists bool, err error) {
	if !storage.ValidKey(key) {
		return false, nil
	}
	if b.media == nil {
		if b.media, err = os.OpenRoot(b.directory); err != nil {
			return false, err
		}
	}
	if b.beforeCopy != nil {
		b.beforeCopy(key)
	}
	file, _, err := files.OpenRegular(b.media, key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, files.ErrIrregular) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	return true, b.writer.add(ctx, mediaPrefix+key, file)
}

// copyDatabase copies the database of the view, and lists the copied files to which it does not
// refer.
func (b *backup) copyDatabase(ctx context.Context) (missing int64, err error) {
	if missing, err = b.snapshot.MissingFiles(ctx); err != nil {
		return 0, err
	}
	if missing > 0 && b.copied == 0 {
		return 0, errors.New("MEDIA_STORE: the store is empty, but rows refer to files: check the setting")
	}
	name := filepath.Join(b.work, databaseName)
	if err := b.snapshot.CopyTo(ctx, name); err != nil {
		return 0, err
	}
	database, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = database.Close() }()
	if err := b.writer.add(ctx, databaseName, database); err != nil {
		return 0, err
	}
	return missing, b.snapshot.EachUnreferenced(ctx, func(key string) error {
		return b.writer.writeLine(line{Name: mediaPrefix + key, Unreferenced: true})
	})
}

func syncDirectory(name string) error {
	directory, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
