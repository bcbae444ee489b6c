package changefeed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
)

// alterations are changes of PostgreSQL's catalogs that hide a change of rows, or may hide
// later ones.
var alterations = []struct {
	name       string
	statements string
	want       error // until undo, or SetFeed if there is none, nil if the feed works again by itself
	undo       string
}{
	{"table dropped and created", "CREATE TABLE copy (LIKE thumbnails INCLUDING ALL); DROP TABLE thumbnails; ALTER TABLE copy RENAME TO thumbnails", db.ErrFeedOff, ""},
	{"table created anew with its triggers", recreated, nil, ""},
	{"rows rewritten", "ALTER TABLE portfolio_links ALTER COLUMN name TYPE text COLLATE \"C\" USING upper(name)", nil, ""},
	{"rows changed without triggers", "BEGIN; ALTER TABLE images DISABLE TRIGGER feed_update; UPDATE images SET size = 2; ALTER TABLE images ENABLE ALWAYS TRIGGER feed_update; COMMIT", nil, ""},
	{"triggers disabled and enabled, as pg_restore does", "ALTER TABLE tokens DISABLE TRIGGER ALL; ALTER TABLE tokens ENABLE TRIGGER ALL", db.ErrFeedOff, ""},
	{"triggers of a table disabled", "ALTER TABLE users DISABLE TRIGGER USER", db.ErrFeedOff, ""},
	{"trigger dropped", "DROP TRIGGER feed_truncate ON portfolios", db.ErrFeedOff, ""},
	{"trigger of replicated rows dropped", "DROP TRIGGER feed_row ON portfolios", db.ErrFeedOff, ""},
	{"trigger with a condition", "CREATE OR REPLACE TRIGGER feed_change AFTER UPDATE ON users FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION feed_users(); ALTER TABLE users ENABLE ALWAYS TRIGGER feed_change", db.ErrFeedOff, ""},
	{"trigger function replaced", "CREATE OR REPLACE FUNCTION feed_images() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL;END'", db.ErrFeedOff, ""},
	{"columns exchanged", "ALTER TABLE portfolio_links RENAME url TO link; ALTER TABLE portfolio_links RENAME description TO url; ALTER TABLE portfolio_links RENAME link TO description", nil, ""},
	{"rows hidden", "ALTER TABLE portfolios ENABLE ROW LEVEL SECURITY", nil, ""},
	{"policy added", "CREATE POLICY all_rows ON images USING (true)", nil, ""},
	{"child table", "CREATE TABLE child () INHERITS (thumbnails)", db.ErrTableKind, "DROP TABLE child"},
	{"view", "ALTER TABLE thumbnails RENAME TO renamed; CREATE VIEW thumbnails AS SELECT * FROM renamed", db.ErrTableKind, "DROP VIEW thumbnails; ALTER TABLE renamed RENAME TO thumbnails"},
	{"other schema", "CREATE SCHEMA other; ALTER TABLE tokens SET SCHEMA other", db.ErrFeedOff, "ALTER TABLE other.tokens SET SCHEMA public"},
}

// recreated creates the table user_permissions with its triggers, as a restore does.
const recreated = `BEGIN; CREATE TABLE copy (LIKE user_permissions INCLUDING ALL); DROP TABLE user_permissions; ALTER TABLE copy RENAME TO user_permissions; CREATE TRIGGER feed_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON user_permissions FOR EACH STATEMENT EXECUTE FUNCTION feed_users(); CREATE TRIGGER feed_row AFTER INSERT OR UPDATE OR DELETE ON user_permissions FOR EACH ROW EXECUTE FUNCTION feed_row('u'); ALTER TABLE user_permissions ENABLE ALWAYS TRIGGER feed_change, ENABLE REPLICA TRIGGER feed_row; COMMIT`

// TestFeed_ForgetsReadsWhenCatalogsChange checks that no read before an alteration is current
// after it, and that the feed works again when the triggers are in place.
func TestFeed_ForgetsReadsWhenCatalogsChange(t *testing.T) {
	t.Parallel()
	for _, c := range alterations {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.Postgres(t)
			dbtest.Exec(t, dsn, "INSERT INTO images (id, type, name, path, size) VALUES (6, 'image', 'i', 'i.png', 1)")
			database, logged := dbtest.Open(t, dsn), new(log)
			changes := start(t, database, "", slog.New(slog.NewTextHandler(logged, nil)))
			changefeedtest.Await(t, changes)
			revision := changes.Sync()
			session := dbtest.Session(t, dsn)
			run := func(statements string) {
				for statement := range strings.SplitSeq(statements, "; ") {
					session(statement)
				}
			}
			run(c.statements)
			waitFor(t, "earlier reads are stale", func() bool {
				return !changes.IsCurrent(revision, changefeed.ReadSet{}) && !changes.AreUsersCurrent(revision) || changes.Sync() == 0
			})
			if c.want != nil {
				waitFor(t, "logged", func() bool { return logged.contains(c.want.Error()) })
				if got := changes.Sync(); got != 0 {
					t.Errorf("revision %d though changes may not notify, want 0", got)
				}
			}
			if c.undo != "" {
				run(c.undo)
			} else if err := database.SetFeed(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			changefeedtest.Await(t, changes)
			if changes.IsCurrent(revision, changefeed.ReadSet{}) || changes.AreUsersCurrent(revision) {
				t.Error("a read before the alteration is current")
			}
		})
	}
}

// TestFeed_ForgetsReadsWhenPoolMoves checks that no read from the former server of the pool is
// current, although that server and its listener keep running.
func TestFeed_ForgetsReadsWhenPoolMoves(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(t *testing.T, first, second string) (through string, redirect func()){
		"proxy": func(t *testing.T, first, second string) (string, func()) {
			t.Helper()
			proxy, through := dbtest.NewProxy(t, first)
			return through, func() {
				proxy.Retarget(t, second)
				dbtest.Exec(t, first, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'moved' AND pid <> pg_backend_pid()")
			}
		},
		"pooler": func(t *testing.T, first, second string) (string, func()) {
			t.Helper()
			pooler, through := dbtest.PgBouncer(t, first)
			return through, func() { pooler.Retarget(second) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dsns [2]string
			for i := range dsns {
				dsns[i] = dbtest.NewCluster(t).URL()
				if _, err := dbtest.Open(t, dsns[i]).Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				dbtest.Exec(t, dsns[i], fmt.Sprintf("INSERT INTO portfolios (id, name) VALUES (1, 'server %d')", i))
			}
			through, redirect := move(t, dsns[0], dsns[1])
			database := dbtest.Open(t, through+"&application_name=moved")
			changes := start(t, database, dsns[0], slog.New(slog.DiscardHandler))
			changefeedtest.Await(t, changes)
			revision := changes.Sync()
			redirect()
			waitFor(t, "the pool has moved", func() bool {
				portfolio, err := database.Portfolio(t.Context(), 1)
				return err == nil && portfolio.Name == "server 1"
			})
			if name == "proxy" && changes.Sync() != 0 { // the pool has opened a connection
				t.Error("proven by the listener of a server that the pool has left")
			}
			waitFor(t, "earlier reads are stale", func() bool { return changes.Sync() == 0 || !changes.IsCurrent(revision, changefeed.ReadSet{}) })
			if _, err := database.Listen(t.Context(), urlOf(t, dsns[0]), func(db.Change) {}); err == nil {
				t.Error("listening to a server that the pool has left")
			}
		})
	}
}

func urlOf(t *testing.T, dsn string) db.URL {
	t.Helper()
	parsed, err := db.ParseURL(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestFeed_ForgetsReadsAfterOwnCommitWithoutNotification checks that a change by this
// process is known when it is acknowledged, even if it did not notify.
func TestFeed_ForgetsReadsAfterOwnCommitWithoutNotification(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(context.Context, *db.DB) error{
		"update": func(ctx context.Context, database *db.DB) error {
			_, err := database.UpdatePortfolio(ctx, 1, nil, db.PortfolioUpdate{Name: new("new")})
			return err
		},
		"insert": func(ctx context.Context, database *db.DB) error {
			_, err := database.CreatePortfolio(ctx, "another")
			return err
		},
		"delete": func(ctx context.Context, database *db.DB) error {
			_, _, err := database.DeletePortfolio(ctx, 1, nil)
			return err
		},
		"user": func(ctx context.Context, database *db.DB) error {
			return database.CreateUser(ctx, &db.User{Username: "new"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.Postgres(t)
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
			database := dbtest.Open(t, dsn)
			changes := start(t, database, "", slog.New(slog.DiscardHandler))
			changefeedtest.Await(t, changes)
			revision := changes.Sync()
			for _, table := range []string{"portfolios", "portfolio_links", "users"} {
				dbtest.Exec(t, dsn, "ALTER TABLE "+table+" DISABLE TRIGGER USER")
			}
			if err := change(t.Context(), database); err != nil {
				t.Fatal(err)
			}
			if changes.Sync() != 0 && changes.IsCurrent(revision, changefeed.ReadSet{}) {
				t.Error("a read before the change is current")
			}
		})
	}
}

// TestFeed_ReceivesReplicatedRows checks that rows which logical replication applies
// notify.
func TestFeed_ReceivesReplicatedRows(t *testing.T) {
	t.Parallel()
	publisher, subscriber := dbtest.NewCluster(t), dbtest.NewCluster(t)
	publisher.Exec("ALTER SYSTEM SET wal_level = logical")
	publisher.Stop()
	publisher.Start()
	database := dbtest.Open(t, subscriber.URL())
	for _, dsn := range []string{publisher.URL(), subscriber.URL()} {
		if _, err := dbtest.Open(t, dsn).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			"INSERT INTO users (id, username) VALUES (1, 'u')",
			"INSERT INTO portfolios (id, name) VALUES (1, 'one'), (2, 'two'), (9, 'nine')",
			"INSERT INTO images (id, type, name, path, size) VALUES (6, 'image', 'i', 'i.png', 1), (7, 'image', 'j', 'j.png', 1)",
			"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (4, 1, 6, 'l'), (5, 2, 7, 'm')",
		} {
			dbtest.Exec(t, dsn, statement)
		}
	}
	source, err := url.Parse(publisher.URL())
	if err != nil {
		t.Fatal(err)
	}
	publisher.Exec("CREATE PUBLICATION all_tables FOR ALL TABLES")
	subscriber.Exec(fmt.Sprintf("CREATE SUBSCRIPTION all_tables CONNECTION 'host=%s user=postgres dbname=postgres' PUBLICATION all_tables WITH (copy_data = false)", source.Query().Get("host")))
	defer subscriber.Exec("DROP SUBSCRIPTION all_tables")
	changes := start(t, database, "", slog.New(slog.DiscardHandler))
	changefeedtest.Await(t, changes)
	for _, c := range []struct{ statement, want string }{
		{"UPDATE portfolio_links SET name = 'n' WHERE id = 4", "link 4, links of 1, no link, portfolio 1, portfolios"},
		{"UPDATE portfolio_links SET portfolio_id = 2 WHERE id = 4", "link 4, link 5, links of 1, no link, portfolio 1, portfolios"},
		{"DELETE FROM images WHERE id = 7", "link 4, link 5, no link, portfolios"}, // both are in portfolio 2
		{"INSERT INTO thumbnails (image_id, path) VALUES (6, 't.png')", "link 4, no link, portfolios"},
		{"INSERT INTO user_permissions (user_id, code) VALUES (1, 4242)", "no link, portfolios, users"},
		{"UPDATE users SET is_staff = true", "no link, portfolios, users"},
		{"DELETE FROM portfolios WHERE id = 9", "no link, portfolios"},
		{"TRUNCATE portfolio_links", "link 4, link 5, links of 1, no link, portfolio 1, portfolios"},
	} {
		stale := read(t, database, changes)
		publisher.Exec(c.statement)
		got := ""
		waitFor(t, c.statement, func() bool { got = stale(); return got != "" })
		if got != c.want {
			t.Errorf("%s: stale %s\nwant %s", c.statement, got, c.want)
		}
	}
}

// TestFeed_KeepsSessionWhenOthersNotify checks that a role which may only connect cannot
// turn the feed off.
func TestFeed_KeepsSessionWhenOthersNotify(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	dbtest.Exec(t, dsn, "CREATE ROLE only_connects LOGIN")
	defer dbtest.Exec(t, dsn, "DROP ROLE only_connects")
	session := dbtest.Session(t, strings.Replace(dsn, "user=postgres", "user=only_connects", 1))
	logged := new(log)
	changes := start(t, dbtest.Open(t, dsn), "", slog.New(slog.NewTextHandler(logged, nil)))
	changefeedtest.Await(t, changes)
	for _, payload := range []string{"off", "n x", "n ", "", "*", "u", "x", "p", "p x", "i 1 2 3", "p 99999999999999999999", "off off", strings.Repeat("p ", 3999)} {
		for range 20 {
			session("SELECT pg_notify('portfolio_changes', $1)", payload)
			if changes.Sync() == 0 {
				t.Fatalf("%.20q turns the feed off", payload)
			}
		}
	}
	revision := changes.Sync()
	for _, payload := range []string{"off", "n x"} {
		session("SELECT pg_notify('portfolio_changes', $1)", payload)
		if changes.Sync(); !changes.IsCurrent(revision, changefeed.ReadSet{}) {
			t.Errorf("%q makes reads stale", payload)
		}
	}
	if logged.contains("change feed is down") {
		t.Error(logged.text.String())
	}
}

// TestFeed_ReceivesChangesOfAnySearchPath checks that a session which may write rows
// cannot keep its changes secret by functions of its own.
func TestFeed_ReceivesChangesOfAnySearchPath(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	for _, statement := range []string{
		"INSERT INTO users (id, username) VALUES (1, 'u')",
		"INSERT INTO portfolios (id, name) VALUES (1, 'one'), (2, 'two')",
		"CREATE SCHEMA own",
		"CREATE FUNCTION own.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''",
		"CREATE FUNCTION own.array_to_string(anyarray, text) RETURNS text LANGUAGE sql AS $$SELECT '99'$$",
		"CREATE FUNCTION own.concat_ws(text, text, text) RETURNS text LANGUAGE sql AS $$SELECT 'p 99'$$",
	} {
		dbtest.Exec(t, dsn, statement)
	}
	database := dbtest.Open(t, dsn)
	changes := start(t, database, "", slog.New(slog.DiscardHandler))
	changefeedtest.Await(t, changes)
	for _, setting := range []string{"", "&session_replication_role=replica"} {
		session := dbtest.Session(t, dsn+"&search_path=own,pg_catalog,public"+setting)
		for statement, want := range map[string]string{
			"UPDATE portfolios SET name = name || 'x' WHERE id = 1": "portfolio 1",
			"UPDATE users SET is_staff = NOT is_staff":              "users",
		} {
			stale := read(t, database, changes)
			session(statement)
			if got := stale(); !strings.Contains(got, want) {
				t.Errorf("%s %s: stale %q, want %s", setting, statement, got, want)
			}
		}
	}
}

// TestFeed_SurvivesManySubscribersAndChanges checks that many changes of one transaction do
// not end the session however many wait, and wake all whose rows have changed.
func TestFeed_SurvivesManySubscribersAndChanges(t *testing.T) {
	t.Parallel()
	const subscribers, changed = 10_000, 5_000
	dsn := dbtest.Postgres(t)
	dbtest.Exec(t, dsn, fmt.Sprintf("INSERT INTO portfolios (id, name) SELECT i, 'p' FROM generate_series(1, %d) AS i", subscribers))
	database, logged := dbtest.Open(t, dsn), new(log)
	changes := start(t, database, "", slog.New(slog.NewTextHandler(logged, nil)))
	changefeedtest.Await(t, changes)
	revision := changes.Sync()
	var waiting sync.WaitGroup
	var returns atomic.Int64
	var sets [subscribers]changefeed.ReadSet
	var errs [subscribers]error
	ctx, cancel := context.WithCancel(t.Context())
	for id := range subscribers {
		readCtx, recorded := db.WithReadSet(ctx)
		if _, err := database.Portfolio(readCtx, int64(id+1)); err != nil {
			t.Fatal(err)
		}
		sets[id] = changes.Compact(recorded)
		waiting.Go(func() {
			errs[id] = changes.Wait(ctx, revision, sets[id])
			returns.Add(1)
		})
	}
	waitFor(t, "all wait", func() bool { return changes.Waiting() == subscribers })
	dbtest.Exec(t, dsn, fmt.Sprintf("DO 'BEGIN FOR i IN 1..%d LOOP UPDATE portfolios SET name = ''new'' WHERE id = i; END LOOP; END'", changed))
	if changes.Sync() == 0 {
		t.Error("the session has ended")
	}
	var want [subscribers]error
	current := 0
	for id := range subscribers {
		if id >= changed && changes.IsCurrent(revision, sets[id]) { // no changed row shares its tag
			want[id] = context.Canceled
			current++
		}
	}
	waitFor(t, "the calls whose read sets have changed return", func() bool { return returns.Load() >= int64(subscribers-current) })
	if waiters := changes.Waiting(); waiters != current || current == 0 {
		t.Errorf("got %d who still wait, want %d", waiters, current)
	}
	cancel()
	waiting.Wait()
	for id := range subscribers {
		if !errors.Is(errs[id], want[id]) {
			t.Errorf("portfolio %d: got %v, want %v", id+1, errs[id], want[id])
		}
	}
	if logged.contains("change feed is down") {
		t.Error(logged.text.String())
	}
}
