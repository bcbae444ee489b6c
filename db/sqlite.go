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
)

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if err := checkRestored(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the database's directory: %w", err)
	}
	file := newSQLiteFile(path)
	write, read := file.open(1, "_txlock=immediate"), file.open(max(4, runtime.GOMAXPROCS(0)), "_query_only=1")
	file.pools = []*sql.DB{write, read}
	db := &DB{
		write: newBun(write, sqlitedialect.New()),
		read:  newBun(read, sqlitedialect.New()),
		path:  path, file: file,
	}
	db.prepare()
	if err := db.write.PingContext(ctx); err != nil { // creates the file before a reader opens it
		return nil, errors.Join(wrap(err), db.Close())
	}
	return db, nil
}

func sqliteURL(path, settings string) string {
	file := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings}
	return file.String()
}
