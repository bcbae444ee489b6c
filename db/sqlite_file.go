package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"os"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// ErrReplaced means that the file of an SQLite database was replaced or removed while
// it was open.
var ErrReplaced = fmt.Errorf("%w: its file was replaced or removed", ErrUnavailable)

const (
	// maxLifetime is the maximum lifetime of a connection. It bounds how long connections
	// read a replaced file without a call of check.
	maxLifetime = time.Minute
	// quiescence is the time between the last statement on the former file and the first
	// statement on the new file. Requests fail in between, so that none reads both files.
	quiescence = 3 * time.Second
)

// sqliteFile is the file of an SQLite database, which all connections have open. If it is
// replaced, all connections are closed before a connection opens the new file.
type sqliteFile struct {
	path  string
	pools []*sql.DB

	stopped   context.Context // canceled by close
	stop      context.CancelFunc
	replacing sync.WaitGroup

	mu      sync.Mutex
	opened  os.FileInfo // nil before the first connection
	wal     os.FileInfo // write-ahead log of opened, nil without one
	closing bool        // whether connections to a replaced file are being closed
}

func newSQLiteFile(path string) *sqliteFile {
	f := &sqliteFile{path: path}
	f.stopped, f.stop = context.WithCancel(context.Background())
	return f
}

// close stops replace, and waits until it has returned.
func (f *sqliteFile) close() {
	f.mu.Lock()
	f.stop()
	f.mu.Unlock()
	f.replacing.Wait()
}

// check returns ErrReplaced if the file was replaced, and makes the pools open the new
// file.
func (f *sqliteFile) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	current, err := os.Stat(f.path)
	switch {
	case f.closing:
		return fmt.Errorf("%s: %w", f.path, ErrReplaced)
	case f.opened == nil || err == nil && os.SameFile(f.opened, current):
		f.opened = current
		f.wal, _ = os.Stat(f.path + "-wal")
		return nil
	}
	if f.stopped.Err() == nil {
		f.closing = true
		f.replacing.Go(f.replace)
	}
	return fmt.Errorf("%s: %w", f.path, ErrReplaced)
}

// replace closes every connection, and then lets new connections open the new file.
func (f *sqliteFile) replace() {
	for _, pool := range f.pools {
		f.checkpoint(pool)
		pool.SetConnMaxLifetime(time.Nanosecond)
		for pool.Stats().InUse > 0 {
			if !f.sleep(10 * time.Millisecond) {
				return
			}
		}
	}
	if !f.sleep(quiescence) {
		return
	}
	f.renameFormerWAL()
	current, err := os.Stat(f.path)
	for ; err != nil; current, err = os.Stat(f.path) {
		if !f.sleep(quiescence) {
			return
		}
	}
	for _, pool := range f.pools {
		pool.SetConnMaxLifetime(maxLifetime)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened, f.closing = current, false
}

// sleep waits for a duration. It returns false if close is called before.
func (f *sqliteFile) sleep(duration time.Duration) bool {
	select {
	case <-time.After(duration):
		return true
	case <-f.stopped.Done():
		return false
	}
}

// checkpoint writes the write-ahead log into the former file, which is still open.
func (f *sqliteFile) checkpoint(pool *sql.DB) {
	ctx, cancel := context.WithTimeout(f.stopped, quiescence)
	defer cancel()
	_, _ = pool.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // best effort
}

// renameFormerWAL renames the write-ahead log of the former file, since SQLite would write it
// into the new file. The log is empty unless the checkpoint has failed.
func (f *sqliteFile) renameFormerWAL() {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := f.path + "-wal"
	current, err := os.Stat(name)
	switch {
	case err != nil || f.wal == nil || !os.SameFile(current, f.wal):
		return
	case current.Size() == 0:
		_ = os.Remove(name)
	default:
		_ = os.Rename(name, name+time.Now().UTC().Format(".20060102T150405"))
	}
	_ = os.Remove(f.path + "-shm")
}

// open opens a pool of connections. The settings are in the DSN so that every connection
// has them: a PRAGMA would apply to one connection only.
func (f *sqliteFile) open(count int, setting string) *sql.DB {
	connections := sql.OpenDB(&sqliteConnector{f, sqliteURL(f.path, "mode=rw&_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&"+setting)})
	connections.SetMaxOpenConns(count)
	connections.SetMaxIdleConns(count)
	connections.SetConnMaxLifetime(maxLifetime)
	return connections
}

// sqliteConnector opens connections to a file, unless it was replaced.
type sqliteConnector struct {
	file *sqliteFile
	dsn  string
}

// Connect implements driver.Connector.
func (c *sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	if c.file.isOpened() { // otherwise the connection creates the file
		if err := c.file.check(); err != nil { //nolint:contextcheck // replacing a file outlives the connection that finds it
			return nil, err
		}
	}
	connection, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	if err := c.file.check(); err != nil { //nolint:contextcheck // see above
		_ = connection.Close()
		return nil, err
	}
	return connection, nil
}

// Driver implements driver.Connector.
func (c *sqliteConnector) Driver() driver.Driver { return new(sqlite.Driver) }

func (f *sqliteFile) isOpened() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened != nil
}
