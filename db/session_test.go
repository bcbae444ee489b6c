package db_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// hostileSettings are settings of PostgreSQL, each line for one database, that change what
// statements or results mean.
var hostileSettings = [][]string{
	{"standard_conforming_strings = off", "DateStyle = 'German, DMY'", "TimeZone = 'Asia/Tehran'", "bytea_output = 'escape'", "extra_float_digits = -15", "gin_fuzzy_search_limit = 1", "quote_all_identifiers = on"},
	{"standard_conforming_strings = off", "backslash_quote = off", "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "client_encoding = 'LATIN1'", "transform_null_equals = on"},
	{"DateStyle = 'Postgres, YMD'", "escape_string_warning = on", "array_nulls = off", "quote_all_identifiers = on", "row_security = off", "default_transaction_isolation = 'serializable'"},
	{"standard_conforming_strings = off"}, {"bytea_output = 'escape'"}, {"extra_float_digits = -15"}, {"quote_all_identifiers = on"},
	{"plpgsql.variable_conflict = 'use_variable'", "check_function_bodies = off", "lc_messages = 'C'", "session_replication_role = 'replica'"},
}

// setForDatabase changes the default of a setting for new sessions of a database.
func setForDatabase(t *testing.T, dsn, setting string) {
	t.Helper()
	dbtest.Exec(t, dsn, "DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET "+strings.ReplaceAll(setting, "'", "''")+"', current_database()); END $do$")
}

// TestSession_OverridesSettingsOfDatabase migrates and uses databases with settings that their
// operators may have chosen, or that the URL has.
func TestSession_OverridesSettingsOfDatabase(t *testing.T) {
	t.Parallel()
	for i, settings := range hostileSettings {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.EmptyPostgres(t)
			parameters := url.Values{}
			for _, setting := range settings {
				setForDatabase(t, dsn, setting)
				name, value, _ := strings.Cut(setting, " = ")
				parameters.Set(strings.ToLower(name), strings.Trim(value, "'"))
			}
			inURL := dsn + "&" + parameters.Encode()
			database := dbtest.Open(t, dsn)
			useDatabase(t, database)
			checkListens(t, database)
			database = dbtest.Open(t, inURL)
			checkTexts(t, database)
			checkListens(t, database)
		})
	}
}

// TestSession_OverridesSettingsOfRole does the same with settings of a role, and listens.
func TestSession_OverridesSettingsOfRole(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptyPostgres(t)
	role := fmt.Sprintf("odd_%d", os.Getpid())
	dbtest.Exec(t, dsn, "CREATE ROLE "+role+" LOGIN SUPERUSER")
	defer func() { dbtest.Exec(t, dsn, "DROP OWNED BY "+role); dbtest.Exec(t, dsn, "DROP ROLE "+role) }()
	for _, setting := range hostileSettings[0] {
		dbtest.Exec(t, dsn, "ALTER ROLE "+role+" SET "+setting)
	}
	database, err := db.Open(t.Context(), strings.Replace(dsn, "user=postgres", "user="+role, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	useDatabase(t, database)
	checkListens(t, database)
}

// TestListen_AcceptsTriggersOfRestore has the functions of the triggers created again by sessions
// with another setting, as programs that restore a dump do.
func TestListen_AcceptsTriggersOfRestore(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	exec := dbtest.Session(t, dsn)
	for _, setting := range []string{"on", "off"} {
		exec("SET quote_all_identifiers = " + setting)
		exec("ALTER FUNCTION feed_users() SET search_path = pg_catalog, pg_temp")
		checkListens(t, dbtest.Open(t, dsn))
	}
	exec("SET quote_all_identifiers = on")
	for _, path := range []string{"pg_temp, pg_catalog", "pg_catalog", "pg_catalog, public", "'pg_catalog, pg_temp'"} {
		exec("ALTER FUNCTION feed_users() SET search_path = " + path)
		if _, err := dbtest.Open(t, dsn).Listen(t.Context(), db.URL{}, func(db.Change) {}); !errors.Is(err, db.ErrFeedOff) {
			t.Errorf("search_path = %s: error %v, want %v", path, err, db.ErrFeedOff)
		}
	}
}

// checkListens listens to the changes of a database.
func checkListens(t *testing.T, database *db.DB) {
	t.Helper()
	listener, err := database.Listen(t.Context(), db.URL{}, func(db.Change) {})
	if err != nil {
		t.Error(err)
		return
	}
	listener.Close()
}

// TestSession_OverridesSettingsBehindPgBouncer uses a pooler, which keeps only some settings for
// its clients.
func TestSession_OverridesSettingsBehindPgBouncer(t *testing.T) {
	t.Parallel()
	direct := dbtest.EmptyPostgres(t)
	for _, setting := range []string{"standard_conforming_strings = off", "DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Tehran'", "client_encoding = 'LATIN1'"} {
		setForDatabase(t, direct, setting)
	}
	_, dsn := dbtest.PgBouncer(t, direct)
	useDatabase(t, dbtest.Open(t, dsn+"&default_query_exec_mode=exec"))
}

// TestSession_RefusesSettingsThatPoolersLose checks the error behind a pooler that would not keep
// a setting.
func TestSession_RefusesSettingsThatPoolersLose(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"bytea_output = 'escape'", "extra_float_digits = 0", "gin_fuzzy_search_limit = 1"} {
		direct := dbtest.EmptyPostgres(t)
		setForDatabase(t, direct, setting)
		_, dsn := dbtest.PgBouncer(t, direct)
		name, _, _ := strings.Cut(setting, " = ")
		if _, err := db.Open(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), name+" must be '") || db.IsOutage(err) {
			t.Errorf("%s: error %v, is an outage: %t", setting, err, db.IsOutage(err))
		}
	}
}

// useDatabase migrates an empty database, and writes and reads values of every type.
func useDatabase(t *testing.T, database *db.DB) {
	t.Helper()
	if names, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(names, err)
	}
	if err := database.SetFeed(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	checkTexts(t, database)
	checkTokens(t, database)
	checkPositions(t, database)
}

// checkTexts stores texts that are SQL where a backslash escapes a quote.
func checkTexts(t *testing.T, database *db.DB) {
	t.Helper()
	for _, name := range []string{
		`\`, `\\`, `\'`, `'\''`, `a\nb`, `\x41`, `\u0041`, `E'\'`, `نام \ İ`, `$$`,
		`\' || (SELECT string_agg(encode(key_hash, 'hex'), ',') FROM tokens)) RETURNING id --`,
		`\', now(), now()); DROP TABLE tokens; --`,
	} {
		created, err := database.CreatePortfolio(t.Context(), name)
		if err != nil {
			t.Errorf("create %s: %v", name, err)
			continue
		}
		stored, err := database.Portfolio(t.Context(), created.ID)
		if err != nil || stored.Name != name || !stored.CreatedAt.Equal(created.CreatedAt.Time) || time.Since(stored.CreatedAt.Time) > time.Hour {
			t.Errorf("created %+v, stored %+v, %v", created, stored, err)
		}
		changed, err := database.UpdatePortfolio(t.Context(), created.ID, &created.UpdatedAt, db.PortfolioUpdate{Name: new("x" + name)})
		if err != nil || changed.Name != "x"+name {
			t.Errorf("changed %+v, %v", changed, err)
		}
		list := db.List{Filter: db.Filter{Search: name}, Order: db.NewOrderBy(), Limit: 100, WithRows: true}
		if page, err := database.Portfolios(t.Context(), list); err != nil || len(page.Rows) == 0 {
			t.Errorf("search %s: %v, %v", name, page, err)
		}
	}
}

// checkTokens stores a token, whose hash is binary, and lists it.
func checkTokens(t *testing.T, database *db.DB) {
	t.Helper()
	if err := database.CreateUser(t.Context(), &db.User{Username: `a\'b`, IsStaff: true, Codes: []int{1, 2}}); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("key"))
	expires := db.Time{Time: time.Date(1900, 1, 2, 3, 4, 5, 678901000, time.UTC)} // when offsets had seconds
	if err := database.CreateToken(t.Context(), `a\'b`, &db.Token{KeyHash: hash[:], Label: new(`\`), ExpiresAt: &expires}); err != nil {
		t.Fatal(err)
	}
	tokens, err := database.AllTokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	token := tokens[0]
	if string(token.KeyHash) != string(hash[:]) || *token.Label != `\` || token.Username() != `a\'b` || !token.ExpiresAt.Equal(expires.Time) {
		t.Errorf("stored %+v", token)
	}
	if owner, err := database.UserByToken(t.Context(), hash); err != nil || owner.Username != `a\'b` || !cmp.Equal(owner.Codes, []int{1, 2}) {
		t.Errorf("owner %+v, %v", owner, err)
	}
}

// checkPositions moves links between others until positions have many digits.
func checkPositions(t *testing.T, database *db.DB) {
	t.Helper()
	portfolio, err := database.CreatePortfolio(t.Context(), "positions")
	if err != nil {
		t.Fatal(err)
	}
	var links []*db.PortfolioLink
	for i := range 4 {
		links = append(links, &db.PortfolioLink{PortfolioID: portfolio.ID, Name: strconv.Itoa(i)})
	}
	if err := database.CreateLinks(t.Context(), links); err != nil {
		t.Fatal(err)
	}
	want := []int64{links[0].ID, links[1].ID, links[2].ID, links[3].ID}
	for range 60 { // to the place after the first one
		moved := want[2]
		if _, err := database.MoveLink(t.Context(), moved, nil, db.LinkMove{AnchorID: want[0], After: true}); err != nil {
			t.Fatal(err)
		}
		want = []int64{want[0], moved, want[1], want[3]}
	}
	list := db.List{Order: db.NewOrderBy(db.Order{Field: db.OrderByPosition, Direction: db.Ascending}), Limit: 10, WithRows: true}
	page, err := database.PortfolioLinks(t.Context(), &portfolio.ID, list)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, link := range page.Rows {
		got = append(got, link.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestLiterals_NeedNoSettings stores texts and bytes in a session that a pooler has given
// other settings.
func TestLiterals_NeedNoSettings(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t, dbtest.Postgres(t))
	user := db.User{Username: `\', false, false, true, now()) --`}
	token := db.Token{KeyHash: []byte(`\'`), Label: new(`\`)}
	err := database.Transaction(t.Context(), func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.ExecContext(ctx, "SET LOCAL standard_conforming_strings = off; SET LOCAL backslash_quote = on"); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&user).Exec(ctx); err != nil {
			return err
		}
		token.UserID = user.ID
		_, err := tx.NewInsert().Model(&token).Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := database.AllTokens(t.Context())
	if err != nil || len(tokens) != 1 || tokens[0].Username() != user.Username || string(tokens[0].KeyHash) != `\'` || *tokens[0].Label != `\` {
		t.Errorf("stored %+v, %v", tokens, err)
	}
}
