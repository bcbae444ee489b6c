package backup

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"portfolio/db"
	"portfolio/internal/files"
)

// Target locates the database and the files to replace.
type Target struct {
	Database string // SQLite's file
	Media    string // the directory of the files
}

// Names of directories in the media directory, which is not renamed itself because
// it may be a mount point.
const (
	reserved = ".restore-"
	staged   = ".restore-staged"   // the files of the backup, until all other files are moved out
	incoming = ".restore-incoming" // the files of the backup, after all other files are moved out
	outgoing = ".restore-outgoing" // the previous files
)

// stagedDatabase returns the name of the database of the backup while it is incomplete. The
// complete database has the name db.RestoredPath.
func (t Target) stagedDatabase() string { return t.Database + staged }

// Restore replaces the database and the files of a target. The target must be empty unless force is
// set. Restore compares all checksums before it replaces anything. If the process is killed before
// that, the target is unchanged. If it is killed after that, db.Open fails until Finish is called.
func (t Target) Restore(ctx context.Context, archive *Archive, force bool) (contents Contents, err error) {
	for _, directory := range []string{t.Media, filepath.Dir(t.Database)} {
		if err := files.MakeDirectories(files.OS, directory); err != nil {
			return contents, files.Explain("", err)
		}
	}
	media, err := os.OpenRoot(t.Media)
	if err != nil {
		return contents, err
	}
	defer func() { _ = media.Close() }()
	if err := t.checkReplaceable(ctx, media, force); err != nil {
		return contents, err
	}
	if err := t.removeStaged(media); err != nil {
		return contents, err
	}
	if contents, err = t.stage(ctx, media, archive); err == nil {
		err = t.checkReplaceable(ctx, media, force)
	}
	if err != nil {
		return contents, errors.Join(err, t.removeStaged(media))
	}
	if err := os.Rename(t.stagedDatabase(), db.RestoredPath(t.Database)); err != nil {
		return contents, err
	}
	return contents, t.Finish()
}

// checkReplaceable returns an error if the database is in use, or if the target is not empty and
// force is not set.
func (t Target) checkReplaceable(ctx context.Context, media *os.Root, force bool) error {
	if _, err := media.Lstat(incoming); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, fmt.Errorf("%s exists, and no restore was interrupted: move it away", filepath.Join(t.Media, incoming)))
	}
	names, err := topLevel(media, ".")
	if err != nil {
		return err
	}
	_, err = os.Stat(t.Database)
	switch exists := err == nil; {
	case !exists && !errors.Is(err, fs.ErrNotExist):
		return err
	case exists && !force:
		return fmt.Errorf("%s exists: --force replaces it", t.Database)
	case len(names) > 0 && !force:
		return fmt.Errorf("%s is not empty: --force replaces its files", t.Media)
	}
	for _, name := range names {
		if err := checkMovable(media, name); err != nil {
			return files.Explain("", err)
		}
	}
	if err == nil {
		return db.ReleaseSQLite(ctx, t.Database)
	}
	return nil
}

// checkMovable returns an error unless this process can move a file or directory of the media
// directory. To move a directory, it must be able to write to it.
func checkMovable(media *os.Root, name string) error {
	info, err := media.Lstat(name)
	if err != nil || !info.IsDir() {
		return err
	}
	return files.CheckWritable(filepath.Join(media.Name(), name))
}

// removeStaged removes the files of a failed restore.
func (t Target) removeStaged(media *os.Root) error {
	return errors.Join(
		remove(t.stagedDatabase()), remove(t.stagedDatabase()+"-wal"), remove(t.stagedDatabase()+"-shm"),
		media.RemoveAll(staged), media.RemoveAll(outgoing),
	)
}

// remove removes a file if it exists.
func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the operator names it
		return err
	}
	return nil
}

// stage writes the database and the files of an archive to temporary names.
func (t Target) stage(ctx context.Context, media *os.Root, archive *Archive) (contents Contents, err error) {
	if err := files.MakeDirectories(media, staged); err != nil {
		return contents, err
	}
	root, err := media.OpenRoot(staged)
	if err != nil {
		return contents, err
	}
	defer func() { _ = root.Close() }()
	add := func(header *tar.Header, content io.Reader) error {
		if header.Name == databaseName {
			file, err := files.Create(files.OS, t.stagedDatabase())
			if err != nil {
				return err
			}
			return write(file, content)
		}
		key := strings.TrimPrefix(header.Name, mediaPrefix)
		if err := files.MakeDirectories(root, path.Dir(key)); err != nil {
			return err
		}
		file, err := files.Create(root, key)
		if err != nil {
			return err
		}
		return errors.Join(write(file, content), root.Chtimes(key, header.ModTime, header.ModTime))
	}
	if contents, err = archive.each(ctx, add, root.Remove); err != nil {
		return contents, err
	}
	if err := syncAll(root); err != nil {
		return contents, err
	}
	return contents, t.checkStaged(ctx)
}

func write(file *os.File, content io.Reader) error {
	_, err := io.Copy(file, content)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncAll makes the directories durable.
func syncAll(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncIn(root, name)
	})
}

func syncIn(root *os.Root, name string) error {
	directory, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// checkStaged checks that this version can read the database of the backup.
func (t Target) checkStaged(ctx context.Context) error {
	database, err := db.Open(ctx, "sqlite:"+t.stagedDatabase())
	if err != nil {
		return err
	}
	err = database.CheckSchema(ctx)
	if errors.Is(err, db.ErrSchemaBehind) { // the server migrates it
		err = nil
	}
	return errors.Join(err, database.Close(), db.ReleaseSQLite(ctx, t.stagedDatabase()))
}

// Interrupted reports whether a restore was interrupted while it replaced files.
func (t Target) Interrupted() bool {
	_, err := os.Lstat(db.RestoredPath(t.Database))
	return err == nil
}

// Finish replaces the files and the database by the files and the database of the backup. If it is
// interrupted, the next call continues.
func (t Target) Finish() error {
	media, err := os.OpenRoot(t.Media)
	if err != nil {
		return err
	}
	defer func() { _ = media.Close() }()
	if err := syncDirectory(filepath.Dir(t.Database)); err != nil {
		return err
	}
	if err := replaceFiles(media); err != nil {
		return err
	}
	// A damaged database may have a log, which does not belong to the new database.
	if err := errors.Join(remove(t.Database+"-wal"), remove(t.Database+"-shm")); err != nil {
		return err
	}
	if err := os.Rename(db.RestoredPath(t.Database), t.Database); err != nil {
		return err
	}
	return errors.Join(syncDirectory(filepath.Dir(t.Database)), media.RemoveAll(outgoing))
}

// replaceFiles moves the files of the media directory to outgoing, and the staged files to their
// place. If it is interrupted, the next call continues.
func replaceFiles(media *os.Root) error {
	switch _, err := media.Stat(staged); {
	case err == nil:
		if err := moveAll(media, ".", outgoing); err != nil {
			return err
		}
		if err := media.Rename(staged, incoming); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	switch _, err := media.Stat(incoming); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return errors.Join(moveAll(media, incoming, "."), media.Remove(incoming))
}

// moveAll moves the contents of source to target. It creates target if needed.
func moveAll(media *os.Root, source, target string) error {
	if err := files.MakeDirectories(media, target); err != nil {
		return err
	}
	names, err := topLevel(media, source)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := media.Rename(path.Join(source, name), path.Join(target, name)); err != nil {
			return err
		}
	}
	return errors.Join(syncIn(media, source), syncIn(media, target))
}

// topLevel returns the names in a directory, without the directories of a restore.
func topLevel(media *os.Root, name string) (names []string, err error) {
	directory, err := media.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = directory.Close() }()
	all, err := directory.Readdirnames(-1)
	for _, name := range all {
		if !strings.HasPrefix(name, reserved) {
			names = append(names, name)
		}
	}
	return names, err
}
