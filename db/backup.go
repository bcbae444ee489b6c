package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/uptrace/bun"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors of restores.
var (
	// ErrInUse means that another process has the database open.
	ErrInUse = errors.New("another process uses the database")
	// ErrRestoring means that a restore was interrupted while it replaced the
	// database.
	ErrRestoring = errors.New(`a restore was interrupted: run the same "portfolio restore" again`)
)

// RestoredPath returns the name of the file that a restore renames to path, an SQLite
// database. As long as the file exists, Open returns ErrRestoring.
func RestoredPath(path string) string { return path + ".restored" }

func checkRestored(path string) error {
	switch _, err := os.Lstat(RestoredPath(path)); {
	case err == nil:
		return ErrRestoring
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// ReleaseSQLite writes the write-ahead log of an SQLite database into its file and
// removes the log. It returns ErrInUse if another process has the database open. It
// does not change a damaged file.
func ReleaseSQLite(ctx context.Context, path string) error {
	_, err := queryFile(ctx, path, "PRAGMA journal_mode=DELETE")
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return ErrInUse
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
			return nil
		}
	}
	return err
}

// queryFile runs a statement on the SQLite database at path, and returns the first value of its
// result.
func queryFile(ctx context.Context, path, statement string) (value string, err error) {
	connection, err := sql.Open("sqlite", sqliteURL(path, "mode=rw&_busy_timeout=1000"))
	if err != nil {
		return "", err
	}
	err = connection.QueryRowContext(ctx, statement).Scan(&value)
	return value, errors.Join(err, connection.Close())
}

// Snapshot is a view of an SQLite database, and a list of files. Rows of this view and of
// earlier views refer to the files of the list.
type Snapshot struct {
	conn     bun.Conn
	hasView  bool
	lastFile int64 // ID of the last file that NextFiles returned
}

// NewSnapshot returns a Snapshot that has no view yet.
func (db *DB) NewSnapshot(ctx context.Context) (*Snapshot, error) {
	conn, err := db.write.Conn(ctx) // connections of readers cannot have temporary tables
	if err != nil {
		return nil, wrap(err)
	}
	s := &Snapshot{conn: conn}
	if err := s.exec(ctx, "CREATE TEMP TABLE files (id integer PRIMARY KEY, key text NOT NULL UNIQUE, missing boolean NOT NULL DEFAULT false)"); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the view and closes the connection.
func (s *Snapshot) Close() {
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
}

func (s *Snapshot) exec(ctx context.Context, statement string, args ...any) error {
	_, err := s.conn.ExecContext(ctx, statement, args...)
	return wrap(err)
}

// fileKeys selects the keys of the files that rows refer to, as storage.Key returns
// them.
const fileKeys = `SELECT ltrim(path, '/') FROM images WHERE ltrim(path, '/') <> ''
	UNION SELECT ltrim(path, '/') FROM thumbnails WHERE ltrim(path, '/') <> ''`

// Renew begins a new view, and adds its files to the list.
func (s *Snapshot) Renew(ctx context.Context) error {
	if err := s.EndView(ctx); err != nil {
		return err
	}
	if err := s.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	s.hasView = true
	return s.exec(ctx, "INSERT OR IGNORE INTO files (key) "+fileKeys)
}

// EndView ends the view. The write-ahead log of the database grows as long as there is
// a view.
func (s *Snapshot) EndView(ctx context.Context) error {
	if !s.hasView {
		return nil
	}
	s.hasView = false
	return s.exec(ctx, "COMMIT")
}

const fileBatch = 1000

// ListedFile is a file of the list of a Snapshot.
type ListedFile struct {
	ID  int64 // in the list
	Key string
}

// NextFiles returns the next files of the list, or none if it has returned all.
func (s *Snapshot) NextFiles(ctx context.Context) (files []ListedFile, err error) {
	rows, err := s.conn.QueryContext(ctx, "SELECT id, key FROM files WHERE id > ? ORDER BY id LIMIT ?", s.lastFile, fileBatch)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var file ListedFile
		if err := rows.Scan(&file.ID, &file.Key); err != nil {
			return nil, wrap(err)
		}
		files, s.lastFile = append(files, file), file.ID
	}
	return files, wrap(rows.Err())
}

// SetMissing records that a file of the list does not exist.
func (s *Snapshot) SetMissing(ctx context.Context, file ListedFile) error {
	return s.exec(ctx, "UPDATE files SET missing = true WHERE id = ?", file.ID)
}

// MissingFiles counts the files to which rows of the view refer, but which do not exist.
func (s *Snapshot) MissingFiles(ctx context.Context) (count int64, err error) {
	err = s.conn.QueryRowContext(ctx, "SELECT count(*) FROM files WHERE missing AND key IN ("+fileKeys+")").Scan(&count)
	return count, wrap(err)
}

// EachUnreferenced calls fn with the key of each existing file that only earlier views
// refer to.
func (s *Snapshot) EachUnreferenced(ctx context.Context, fn func(key string) error) error {
	rows, err := s.conn.QueryContext(ctx, "SELECT key FROM files WHERE NOT missing AND key NOT IN ("+fileKeys+") ORDER BY id")
	if err != nil {
		return wrap(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return wrap(err)
		}
		if err := fn(key); err != nil {
			return err
		}
	}
	return wrap(rows.Err())
}

// Schema returns the name of the last migration that was applied. If there is none, the
// error is ErrSchemaBehind.
func (s *Snapshot) Schema(ctx context.Context) (name string, err error) {
	err = wrap(s.conn.QueryRowContext(ctx, "SELECT max(name) FROM bun_migrations").Scan(&name))
	if err != nil && !errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		err = ErrSchemaBehind
	}
	return name, err
}

// copyStep is the number of pages that CopyTo copies between two checks of its context.
const copyStep = 4096

// CopyTo writes the database of the view to a new file and checks the copy.
func (s *Snapshot) CopyTo(ctx context.Context, path string) error {
	err := s.conn.Raw(func(connection any) error {
		source, ok := connection.(interface {
			NewBackup(url string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.ErrUnsupported
		}
		if err := createSQLite(path); err != nil {
			return err
		}
		backup, err := source.NewBackup(sqliteURL(path, "mode=rw"))
		if err != nil {
			return err
		}
		more := true
		for more && err == nil {
			if more, err = backup.Step(copyStep); err == nil {
				err = ctx.Err()
			}
		}
		return errors.Join(err, backup.Finish())
	})
	if err != nil {
		return wrap(err)
	}
	if err := ReleaseSQLite(ctx, path); err != nil {
		return wrap(err)
	}
	switch problem, err := queryFile(ctx, path, "PRAGMA integrity_check(1)"); {
	case err != nil:
		return wrap(err)
	case problem != "ok":
		return fmt.Errorf("the database is damaged: %s", problem)
	}
	return nil
}
