package dbtest

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"

	"portfolio/db"
)

// Exec runs SQL on a new connection.
func Exec(t testing.TB, dsn, statement string, args ...any) {
	t.Helper()
	connections := connect(t, dsn)
	defer func() { _ = connections.Close() }()
	run(t, connections, statement, args...)
}

// Session returns a function that runs SQL on a new connection, which stays open until
// the test ends.
func Session(t testing.TB, dsn string) (exec func(statement string, args ...any)) {
	t.Helper()
	connections := connect(t, dsn)
	t.Cleanup(func() { _ = connections.Close() })
	return func(statement string, args ...any) {
		t.Helper()
		run(t, connections, statement, args...)
	}
}

// Lock blocks readers of a table of PostgreSQL, or writers to SQLite, until release is
// called.
func Lock(t testing.TB, dsn, table string) (release func()) {
	t.Helper()
	connections := connect(t, dsn)
	tx, err := connections.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	statement := "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE"
	if strings.HasPrefix(dsn, "sqlite:") {
		statement = "UPDATE " + table + " SET id = id"
	}
	if _, err := tx.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	return func() { _, _ = tx.Rollback(), connections.Close() }
}

// LockSchema blocks migrations of PostgreSQL until release is called.
func LockSchema(t testing.TB, dsn string) (release func()) {
	t.Helper()
	connections := connect(t, dsn)
	run(t, connections, "SELECT pg_advisory_lock("+strconv.FormatInt(db.SchemaLock, 10)+")")
	return func() { _ = connections.Close() }
}

func connect(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", "file:"+path+"?_busy_timeout=10000&_foreign_keys=1&_txlock=immediate"
	}
	connections, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	connections.SetMaxOpenConns(1)
	return connections
}

func run(t testing.TB, connections *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := connections.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// LoadFile inserts the rows of a JSON file, an object of tables, with plain SQL.
// The "key" of a token is hashed.
func LoadFile(t testing.TB, dsn, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tables map[string][]map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tables); err != nil {
		t.Fatal(err)
	}
	connections := connect(t, dsn)
	defer func() { _ = connections.Close() }()
	run(t, connections, "BEGIN")
	for _, table := range []string{"users", "user_permissions", "tokens", "portfolios", "images", "thumbnails", "portfolio_links"} {
		for _, row := range tables[table] {
			if key, ok := row["key"].(string); ok {
				hash := sha256.Sum256([]byte(key))
				delete(row, "key")
				row["key_hash"] = hash[:]
			}
			insert(t, connections, table, row)
		}
	}
	run(t, connections, "COMMIT")
}

func insert(t testing.TB, connections *sql.DB, table string, row map[string]any) {
	t.Helper()
	var names, placeholders []string
	var args []any
	for _, name := range slices.Sorted(maps.Keys(row)) { // so that rows share prepared statements
		value := row[name]
		if number, ok := value.(json.Number); ok {
			value, _ = number.Int64()
		}
		names, args = append(names, name), append(args, value)
		placeholders = append(placeholders, "$"+strconv.Itoa(len(args)))
	}
	run(t, connections, "INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(placeholders, ", ")+")", slices.Clip(args)...)
}
