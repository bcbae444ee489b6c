package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if err := checkRestored(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the database's directory: %w", err)
	}
	write, err := sqliteConnections(path, 1, "_txlock=immediate")
	if err != nil {
		return nil, err
	}
	read, err := sqliteConnections(path, max(4, runtime.GOMAXPROCS(0)), "_query_only=1")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	db := &DB{
		write: newBun(write, sqlitedialect.New()),
		read:  newBun(read, sqlitedialect.New()),
		path:  path,
	}
	db.prepare()
	if err := db.write.PingContext(ctx); err != nil { // creates the file before a reader opens it
		return nil, errors.Join(wrap(err), db.Close())
	}
	return db, nil
}

// sqliteConnections opens a pool. The settings are in the DSN so that every
// connection has them: a PRAGMA would apply to one only.
func sqliteConnections(path string, count int, setting string) (*sql.DB, error) {
	connections, err := sql.Open("sqlite", sqliteURL(path, "_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&"+setting))
	if err != nil {
		return nil, wrap(err)
	}
	connections.SetMaxOpenConns(count)
	connections.SetMaxIdleConns(count)
	return connections, nil
}

func sqliteURL(path, settings string) string {
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings}
	return file.String()
}
