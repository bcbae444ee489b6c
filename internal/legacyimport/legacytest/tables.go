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

// Tables returns the URL of a database that has the tables of the legacy system without rows.
// Django creates the same tables.
func Tables(t testing.TB) string {
	t.Helper()
	dsn := dbtest.EmptyPostgres(t)
	dbtest.Exec(t, dsn, tables)
	return dsn
}

// renamed maps our columns to legacy columns that have different names.
var renamed = map[string]string{
	"users.is_admin": "is_superuser", "users.created_at": "date_joined", "tokens.created_at": "created",
	"images.path": "f", "thumbnails.path": "f", "thumbnails.image_id": "media_id",
}

// widened widens the columns of IDs, because recorded IDs exceed the types of Django.
const widened = "ALTER TABLE auth_user ALTER id TYPE bigint; ALTER TABLE core_userpermission ALTER user_id TYPE bigint; ALTER TABLE authtoken_token ALTER user_id TYPE bigint"

// LoadFile inserts rows into a database of Tables. The JSON file is an object of our tables.
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
		if legacyName, ok := renamed[table[0]+"."+name]; ok {
			name = legacyName
		}
		if table[0] == "tokens" && name == "id" { // Django has no such column
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

// documented has the example of the documentation of the legacy system, and a token.
const documented = `
INSERT INTO auth_user (id, username, is_staff) VALUES (5, 'sara', true);
INSERT INTO core_userpermission (user_id, code) VALUES (5, 4242);
INSERT INTO authtoken_token (key, user_id) VALUES ('be995b582c8bf952546d3819251020d1ad1b2eb1', 5);
INSERT INTO core_portfolio (id, name) VALUES (1, 'دمو');
INSERT INTO core_media (id, name, f, size, width, height, mode) VALUES (6, 'technology', 'core_media/2025/12/02/technology.png', 5123, 225, 225, 'P');
INSERT INTO core_thumbnail (id, media_id, f, size) SELECT id, 6, format('core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_%sx%s.jpg', size, size), size
  FROM (VALUES (213, 64), (214, 128), (215, 512), (216, 1080)) AS thumbnail (id, size);
INSERT INTO core_portfoliolink (id, portfolio_id, image_id, name, url, description) VALUES (4, 1, 6, 'دمو پروژه', 'https://moeinsoft.com/demo', 'لینک مشاهده دمو')`

// Documented returns the URL of a database that has the documented example.
func Documented(t testing.TB) string {
	t.Helper()
	dsn := Tables(t)
	for statement := range strings.SplitSeq(documented, ";\n") {
		dbtest.Exec(t, dsn, statement)
	}
	return dsn
}
