package legacytest

import (
	_ "embed"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

//go:embed tables.sql
var tables string

// Tables returns the URL of a database that has the tables of the legacy system, as
// Django makes them, without rows.
func Tables(t testing.TB) string {
	t.Helper()
	dsn := dbtest.EmptyPostgres(t)
	dbtest.Exec(t, dsn, tables)
	return dsn
}

// renamed maps names of our columns to those of the legacy system, where they differ.
var renamed = map[string]string{
	"users.is_admin": "is_superuser", "users.created_at": "date_joined", "tokens.created_at": "created",
	"images.path": "f", "thumbnails.path": "f", "thumbnails.image_id": "media_id",
}

// widened are ids that are greater in the recorded rows than Django makes them.
const widened = "ALTER TABLE auth_user ALTER id TYPE bigint; ALTER TABLE core_userpermission ALTER user_id TYPE bigint; ALTER TABLE authtoken_token ALTER user_id TYPE bigint"

// LoadFile inserts the rows of a JSON file, an object of our tables, into a database of
// Tables.
func LoadFile(t testing.TB, dsn, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows map[string][]map[string]json.RawMessage
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, dsn, widened)
	for _, table := range [][2]string{
		{"users", "auth_user"}, {"user_permissions", "core_userpermission"}, {"tokens", "authtoken_token"}, {"portfolios", "core_portfolio"},
		{"images", "core_media"}, {"thumbnails", "core_thumbnail"}, {"portfolio_links", "core_portfoliolink"},
	} {
		for _, row := range rows[table[0]] {
			insert(t, dsn, table, row)
		}
	}
}

func insert(t testing.TB, dsn string, table [2]string, row map[string]json.RawMessage) {
	t.Helper()
	var names, values []string
	renamedRow := map[string]json.RawMessage{}
	for name, value := range row {
		if other, ok := renamed[table[0]+"."+name]; ok {
			name = other
		}
		if table[0] == "tokens" && name == "id" { // which Django's have not
			continue
		}
		names, values = append(names, strconv.Quote(name)), append(values, "r."+strconv.Quote(name))
		renamedRow[name] = value
	}
	object, err := json.Marshal(renamedRow)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, dsn, "INSERT INTO "+table[1]+" ("+strings.Join(names, ", ")+") SELECT "+strings.Join(values, ", ")+
		" FROM json_populate_record(NULL::"+table[1]+", $1) AS r", string(object))
}
