package changefeed_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
)

// start starts a feed of a database. With a URL, it listens there.
func start(t *testing.T, database *db.DB, url string, log *slog.Logger) *changefeed.Feed {
	t.Helper()
	at := db.URL{}
	if url != "" {
		var err error
		if at, err = db.ParseURL(url); err != nil {
			t.Fatal(err)
		}
	}
	changes := changefeed.New(changefeed.Options{
		Listen: func(ctx context.Context, changed func(db.Change)) (db.Listener, error) {
			return database.Listen(ctx, at, changed)
		},
		Log: log,
	})
	changefeedtest.Run(t, changes)
	return changes
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// changed has statements, and the names of the reads that each makes stale.
var changed = []struct{ statement, reads string }{
	{"UPDATE portfolio_links SET name = 'n' WHERE id = 4", "link 4, links of 1, no link, portfolio 1, portfolios"},
	{"UPDATE portfolio_links SET name = 'n' WHERE id = 5", "link 5, no link, portfolios"},
	{"UPDATE portfolio_links SET portfolio_id = 2 WHERE id = 4", "link 4, link 5, links of 1, no link, portfolio 1, portfolios"},
	{"UPDATE portfolio_links SET portfolio_id = 1 WHERE id = 4", "link 4, link 5, links of 1, no link, portfolio 1, portfolios"},
	{"UPDATE images SET alt = 'a' WHERE id = 6", "link 4, links of 1, no link, portfolios"},
	{"INSERT INTO thumbnails (image_id, path) VALUES (6, 't.png')", "link 4, links of 1, no link, portfolios"},
	{"DELETE FROM thumbnails", "link 4, links of 1, no link, portfolios"},
	{"UPDATE portfolios SET name = 'n' WHERE id = 2", "link 5, no link, portfolios"},
	{"INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (10, 1, 'x')", "link 4, links of 1, no link, portfolio 1, portfolios"},
	{"DELETE FROM portfolio_links WHERE id = 10", "link 4, links of 1, no link, portfolio 1, portfolios"},
	{"INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (11, 9, 'x')", "no link, portfolios"},
	{"DELETE FROM portfolios WHERE id = 9", "no link, portfolios"},
	{"DELETE FROM images WHERE id = 7", "link 5, no link, portfolios"},
	{"UPDATE portfolio_links SET name = 'n' WHERE id = 1234", ""},
	{"INSERT INTO portfolio_links (id, portfolio_id, name) SELECT 100 + i, 9 + i, 'x' FROM generate_series(1, 351) AS i", "link 4, link 5, links of 1, no link, portfolio 1, portfolios"},
	{"INSERT INTO user_permissions (user_id, code) VALUES (1, 4242)", "no link, portfolios, users"},
	{"UPDATE users SET is_staff = true", "no link, portfolios, users"},
	{"INSERT INTO tokens (user_id, key_hash) VALUES (1, 'k')", "no link, portfolios, users"},
	{"DELETE FROM users", "no link, portfolios, users"},
	{"INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (12, 2, 'x')", "link 5, no link, portfolios"}, // by a session that replicates
	{"TRUNCATE portfolio_links", "link 4, link 5, links of 1, no link, portfolio 1, portfolios"},
}

// reads has a read of each kind.
var reads = []struct {
	name string
	read func(context.Context, *db.DB)
}{
	{"link 4", func(ctx context.Context, database *db.DB) { _, _ = database.PortfolioLink(ctx, nil, 4) }},
	{"link 5", func(ctx context.Context, database *db.DB) { _, _ = database.PortfolioLink(ctx, nil, 5) }},
	{"links of 1", func(ctx context.Context, database *db.DB) { _, _ = database.PortfolioLinks(ctx, new(int64(1)), list) }},
	{"no link", func(ctx context.Context, database *db.DB) { _, _ = database.PortfolioLink(ctx, nil, 99) }},
	{"portfolio 1", func(ctx context.Context, database *db.DB) { _, _ = database.Portfolio(ctx, 1) }},
	{"portfolios", func(ctx context.Context, database *db.DB) { _, _ = database.Portfolios(ctx, list) }},
}

var list = db.List{Order: db.NewOrderBy(), Limit: 9, WithRows: true, WithTotal: true, WithImages: true}

// TestFeed_ReceivesChangedRows checks which rows each statement of another session makes
// stale. SQLite does not say which rows have changed.
func TestFeed_ReceivesChangedRows(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		for _, statement := range []string{
			"INSERT INTO users (id, username) VALUES (1, 'u')",
			"INSERT INTO portfolios (id, name) VALUES (1, 'one'), (2, 'two'), (9, 'nine')",
			"INSERT INTO images (id, type, name, path, size) VALUES (6, 'image', 'i', 'i.png', 1), (7, 'image', 'j', 'j.png', 1)",
			"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (4, 1, 6, 'l'), (5, 2, 7, 'm')",
		} {
			dbtest.Exec(t, dsn, statement)
		}
		database := dbtest.Open(t, dsn)
		if database.Postgres() {
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) SELECT 9 + i, 'p' FROM generate_series(1, 351) AS i")
		}
		changes := start(t, database, "", slog.New(slog.DiscardHandler))
		changefeedtest.Await(t, changes)
		for i, c := range changed {
			session, want := dsn, c.reads
			switch {
			case database.Postgres() && i == len(changed)-2:
				session += "&session_replication_role=replica"
			case database.Postgres():
			case strings.Contains(c.statement, "generate_series") || strings.HasPrefix(c.statement, "TRUNCATE"):
				continue
			case want != "":
				want = "link 4, link 5, links of 1, no link, portfolio 1, portfolios, users"
			}
			stale := read(t, database, changes)
			if got := stale(); got != "" {
				t.Errorf("before %s: stale %s", c.statement, got)
			}
			dbtest.Exec(t, session, c.statement)
			got := stale()
			if strings.HasPrefix(c.statement, "TRUNCATE") { // which also ends the session, sooner or later
				got = strings.TrimSuffix(got, ", users")
			}
			if got != want && (want != "" || database.Postgres()) {
				t.Errorf("%s: stale %s\nwant %s", c.statement, got, want)
			}
		}
	})
}

// read does all reads. It returns a function that returns the names of stale reads.
func read(t *testing.T, database *db.DB, changes *changefeed.Feed) (stale func() string) {
	t.Helper()
	revision, sets := changes.Sync(), map[string]changefeed.ReadSet{}
	for _, r := range reads {
		ctx, recorded := db.WithReadSet(t.Context())
		r.read(ctx, database)
		sets[r.name] = changes.Compact(recorded)
	}
	return func() string {
		changefeedtest.Await(t, changes)
		var names []string
		for _, r := range reads {
			if !changes.IsCurrent(revision, sets[r.name]) {
				names = append(names, r.name)
			}
		}
		if !changes.AreUsersCurrent(revision) {
			names = append(names, "users")
		}
		return strings.Join(names, ", ")
	}
}

// log is a log that a test reads.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *log) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// TestFeed_ForgetsReadsWhenConnectionIsLost checks that rows read before a connection was lost are
// stale, since a notification may have been lost too.
func TestFeed_ForgetsReadsWhenConnectionIsLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, dsn string, proxy *dbtest.Proxy, changes *changefeed.Feed){
		"terminated": func(t *testing.T, dsn string, _ *dbtest.Proxy, changes *changefeed.Feed) {
			t.Helper()
			dbtest.Exec(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portfolio feed' AND datname = current_database()")
			waitFor(t, "the listener is lost", func() bool { return changes.Sync() == 0 })
		},
		"disconnected": func(t *testing.T, _ string, proxy *dbtest.Proxy, changes *changefeed.Feed) {
			t.Helper()
			proxy.Disconnect()
			waitFor(t, "the listener is lost", func() bool { return changes.Sync() == 0 })
			proxy.Reconnect()
		},
		"stalled": func(t *testing.T, dsn string, proxy *dbtest.Proxy, changes *changefeed.Feed) {
			t.Helper()
			resume := proxy.Stall()
			if changes.Sync() != 0 {
				t.Error("a barrier ended although the network forwards nothing")
			}
			dbtest.Exec(t, dsn, "UPDATE portfolios SET name = 'lost'")
			resume()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.Postgres(t)
			database := dbtest.Open(t, dsn)
			proxy, through := dbtest.NewProxy(t, dsn)
			logged := new(log)
			changes := start(t, database, through, slog.New(slog.NewTextHandler(logged, nil)))
			changefeedtest.Await(t, changes)
			revision := changes.Sync()
			if !changes.IsCurrent(revision, changefeed.ReadSet{}) || !changes.AreUsersCurrent(revision) {
				t.Error("not current at first")
			}
			lose(t, dsn, proxy, changes)
			changefeedtest.Await(t, changes)
			if changes.IsCurrent(revision, changefeed.ReadSet{}) || changes.AreUsersCurrent(revision) {
				t.Error("reads are current after notifications were lost")
			}
			waitFor(t, "logged", func() bool {
				return logged.contains("change feed is down") && logged.contains("change feed reconnected")
			})
		})
	}
}

// TestFeed_RefusesUselessConnections checks that the feed does not trust a connection that
// would receive no notifications.
func TestFeed_RefusesUselessConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url  func(t *testing.T, dsn string) string
		want error
	}{
		"pooler": {func(t *testing.T, dsn string) string {
			t.Helper()
			_, pooled := dbtest.PgBouncer(t, dsn)
			return pooled
		}, db.ErrPooler},
		"other database": {func(t *testing.T, _ string) string { t.Helper(); return dbtest.Postgres(t) }, db.ErrOtherServer},
		"off": {func(t *testing.T, dsn string) string {
			t.Helper()
			if err := dbtest.Open(t, dsn).SetFeed(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			return dsn
		}, db.ErrFeedOff},
		"one trigger off": {func(t *testing.T, dsn string) string {
			t.Helper()
			dbtest.Exec(t, dsn, "ALTER TABLE images ENABLE TRIGGER feed_update") // but not in sessions that replicate
			return dsn
		}, db.ErrFeedOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := dbtest.Postgres(t)
			logged := new(log)
			changes := start(t, dbtest.Open(t, dsn), c.url(t, dsn), slog.New(slog.NewTextHandler(logged, nil)))
			<-changes.Attempted()
			if !logged.contains(c.want.Error()) {
				t.Error("not logged")
			}
			if changes.Sync() != 0 {
				t.Error("a barrier ended, want an error")
			}
		})
	}
}

// TestFeed_DependsOnTriggers checks that servers stop trusting their memory when the triggers
// are disabled, and trust it again later.
func TestFeed_DependsOnTriggers(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		changes := start(t, dbtest.Open(t, dsn), "", slog.New(slog.DiscardHandler))
		changefeedtest.Await(t, changes)
		for range 2 {
			if err := database.SetFeed(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if got, want := changes.Sync() != 0, !database.Postgres(); got != want {
				t.Errorf("barrier ended: got %t, want %t", got, want)
			}
		}
		for range 2 {
			if err := database.SetFeed(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		changefeedtest.Await(t, changes)
	})
}

// TestFeed_WaitsForChangesOfReadSet checks which changes end a wait.
func TestFeed_WaitsForChangesOfReadSet(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
		database := dbtest.Open(t, dsn)
		changes := start(t, database, "", slog.New(slog.DiscardHandler))
		changefeedtest.Await(t, changes)
		revision := changes.Sync()
		ctx, recorded := db.WithReadSet(t.Context())
		if _, err := database.Portfolio(ctx, 1); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		wait := func(ctx context.Context) { ended <- changes.Wait(ctx, revision, changes.Compact(recorded)) }
		canceled, cancel := context.WithCancel(t.Context())
		go wait(canceled)
		cancel()
		if err := <-ended; err == nil {
			t.Error("ended without a change")
		}
		go wait(t.Context())
		name := "new"
		if _, err := database.UpdatePortfolio(t.Context(), 1, nil, db.PortfolioUpdate{Name: &name}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		go wait(t.Context()) // the change was earlier
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// counted counts the round trips of a listener.
type counted struct {
	db.Listener
	syncs *atomic.Int64
}

func (c counted) Sync() *db.RoundTrip {
	c.syncs.Add(1)
	return c.Listener.Sync()
}

// TestFeed_SharesBarriersWithinMaxStaleness checks that within MaxStaleness later barriers need no round
// trip.
func TestFeed_SharesBarriersWithinMaxStaleness(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		for _, staleness := range []time.Duration{0, 1, time.Hour} {
			var syncs atomic.Int64
			changes := changefeed.New(changefeed.Options{
				Listen: func(ctx context.Context, changed func(db.Change)) (db.Listener, error) {
					listener, err := database.Listen(ctx, db.URL{}, changed)
					return counted{listener, &syncs}, err
				},
				MaxStaleness: staleness, Log: slog.New(slog.DiscardHandler),
			})
			changefeedtest.Run(t, changes)
			changefeedtest.Await(t, changes)
			const barriers = 100
			for range barriers {
				if changes.Sync() == 0 {
					t.Fatal("got revision 0, want a revision")
				}
			}
			if few := syncs.Load() < barriers/2; few != (staleness == time.Hour) { // Run makes some round trips
				t.Errorf("MaxStaleness %s: got %d round trips for %d barriers", staleness, syncs.Load(), barriers)
			}
		}
	})
}
