package db

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers can handle. Every other error is a fault of the server.
var (
	ErrNotFound       = errors.New("not found")
	ErrConflict       = errors.New("already exists")
	ErrStale          = errors.New("changed since it was read")
	ErrNoAnchor       = errors.New("no such link to move to")
	ErrOtherPortfolio = errors.New("the link to move to is in another portfolio")
	ErrUnavailable    = errors.New("the database is unavailable")
	// ErrCommitUnknown means that the database has not confirmed a COMMIT, so that the change
	// may have been stored. It wraps ErrUnavailable.
	ErrCommitUnknown = fmt.Errorf("%w: it has not confirmed the commit", ErrUnavailable)
)

// MissingReference is a reference of a new or changed link to a row that does
// not exist.
type MissingReference struct {
	Index int      // of the link
	Type  NodeType // of the row
}

// MissingError is the error of links that refer to rows that do not exist.
type MissingError []MissingReference

func (m MissingError) Error() string { return "links refer to rows that do not exist" }

// ImageInUseError reports that links use an image.
type ImageInUseError struct{ Links int64 }

func (e *ImageInUseError) Error() string { return fmt.Sprintf("used by %d links", e.Links) }

// wrap maps the errors of the drivers to the errors above.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if sentinel := sentinelFor(err); sentinel != nil {
		return fmt.Errorf("%w: %w", sentinel, err)
	}
	return err
}

// IsOutage reports whether err may go away without an operator: PostgreSQL cannot be reached, or
// accepts no connections at the moment. It returns false if a host reports a different error,
// such as a wrong password.
func IsOutage(err error) bool {
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return isUnreachable(connect.Unwrap())
	}
	return errors.Is(err, ErrUnavailable)
}

// isUnreachable reports whether every attempt to connect failed with an error that may go away.
func isUnreachable(err error) bool {
	if attempts, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		decisive := slices.DeleteFunc(slices.Clone(attempts.Unwrap()), refusesTLS) // sslmode=prefer tries without TLS next
		return len(decisive) > 0 && !slices.ContainsFunc(decisive, func(err error) bool { return !isUnreachable(err) })
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return errors.Is(postgresSentinel(pgErr.Code), ErrUnavailable)
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && slices.Contains([]string{"local error", "remote error"}, alert.Op) { // an alert of TLS
		return false
	}
	return isNetworkError(err) || slices.ContainsFunc(serverMismatches, func(target error) bool { return errors.Is(err, target) })
}

// refusesTLS reports whether the server of an attempt to connect does not use TLS. pgx has no
// type for that.
func refusesTLS(err error) bool {
	return strings.Contains(err.Error(), "server refused TLS connection")
}

// serverMismatches are the errors of servers that target_session_attrs excludes, as in a failover.
var serverMismatches = []error{pgconn.ErrReadOnlyConnection, pgconn.ErrReadWriteConnection, pgconn.ErrPrimaryConnection, pgconn.ErrStandbyConnection}

// isRolledBack reports whether err, of a COMMIT, says that the transaction was rolled back or
// COMMIT was not sent. A fatal error ends the connection, maybe after the commit. If the
// connection breaks before the response, pgx reports that it was closed before the COMMIT.
func isRolledBack(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.SeverityUnlocalized == "ERROR" && pgErr.Code[:2] != "08" // class 08 comes from a pooler
	}
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()&0xff != sqlite3.SQLITE_IOERR // such as an error of fsync
	}
	return errors.Is(err, pgx.ErrTxCommitRollback) || errors.Is(err, sql.ErrTxDone) || pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)
}

func isNetworkError(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// sentinelFor returns ErrConflict or ErrUnavailable for an error of a driver, or nil.
func sentinelFor(err error) error {
	var (
		postgres *pgconn.PgError
		lite     *sqlite.Error
		connect  *pgconn.ConnectError
	)
	switch {
	case errors.As(err, &connect): // also if a server refuses: the next primary may accept soon
		return ErrUnavailable
	case errors.As(err, &postgres):
		return postgresSentinel(postgres.Code)
	case errors.As(err, &lite):
		return sqliteSentinel(lite.Code())
	case isNetworkError(err), pgconn.SafeToRetry(err), errors.Is(err, driver.ErrBadConn): // the latter in a transaction
		return ErrUnavailable
	}
	return nil
}

// readOnlyTransaction is the code of a change that a read-only server rejects.
const readOnlyTransaction = "25006"

// postgresSentinel maps codes of appendix A of the PostgreSQL manual.
func postgresSentinel(code string) error {
	switch {
	case code == "23505": // unique_violation
		return ErrConflict
	case code == readOnlyTransaction, code[:2] == "08", code[:2] == "40", code[:2] == "53", code[:2] == "57", code == "55P03": // connection, rollback, resources, operator intervention, lock_not_available
		return ErrUnavailable
	}
	return nil
}

func sqliteSentinel(code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return ErrConflict
	}
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB:
		return ErrUnavailable
	}
	return nil
}
