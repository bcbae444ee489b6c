package db_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// valueRows inserts a row with the rowid 1 into each table, in the order of their references.
var valueRows = []string{
	"INSERT INTO users (id, username) VALUES (1, 'u')", "INSERT INTO user_permissions (user_id, code) VALUES (1, 1)",
	"INSERT INTO tokens (id, user_id, key_hash) VALUES (1, 1, 'h')", "INSERT INTO portfolios (id, name) VALUES (1, 'p')",
	"INSERT INTO images (id, type, name, path, size) VALUES (1, 'image', 'i', 'i.png', 1)",
	"INSERT INTO thumbnails (id, image_id, path) VALUES (1, 1, 't.png')",
	"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (1, 1, 1, 'l')",
}

// TestValues_RefusesMismatchedTypes stores values in every column of every table of SQLite but
// the columns of times, by UPDATE, INSERT and REPLACE.
func TestValues_RefusesMismatchedTypes(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	for _, insert := range valueRows {
		dbtest.Exec(t, dsn, insert)
	}
	refused := map[string][]string{
		"text": {"x'41'", "zeroblob(2)"}, "boolean": {"2", "-1", "0.5", "'big'", "''", "x'01'", "'true'"},
		"integer": {"'big'", "''", "3.5", "x'31'", "2147483648", "-2147483649", "1e300", "9223372036854775807"},
		"bigint":  {"'big'", "''", "3.5", "x'31'", "9223372036854775808", "'1 2'"},
	}
	connections := connect(t, dsn)
	columns := 0
	for _, insert := range valueRows {
		table := strings.Fields(insert)[2]
		for column, kind := range columnsOf(t, connections, table) {
			if refused[kind] == nil || column == "id" || strings.HasSuffix(column, "_at") {
				continue
			}
			columns++
			for _, value := range refused[kind] {
				change := fmt.Sprintf("UPDATE %s SET %s = %s WHERE rowid = 1", table, column, value)
				replace := fmt.Sprintf("REPLACE INTO %[1]s SELECT * FROM (SELECT * FROM %[1]s)", table)
				replace = strings.Replace(replace, "(SELECT *", "(SELECT "+selectWith(t, connections, table, column, value), 1)
				for _, statement := range []string{change, replace} {
					if _, err := connections.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), table+"."+column+" must be ") {
						t.Errorf("%s: got %v, want an error with %s.%s", statement, err, table, column)
					}
				}
			}
		}
	}
	if columns != 30 {
		t.Errorf("got %d columns, want 30", columns)
	}
	for _, accepted := range []string{
		"UPDATE users SET is_active = '1', is_staff = 0.0, is_admin = false, username = 7",
		"UPDATE images SET width = '3', height = 3.0, mode = NULL, size = 9223372036854775807",
		"UPDATE portfolio_links SET image_id = NULL, url = NULL",
	} {
		dbtest.Exec(t, dsn, accepted)
	}
	if problems, err := dbtest.Open(t, dsn).Problems(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("got %q, %v, want no problems", problems, err)
	}
}

// columnsOf returns the declared types of the columns of a table.
func columnsOf(t *testing.T, connections *sql.DB, table string) map[string]string {
	t.Helper()
	rows, err := connections.QueryContext(t.Context(), "SELECT name, lower(type) FROM pragma_table_info('"+table+"')")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		columns[name] = kind
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return columns
}

// selectWith returns the columns of a table in their order, with a value instead of one.
func selectWith(t *testing.T, connections *sql.DB, table, column, value string) string {
	t.Helper()
	var names string
	query := "SELECT group_concat(CASE name WHEN '" + column + "' THEN '" + strings.ReplaceAll(value, "'", "''") + "' ELSE name END) FROM pragma_table_info('" + table + "')"
	if err := connections.QueryRowContext(t.Context(), query).Scan(&names); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestProblems_NamesMismatchedValues migrates rows whose values are of other types. Lists with
// them are read, and their values are zero or null.
func TestProblems_NamesMismatchedValues(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	database, exec := dbtest.Open(t, dsn), dbtest.Session(t, dsn)
	down(t, dsn, times)
	exec("PRAGMA foreign_keys = OFF")
	for _, statement := range append(slices.Clone(valueRows),
		"UPDATE users SET username = x'75ff', is_active = 2, is_admin = 'no'", "INSERT INTO user_permissions (user_id, code) VALUES (1, 'a b'), (1, 2.5), (1, 4242)",
		"UPDATE images SET size = 'big', width = '', height = 3.5, name = x'69'", "UPDATE thumbnails SET size = 'a b', width = x'31', height = '', file_size = 2.5",
		"UPDATE portfolio_links SET portfolio_id = 1, description = x'64'", "INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (2, 'x', 'y', 'm')",
	) {
		exec(statement)
	}
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	problems, err := database.RowProblems(t.Context())
	if err != nil || len(problems) != 13 || problems[0] != "users.is_active of the row with the rowid 1 is not 0 or 1 and is read as zero or null: 2" {
		t.Errorf("got %d problems %q, %v, want 13", len(problems), problems, err)
	}
	checkMismatchedLists(t, database)
	checkMismatchedLinks(t, database)
	if users, err := database.AllUsers(t.Context()); err != nil || len(users) != 1 {
		t.Errorf("users %+v, %v", users, err)
	}
	if tokens, err := database.AllTokens(t.Context()); err != nil || len(tokens) != 1 {
		t.Errorf("tokens %+v, %v", tokens, err)
	}
	if token, err := database.RevokeToken(t.Context(), 1); err != nil || token.UserID != 1 {
		t.Errorf("token %+v, %v", token, err)
	}
	exec("UPDATE portfolio_links SET name = 'n', image_id = 1")
	exec("UPDATE users SET username = 'v'")
}

// checkMismatchedLists checks that lists have the rows whose values are of other types.
func checkMismatchedLists(t *testing.T, database *db.DB) {
	t.Helper()
	list := db.List{Order: db.NewOrderBy(), Limit: 10, WithRows: true, WithImages: true}
	if page, err := database.Users(t.Context(), list); err != nil || len(page.Rows) != 1 || page.Rows[0].IsActive || page.Rows[0].IsAdmin || !slices.Contains(page.Rows[0].Codes, 4242) {
		t.Errorf("users %+v, %v", page, err)
	}
	if page, err := database.Images(t.Context(), list); err != nil || len(page.Rows) != 1 || page.Rows[0].Size != 0 || page.Rows[0].Width != nil || len(page.Rows[0].Thumbnails) != 1 {
		t.Errorf("images %+v, %v", page, err)
	}
}

// checkMismatchedLinks checks that a list of links has the rows whose values are of other types.
func checkMismatchedLinks(t *testing.T, database *db.DB) {
	t.Helper()
	page, err := database.PortfolioLinks(t.Context(), nil, db.List{Order: db.NewOrderBy(), Limit: 10, WithRows: true, WithImages: true})
	if err != nil || len(page.Rows) != 2 || page.Rows[0].ImageData == nil || page.Rows[1].ImageID != nil || page.Rows[1].PortfolioID != 0 {
		t.Errorf("links %+v, %v", page, err)
	}
}
