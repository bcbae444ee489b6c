//go:build ops

package ops

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

// feedSQLite is a database in a directory to which a symbolic link points.
type feedSQLite struct {
	*feedTest
	directory string // of the link
	path      string // of the file, through the link
}

func startFeedSQLite(t *testing.T, limits ages) *feedSQLite {
	t.Helper()
	s := &feedSQLite{feedTest: newFeedTest(t, limits), directory: t.TempDir()}
	s.path = filepath.Join(s.directory, "current", "test.db")
	s.link()
	s.blob = "x'%x'"
	s.exec = func(statements ...string) { s.execAt(s.path, statements...) }
	s.key = prepare(t, "sqlite:"+s.path)
	s.exec(append(s.insertLinks(), s.insertUsers(s.users)...)...)
	s.servers = []*server{newServer(t, "sqlite:"+s.path, limits.settings...)} // SQLite is for one
	return s
}

// link points the link at a new directory.
func (s *feedSQLite) link() {
	s.t.Helper()
	target, err := os.MkdirTemp(s.directory, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.move(s.linkTo(target), filepath.Join(s.directory, "current"))
}

func (s *feedSQLite) linkTo(target string) (name string) {
	s.t.Helper()
	name = filepath.Join(s.directory, "next")
	if err := os.Symlink(target, name); err != nil {
		s.t.Fatal(err)
	}
	return name
}

func (s *feedSQLite) move(source, destination string) {
	s.t.Helper()
	if err := os.Rename(source, destination); err != nil {
		s.t.Fatal(err)
	}
}

// execAt commits statements in one transaction, on a connection of its own.
func (s *feedSQLite) execAt(path string, statements ...string) {
	s.t.Helper()
	s.execSQL(path, "BEGIN IMMEDIATE;"+strings.Join(statements, ";")+";COMMIT")
}

func (s *feedSQLite) execSQL(path, text string) {
	s.t.Helper()
	s.onConnection(path, func(ctx context.Context, connection *sql.Conn) error {
		_, err := connection.ExecContext(ctx, text)
		return err
	})
}

func (s *feedSQLite) onConnection(path string, do func(context.Context, *sql.Conn) error) {
	s.t.Helper()
	database, err := sql.Open("sqlite", "file:"+path+"?_busy_timeout=10000&_foreign_keys=1")
	if err != nil {
		s.t.Error(err)
		return
	}
	defer func() { _ = database.Close() }()
	connection, err := database.Conn(s.t.Context())
	if err == nil {
		err = do(s.t.Context(), connection)
		_ = connection.Close()
	}
	if err != nil {
		s.t.Error(err)
	}
}

// copy writes a copy of the database, with changes, and returns its path.
func (s *feedSQLite) copy(statements []string) (path string) {
	s.t.Helper()
	directory, err := os.MkdirTemp(s.directory, "")
	if err != nil {
		s.t.Fatal(err)
	}
	path = filepath.Join(directory, "test.db")
	s.execSQL(s.path, "VACUUM INTO '"+path+"'")
	s.execAt(path, statements...)
	return path
}

func (s *feedSQLite) faults() []feedFault {
	return []feedFault{
		s.replacement("file renamed over", func(file string) {
			s.checkpoint()
			s.move(file, s.path)
		}),
		s.replacement("file renamed over, log removed", func(file string) {
			s.checkpoint()
			_, _ = os.Remove(s.path+"-wal"), os.Remove(s.path+"-shm")
			s.move(file, s.path)
		}),
		s.replacement("directory replaced", func(file string) {
			s.move(s.linkTo(filepath.Dir(file)), filepath.Join(s.directory, "current"))
		}),
		{name: "plain: restored by the backup interface", stops: true, do: s.restore},
		{name: "plain: vacuumed", do: func() func() {
			s.revoke(contentAndRights, func(_ int64, statements []string) { s.exec(statements...) })
			s.execSQL(s.path, "VACUUM")
			return func() {}
		}},
	}
}

// replacement returns a fault that replaces the file with another file.
func (s *feedSQLite) replacement(name string, replace func(file string)) feedFault {
	return feedFault{name: name, hides: true, stops: true, detection: checkInterval, do: func() func() {
		s.outages.Add(1)
		s.revoke(contentAndRights, func(_ int64, statements []string) { replace(s.copy(statements)) })
		s.observe()
		s.outages.Add(1)
		return func() {}
	}}
}

// checkpoint empties the write-ahead log.
func (s *feedSQLite) checkpoint() {
	s.t.Helper()
	s.onConnection(s.path, func(ctx context.Context, connection *sql.Conn) error {
		var busy, pages, moved int
		var err error
		waitFor(s.t, "checkpoint", func() bool {
			err = connection.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
			return err != nil || busy == 0
		})
		return err
	})
}

// restore writes a copy into the database, as the command .restore of sqlite3 does.
func (s *feedSQLite) restore() (undo func()) {
	s.revoke(contentAndRights, func(_ int64, statements []string) {
		file := s.copy(statements)
		s.onConnection(s.path, func(_ context.Context, connection *sql.Conn) error {
			return connection.Raw(func(driver any) error {
				backup, err := driver.(interface {
					NewRestore(url string) (*sqlite.Backup, error)
				}).NewRestore("file:" + file)
				if err != nil {
					return err
				}
				if _, err := backup.Step(-1); err != nil {
					return err
				}
				return backup.Finish()
			})
		})
	})
	return func() {}
}
