package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/uptrace/bun/dialect/sqlitedialect"

	"portfolio/internal/files"
)

// openSQLite opens an SQLite database, and creates its file if needed.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	if err := checkRestored(path); err != nil {
		return nil, err
	}
	if err := createSQLite(path); err != nil {
		return nil, err
	}
	file := newSQLiteFile(path)
	writer, reader := file.open(1, "_txlock=immediate"), file.open(max(4, runtime.GOMAXPROCS(0)), "_query_only=1")
	file.pools = []*sql.DB{writer, reader}
	db := &DB{
		write: newBun(writer, sqlitedialect.New()),
		read:  newBun(reader, sqlitedialect.New()),
		path:  path, file: file,
	}
	db.prepare()
	if err := db.write.PingContext(ctx); err != nil { // sets the mode of the log before a reader opens it
		if accessErr := db.checkAccess(); accessErr != nil {
			err = fmt.Errorf("%w: %w", ErrUnavailable, accessErr)
		}
		return nil, errors.Join(wrap(err), db.Close())
	}
	return db, nil
}

// createSQLite creates the file of a database, unless it exists, and its directory. Only
// the owner may read them; SQLite gives its logs the mode and the owner of the file.
func createSQLite(path string) error {
	if err := files.MakeDirectories(files.OS, filepath.Dir(path)); err != nil {
		return fmt.Errorf("create the database's directory: %w", files.Explain("", err))
	}
	file, err := files.Create(files.OS, path)
	if errors.Is(err, fs.ErrExist) {
		return checkLink(path)
	}
	if err != nil {
		return files.Explain("", err)
	}
	return file.Close() // before SQLite opens it: closing a file releases its locks
}

// checkLink returns an error if a path is a symbolic link whose target does not exist. The
// error of SQLite does not name the target.
func checkLink(path string) error {
	_, err := os.Stat(path)
	if target, linkErr := os.Readlink(path); linkErr == nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is a link to %s, which does not exist", path, target)
	}
	return files.Explain("", err)
}

// SQLiteFiles returns the paths of the files that an SQLite database may have, or nothing if
// path is empty. If path is a link, they are beside the target of the link.
func SQLiteFiles(path string) []string {
	if path == "" {
		return nil
	}
	names := []string{path, RestoredPath(path)}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		path = file
	}
	for _, suffix := range sqliteSuffixes {
		names = append(names, path+suffix)
	}
	return names
}

// sqliteSuffixes are the suffixes of the files that SQLite creates beside a database.
var sqliteSuffixes = []string{"-shm", "-wal", "-journal"}

// TryCreate returns an error unless the file of an SQLite database could be created. It
// creates and migrates a database beside the path, and removes that database and the
// directories that it has created.
func TryCreate(ctx context.Context, path string) error {
	path += ".check-" + rand.Text()[:12]
	var directories []string
	for parent := filepath.Dir(path); parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
			directories = append(directories, parent)
		}
	}
	db, err := openSQLite(ctx, path)
	if err == nil {
		_, err = db.Migrate(ctx)
		err = errors.Join(err, db.Close())
	}
	for _, suffix := range append([]string{""}, sqliteSuffixes...) {
		if removeErr := os.Remove(path + suffix); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	for _, directory := range directories {
		_ = os.Remove(directory) // unless another process uses it
	}
	return err
}

// checkAccess returns an error unless this process may write the file of an SQLite
// database, its logs and its directory.
func (db *DB) checkAccess() error {
	if info, err := os.Stat(db.path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", db.path)
	}
	for _, name := range []string{filepath.Dir(db.path), db.path, db.path + "-wal", db.path + "-shm"} {
		if err := files.CheckWritable(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return files.Explain("", err)
		}
	}
	return nil
}

func sqliteURL(path, settings string) string {
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings}
	return file.String()
}
