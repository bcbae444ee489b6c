package db_test

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/stdlib"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// timeColumns are the columns of times, and what inserts a row with the id 1.
var timeColumns = []struct{ table, column, insert string }{
	{"users", "created_at", "INSERT INTO users (id, username%s) VALUES (1, 'u'%s)"},
	{"tokens", "created_at", "INSERT INTO tokens (id, user_id, key_hash%s) VALUES (1, 9, 'h'%s)"},
	{"tokens", "expires_at", "INSERT INTO tokens (id, user_id, key_hash%s) VALUES (1, 9, 'h'%s)"},
	{"portfolios", "created_at", "INSERT INTO portfolios (id, name%s) VALUES (1, 'p'%s)"},
	{"portfolios", "updated_at", "INSERT INTO portfolios (id, name%s) VALUES (1, 'p'%s)"},
	{"images", "created_at", "INSERT INTO images (id, type, name, path, size%s) VALUES (1, 'image', 'i', 'i.png', 1%s)"},
	{"portfolio_links", "created_at", "INSERT INTO portfolio_links (id, portfolio_id, name%s) VALUES (1, 9, 'l'%s)"},
	{"portfolio_links", "updated_at", "INSERT INTO portfolio_links (id, portfolio_id, name%s) VALUES (1, 9, 'l'%s)"},
}

// refused stands for a value that the database refuses.
const refused = "refused"

// TestTimes_ConvertOrRefuseForeignFormats stores SQL expressions in every column of times, by
// INSERT and by UPDATE.
func TestTimes_ConvertOrRefuseForeignFormats(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]string{
		"sqlite": {
			"datetime('2026-01-13 10:05:43')": "2026-01-13T10:05:43.000000Z", "date('2026-01-13')": "2026-01-13T00:00:00.000000Z",
			"'2026-01-13T10:05:43.29627Z'": "2026-01-13T10:05:43.296270Z", "'2026-01-13 10:05'": "2026-01-13T10:05:00.000000Z",
			"'2026-01-13T10:05:43+01'": "2026-01-13T09:05:43.000000Z", "'2026-01-13 10:05:43-05'": "2026-01-13T15:05:43.000000Z",
			"'2026-01-13 10:05:43+0330'": "2026-01-13T06:35:43.000000Z", "'2026-01-13T10:05:43.5+03:30'": "2026-01-13T06:35:43.500000Z",
			"'2026-01-13 10:05 +0330'": "2026-01-13T06:35:00.000000Z", "'2026-01-13T10:05 +03:30'": "2026-01-13T06:35:00.000000Z",
			"'2026-01-13T10:05-05'": "2026-01-13T15:05:00.000000Z", "'2026-01-13 10:05:43 +03:30'": "2026-01-13T06:35:43.000000Z",
			"'2026-01-13  10:05:43'": "2026-01-13T10:05:43.000000Z", "'2026-01-13TT10:05:43'": "2026-01-13T10:05:43.000000Z",
			"'2026-01-13   10:05:43 +0330'": "2026-01-13T06:35:43.000000Z", "'2026-01-13 10:05:43.5 +0330'": "2026-01-13T06:35:43.500000Z",
			"'2026-01-13  10:05:43.9999999'": refused, "'2026-01-13 T10:05:43,5'": refused, "'2026-01-13 10:05.5'": refused,
			"'2026-01-13 10:05:43,5'": "2026-01-13T10:05:43.500000Z", "'2026-01-13t10:05:43z'": "2026-01-13T10:05:43.000000Z",
			"CAST('2026-01-13' AS blob)":               "2026-01-13T00:00:00.000000Z",
			"'2026-01-13T10:05:43.123456Z' || char(0)": "2026-01-13T10:05:43.123456Z",
			"'9999-12-31T23:59:59.9999999Z'":           "9999-12-31T23:59:59.999999Z", "'2024-02-29'": "2024-02-29T00:00:00.000000Z",
			"'2026-02-30T10:05:43.000000Z'": refused, "'2026-02-30'": refused, "'2026-01-13 23:59:60'": refused, "'2026-01-13T23:59:60.000000Z'": refused,
			"'9999-12-31T24:00:00'": refused, "'2026-01-13T25:00:00'": refused, "'2025-02-29T00:00:00.000000Z'": refused,
			"'no time'": refused, "''": refused, "'now'": refused, "1768298743": refused, "julianday('2026-01-13')": refused,
			"'2026-01-13T10:05:43.-12345Z'": refused, "'2026-01-13T1:05:43Z'": refused, "'2026-01-13T10:05:43+24:00'": refused, "'2026-01-13T10:05:43 PST'": refused,
			"'0000-12-31T00:00:00.000000Z'": refused, "'0001-01-01T00:00:00+01:00'": refused, "'9999-12-31T23:00:00-01:00'": refused, "'10000-01-01'": refused,
		},
		"postgres": {
			"timestamptz '2026-01-13 10:05:43+00'": "2026-01-13T10:05:43.000000Z", "'2026-01-13 10:05:43.5+0330'": "2026-01-13T06:35:43.500000Z",
			"'0001-01-01T00:00:00Z'": "0001-01-01T00:00:00.000000Z", "'9999-12-31 23:59:59.999999Z'": "9999-12-31T23:59:59.999999Z",
			"'infinity'": refused, "'-infinity'": refused, "'10000-01-01T00:00:00Z'": refused, "'9999-12-31 23:59:59.9999999Z'": refused,
			"'0001-12-31 BC'": refused, "'294276-12-31'": refused, "'9999-12-31T23:00:00-01:00'": refused,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.SQLite(t)
			if name == "postgres" {
				dsn = dbtest.Postgres(t)
			}
			database := dbtest.Open(t, dsn)
			dbtest.Exec(t, dsn, "INSERT INTO users (id, username) VALUES (9, 'owner')")
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (9, 'owner')")
			connections := connect(t, dsn)
			for _, c := range timeColumns {
				for value, want := range values {
					insert := fmt.Sprintf(c.insert, ", "+c.column, ", "+value)
					if got := storedTime(t, connections, c.table, c.column, insert); got != want {
						t.Errorf("%s: got %s, want %s", insert, got, want)
					}
					update := fmt.Sprintf("UPDATE %s SET %s = %s WHERE id = 1", c.table, c.column, value)
					if got := storedTime(t, connections, c.table, c.column, fmt.Sprintf(c.insert, "", ""), update); got != want {
						t.Errorf("%s: got %s, want %s", update, got, want)
					}
				}
			}
			if problems, err := database.Problems(t.Context()); err != nil || len(problems) > 0 {
				t.Errorf("problems %q, %v", problems, err)
			}
		})
	}
}

// connect returns a pool of connections of another program.
func connect(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver := "pgx"
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, dsn = "sqlite", path
	}
	connections, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connections.Close() })
	return connections
}

// storedTime runs statements in a transaction, returns what they store in the row with the
// id 1 in the form of SQLite, or refused, and reverts them.
func storedTime(t *testing.T, connections *sql.DB, table, column string, statements ...string) (stored string) {
	t.Helper()
	tx, err := connections.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	for i, statement := range statements {
		_, err := tx.ExecContext(t.Context(), statement)
		if err != nil && i == len(statements)-1 && strings.Contains(err.Error(), table) {
			return refused
		}
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	expression := column
	if _, ok := connections.Driver().(*stdlib.Driver); ok {
		expression = "to_char(" + column + " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
	}
	if err := tx.QueryRowContext(t.Context(), "SELECT "+expression+" FROM "+table+" WHERE id = 1").Scan(&stored); err != nil {
		t.Fatal(err)
	}
	return stored
}

// TestTokens_WithForeignTimesAuthenticate authenticates with a token whose times other programs
// wrote.
func TestTokens_WithForeignTimesAuthenticate(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database, hash := dbtest.Open(t, dsn), sha256.Sum256([]byte("key"))
		dbtest.Exec(t, dsn, "INSERT INTO users (id, username) VALUES (1, 'sara')")
		dbtest.Exec(t, dsn, "INSERT INTO tokens (user_id, key_hash, expires_at) VALUES (1, $1, '2099-01-01')", hash[:])
		dbtest.Exec(t, dsn, "UPDATE users SET created_at = CURRENT_TIMESTAMP")
		dbtest.Exec(t, dsn, "UPDATE tokens SET created_at = CURRENT_TIMESTAMP")
		owner, err := database.UserByToken(t.Context(), hash)
		if err != nil || owner.ExpiresAt == nil || owner.ExpiresAt.Year() != 2099 || time.Since(owner.CreatedAt.Time) > time.Hour {
			t.Errorf("%+v, %v", owner, err)
		}
		if tokens, err := database.AllTokens(t.Context()); err != nil || len(tokens) != 1 {
			t.Errorf("%v, %v", tokens, err)
		}
	})
}

// TestMigrate_ConvertsTimes migrates rows with times that the API cannot show. Those that cannot be
// converted are described.
func TestMigrate_ConvertsTimes(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		down(t, dsn, times)
		far, never, last := "'2026-01-13 10:05:43'", "'2099-01-01'", "2026-01-13T10:05:43Z"
		var want []string
		if database.Postgres() {
			far, never, last = "'infinity'", "'infinity'", "9999-12-31T23:59:59.999999Z"
		} else {
			want = []string{`portfolios.created_at of the row 2 cannot be read, nor any list with it: "2026-02-30" is not a time such as 2026-01-13T10:05:43Z`}
		}
		for _, statement := range []string{
			"INSERT INTO users (id, username) VALUES (1, 'sara')",
			"UPDATE users SET created_at = " + far,
			"INSERT INTO tokens (id, user_id, key_hash, expires_at) VALUES (1, 1, 'h', " + never + ")",
			"INSERT INTO portfolios (id, name) VALUES (1, 'p'), (2, 'q')",
			"UPDATE portfolios SET updated_at = " + far + " WHERE id = 1",
			"INSERT INTO images (id, type, name, path, size) VALUES (1, 'image', 'i', 'i.png', 1)",
			"UPDATE images SET created_at = " + far,
			"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (1, 1, 1, 'l')",
			"UPDATE portfolio_links SET created_at = " + far + ", updated_at = " + far,
		} {
			dbtest.Exec(t, dsn, statement)
		}
		if !database.Postgres() {
			dbtest.Exec(t, dsn, "UPDATE portfolios SET created_at = '2026-02-30' WHERE id = 2")
		}
		if _, err := database.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		problems, err := database.Problems(t.Context())
		if diff := cmp.Diff(want, problems); diff != "" || err != nil {
			t.Errorf("%v, %s", err, diff)
		}
		checkMigratedTimes(t, database, last)
		dbtest.Exec(t, dsn, "UPDATE portfolios SET created_at = '2026-01-13' WHERE id = 2")
		list := db.List{Order: db.NewOrderBy(db.Order{Field: db.OrderByCreatedAt, Direction: db.Ascending}), Limit: 10, WithRows: true}
		if page, err := database.Portfolios(t.Context(), list); err != nil || len(page.Rows) != 2 || page.Rows[0].ID != 2 {
			t.Errorf("page %+v, %v", page, err)
		}
	})
}

// checkMigratedTimes checks the times of TestMigrate_ConvertsTimes that were converted.
func checkMigratedTimes(t *testing.T, database *db.DB, last string) {
	t.Helper()
	link, err := database.PortfolioLink(t.Context(), nil, 1)
	if err != nil || link.CreatedAt.Format(time.RFC3339Nano) != last || link.ImageData.CreatedAt.Format(time.RFC3339Nano) != last {
		t.Errorf("link %+v, %v", link, err)
	}
	if portfolio, err := database.Portfolio(t.Context(), 1); err != nil || portfolio.UpdatedAt.Format(time.RFC3339Nano) != last {
		t.Errorf("portfolio %+v, %v", portfolio, err)
	}
	tokens, err := database.AllTokens(t.Context())
	if err != nil || len(tokens) != 1 || (tokens[0].ExpiresAt == nil) != database.Postgres() {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
}
