package legacyimport_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"portfolio/compat"
	"portfolio/compat/compattest"
	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/legacyimport"
	"portfolio/internal/legacyimport/legacytest"
	"portfolio/internal/storage"
)

// options returns the options that import a database.
func options(t *testing.T, dsn string) legacyimport.Options {
	t.Helper()
	o := legacyimport.Options{Timeout: time.Minute, MaxFile: 1 << 20}
	var err error
	if o.Mapping, err = legacyimport.ParseMapping(""); err != nil {
		t.Fatal(err)
	}
	if err := o.Database.UnmarshalText([]byte(dsn)); err != nil {
		t.Fatal(err)
	}
	return o
}

// target is an installation.
type target struct {
	t        *testing.T
	database *db.DB
	store    storage.Store
	changes  int
}

func newTarget(t *testing.T, database *db.DB) *target {
	t.Helper()
	store, err := storage.Open(t.Context(), "file:"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return &target{t: t, database: database, store: store}
}

// run runs the command and returns the report, with the error if there is one.
func (m *target) run(options legacyimport.Options) (*legacyimport.Report, string) {
	m.t.Helper()
	if err := options.Check(); err != nil {
		m.t.Fatal(err)
	}
	report, err := legacyimport.Run(m.t.Context(), legacyimport.Target{
		Database: m.database, Store: m.store, Log: slog.New(slog.DiscardHandler), Changed: func() { m.changes++ },
	}, options, new(bytes.Buffer), false)
	var text strings.Builder
	if writeErr := errors.Join(report.Write(&text), report.WriteJSON(new(bytes.Buffer))); writeErr != nil {
		m.t.Fatal(writeErr)
	}
	if err != nil {
		text.WriteString("error: " + err.Error() + "\n")
	}
	return report, regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text.String(), "HOST")
}

// files lists the files in the store.
func (m *target) files() string {
	m.t.Helper()
	var keys []string
	for file, err := range m.store.Files(m.t.Context()) {
		if err != nil {
			m.t.Fatal(err)
		}
		keys = append(keys, file.Key)
	}
	return strings.Join(keys, " ")
}

// TestImport_RespondsAsRecorded imports the recorded rows, and replays the recorded requests.
func TestImport_RespondsAsRecorded(t *testing.T) {
	t.Parallel()
	withoutFiles := func(report *legacyimport.Report) string {
		report.Problems = slices.DeleteFunc(report.Problems, func(problem legacyimport.Problem) bool { return problem.State == legacyimport.Missing })
		var text strings.Builder
		if err := report.Write(&text); err != nil {
			t.Error(err)
		}
		return text.String()
	}
	golden := graphtest.OpenGolden(t)
	legacy := legacytest.Tables(t)
	legacytest.LoadFile(t, legacy, "../../compat/testdata/fixtures.json")
	cases := compattest.Cases(t, "../../compat/testdata/golden.jsonl")
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		m, o := newTarget(t, database), options(t, legacy)
		o.DryRun = true
		report, _ := m.run(o)
		golden.CheckText(t, "dry run", withoutFiles(report))
		if empty, err := database.Empty(t.Context()); err != nil || !empty || m.changes != 0 {
			t.Errorf("after a dry run: got empty %t, %v, %d changes, want an empty database", empty, err, m.changes)
		}
		o.DryRun = false
		report, _ = m.run(o)
		golden.CheckText(t, "first run", withoutFiles(report))
		report, _ = m.run(o)
		golden.CheckText(t, "second run", withoutFiles(report))
		if m.changes != 1 {
			t.Errorf("got %d runs with changes, want 1", m.changes)
		}
		resolver := &graph.Resolver{DB: database}
		server := httptest.NewServer(compat.New(resolver.Query(), auth.New(database, nil, auth.Options{Timeout: time.Minute, MaxAge: time.Minute}), compat.Options{
			Admission: admission.New(admission.Options{Lookups: 256, Connections: 4, MaxResponse: 8 << 20}), Timeout: time.Minute, Log: slog.New(slog.DiscardHandler),
		}))
		t.Cleanup(server.Close)
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { compattest.Replay(t, server.Listener.Addr().String(), c) })
		}
	})
}

// step changes rows and runs the import.
type step struct {
	name          string
	legacy, local string // SQL statements, separated by semicolons
	options       func(*legacyimport.Options)
}

const later, earlier = "'2026-03-01T00:00:00Z'", "'2026-02-01T00:00:00Z'"

// steps run one after the other.
var steps = []step{
	{name: "first", legacy: `
		INSERT INTO auth_user (id, username, is_staff) VALUES (1, 'admin', true), (2, 'sara', true), (3, 'omid', false), (4, 'four', false);
		INSERT INTO core_userpermission (user_id, code) VALUES (2, 4242), (2, 4242), (2, 7);
		INSERT INTO authtoken_token (key, user_id) VALUES ('1111111111111111111111111111111111111111', 1), ('2222222222222222222222222222222222222222', 2), ('short', 3);
		INSERT INTO core_portfolio (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three');
		INSERT INTO core_media (id, name, f) VALUES (1, 'one', ''), (2, 'two', ''), (3, 'three', ''), (4, 'unused', '');
		INSERT INTO core_thumbnail (id, media_id, f) VALUES (1, 1, ''), (2, 2, '');
		INSERT INTO core_portfoliolink (id, portfolio_id, image_id, name) SELECT id, 1, 1 + id % 3, 'link' FROM generate_series(1, 12) AS id`},
	{name: "changed in the legacy system", legacy: `
		UPDATE core_portfoliolink SET name = 'changed', updated_at = ` + later + ` WHERE id = 1;
		UPDATE core_portfoliolink SET portfolio_id = 2 WHERE id = 2;
		UPDATE core_media SET name = 'changed' WHERE id = 2;
		UPDATE core_thumbnail SET f = '', size = 64 WHERE id = 2;
		UPDATE auth_user SET is_active = false WHERE id = 2;
		DELETE FROM core_userpermission WHERE code = 7`},
	{name: "changed locally", local: `
		UPDATE portfolio_links SET name = 'here', updated_at = ` + later + ` WHERE id = 3;
		UPDATE portfolios SET name = 'here', updated_at = ` + later + ` WHERE id = 3;
		UPDATE images SET name = 'here' WHERE id = 4;
		UPDATE images SET alt = 'only here' WHERE id = 1;
		UPDATE users SET is_active = false WHERE id = 3;
		INSERT INTO user_permissions (user_id, code) VALUES (1, 5)`},
	{name: "changed on both sides, later in the legacy system", legacy: `UPDATE core_portfoliolink SET name = 'there', updated_at = '2026-04-01T00:00:00Z' WHERE id = 3`},
	{name: "forced", options: func(o *legacyimport.Options) { o.Force = true }},
	{name: "deleted locally", local: `
		DELETE FROM portfolio_links WHERE id = 4;
		DELETE FROM tokens WHERE user_id = 1;
		DELETE FROM images WHERE id = 4;
		DELETE FROM users WHERE id = 4`},
	{name: "deleted in the legacy system", legacy: `
		DELETE FROM core_portfoliolink WHERE id IN (5, 6);
		DELETE FROM authtoken_token WHERE user_id = 2;
		DELETE FROM core_media WHERE id IN (3, 4);
		DELETE FROM core_portfolio WHERE id = 3;
		DELETE FROM auth_user WHERE id IN (2, 3, 4)`, local: `
		UPDATE portfolio_links SET name = 'here', updated_at = ` + later + ` WHERE id = 6;
		INSERT INTO tokens (user_id, key_hash) VALUES (3, 'of a new token')`},
	{name: "deleted in the legacy system, dry run", options: func(o *legacyimport.Options) { o.Delete, o.DryRun = true, true }},
	{name: "deleted in the legacy system, and locally", options: func(o *legacyimport.Options) { o.Delete = true }},
	{name: "IDs are taken", legacy: `
		INSERT INTO auth_user (id, username, date_joined) VALUES (20, 'twenty', ` + earlier + `), (21, 'taken', ` + earlier + `);
		INSERT INTO authtoken_token (key, user_id) VALUES ('3333333333333333333333333333333333333333', 20);
		INSERT INTO core_portfolio (id, name) VALUES (20, 'there');
		INSERT INTO core_media (id, name, f) VALUES (20, 'there', ''), (21, 'there', '');
		INSERT INTO core_thumbnail (id, media_id, f) VALUES (21, 21, '');
		INSERT INTO core_portfoliolink (id, portfolio_id, image_id, name) VALUES (20, 1, NULL, 'there'), (21, 20, NULL, 'there'), (22, 1, 20, 'there'), (23, 1, 21, 'there')`, local: `
		INSERT INTO users (id, username) VALUES (20, 'other'), (25, 'taken');
		INSERT INTO portfolios (id, name) VALUES (20, 'here');
		INSERT INTO images (id, type, name, path, size, source_hash) VALUES (20, 'image', 'here', '', 1, 'uploaded'), (25, 'image', 'here', '', 1, NULL);
		INSERT INTO thumbnails (id, image_id, path) VALUES (21, 25, '');
		INSERT INTO portfolio_links (id, portfolio_id, name) VALUES (20, 20, 'here')`},
	{name: "IDs are taken, forced", options: func(o *legacyimport.Options) { o.Force = true }},
	{name: "loaded by other means", legacy: `
		DELETE FROM core_portfoliolink WHERE id > 12; DELETE FROM core_media WHERE id > 12; DELETE FROM core_portfolio WHERE id > 12; DELETE FROM auth_user WHERE id > 12;
		INSERT INTO core_portfoliolink (id, portfolio_id, name, updated_at) VALUES (30, 1, 'equal', ` + earlier + `), (31, 1, 'later there', ` + later + `), (32, 1, 'later here', ` + earlier + `);
		INSERT INTO core_media (id, name, f) VALUES (30, 'equal', ''), (31, 'there', '')`, local: `
		INSERT INTO portfolio_links (id, portfolio_id, name, created_at, updated_at) VALUES
			(30, 1, 'equal', '2026-01-13T10:05:43.296270Z', ` + earlier + `), (31, 1, 'here', '2026-01-13T10:05:43.296270Z', ` + earlier + `), (32, 1, 'here', '2026-01-13T10:05:43.296270Z', ` + later + `);
		INSERT INTO images (id, type, name, path, size, created_at) VALUES (30, 'image', 'equal', '', 1, '2026-01-13T10:05:43.296270Z'), (31, 'image', 'here', '', 1, '2026-01-13T10:05:43.296270Z')`},
	{name: "cannot be stored", legacy: `
		INSERT INTO core_portfoliolink (id, portfolio_id, name, updated_at) VALUES (0, 1, 'id', now()), (40, 1, 'infinity', 'infinity'), (41, 1, 'BC', '0001-01-01 00:00:00 BC');
		INSERT INTO core_media (id, name, f, width) VALUES (40, 'wide', '', 5000000000);
		INSERT INTO core_portfoliolink (id, portfolio_id, image_id, name) VALUES (42, 1, 40, 'of a wide image')`},
}

// TestImport_SkipsRowsChangedLocally checks the results of rows that changed in one system or in both.
func TestImport_SkipsRowsChangedLocally(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		m, legacy := newTarget(t, dbtest.Open(t, dsn)), legacytest.Tables(t)
		for _, step := range steps {
			for statement := range strings.SplitSeq(step.legacy, ";\n") {
				if strings.TrimSpace(statement) != "" {
					dbtest.Exec(t, legacy, statement)
				}
			}
			for statement := range strings.SplitSeq(step.local, ";\n") {
				if strings.TrimSpace(statement) != "" {
					dbtest.Exec(t, dsn, statement)
				}
			}
			o := options(t, legacy)
			if step.options != nil {
				step.options(&o)
			}
			_, text := m.run(o)
			golden.CheckText(t, step.name, text)
		}
	})
}

// TestImport_ReportsCancellation checks that a canceled run ends with a report.
func TestImport_ReportsCancellation(t *testing.T) {
	t.Parallel()
	legacy := legacytest.Tables(t)
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		m := newTarget(t, database)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		report, err := legacyimport.Run(ctx, legacyimport.Target{Database: database, Store: m.store, Log: slog.New(slog.DiscardHandler), Changed: func() {}}, options(t, legacy), new(bytes.Buffer), false)
		if !errors.Is(err, context.Canceled) || report.Complete || report.Equal {
			t.Errorf("got the report %+v, %v, want an incomplete one and %v", report, err, context.Canceled)
		}
	})
}

// TestImport_ReadsMappedTables imports a database with other names. It reports databases that do
// not fit their mapping.
func TestImport_ReadsMappedTables(t *testing.T) {
	t.Parallel()
	legacy := legacytest.Tables(t)
	for _, statement := range []string{
		"INSERT INTO auth_user (id, username, is_staff) VALUES (1, 'sara', true)",
		"CREATE TABLE auth_permission (id integer PRIMARY KEY, codename text)",
		"INSERT INTO auth_permission VALUES (1, 'view_link'), (2, '4242'), (3, '99999999999')",
		"CREATE TABLE auth_user_user_permissions (id integer PRIMARY KEY, user_id integer, permission_id integer)",
		"INSERT INTO auth_user_user_permissions VALUES (1, 1, 1), (2, 1, 2), (3, 1, 3)",
		`CREATE SCHEMA other; CREATE TABLE other."Links" AS SELECT * FROM core_portfoliolink; ALTER TABLE other."Links" RENAME name TO "the title"`,
		"INSERT INTO core_portfolio (id, name) VALUES (1, 'one')",
		"INSERT INTO core_media (id, name, f) VALUES (1, '', 'a.png')",
		`INSERT INTO other."Links" (id, portfolio_id, image_id, "the title", created_at, updated_at) VALUES (1, 1, 1, 'title', now(), now())`,
	} {
		dbtest.Exec(t, legacy, statement)
	}
	mapping, err := legacyimport.ParseMapping("permissions = auth_user_user_permissions\npermissions.code = permission_id -> auth_permission.codename\n" +
		"links = other.Links\nlinks.name = the title\nlinks.url =\nimages.name = 'always'\nimages.created_at =\ntokens =")
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		m, o := newTarget(t, database), options(t, legacy)
		o.Mapping = mapping
		m.run(o)
		users, err := database.AllUsers(t.Context())
		if err != nil || len(users) != 1 || !slices.Equal(users[0].Codes, []int{4242}) {
			t.Errorf("got users %+v, %v, want one with the code 4242", users, err)
		}
		link, err := database.PortfolioLink(t.Context(), nil, 1)
		if err != nil || link.Name != "title" || link.ImageData.Name != "always" || !link.ImageData.CreatedAt.Equal(link.CreatedAt.Time) {
			t.Errorf("got link %+v, %v, want the name title and an image of the same time", link, err)
		}
	})
	m := newTarget(t, dbtest.Open(t, dbtest.SQLite(t)))
	for _, c := range []struct{ dsn, mapping, want string }{
		{dbtest.EmptyPostgres(t), "", `error: the mapping does not match the legacy database: users: relation "auth_user" does not exist; print the mapping with --print-mapping, correct it, and pass it with --mapping`},
		{legacy, "links.name = title", `error: the mapping does not match the legacy database: links: column t.title does not exist; print the mapping with --print-mapping, correct it, and pass it with --mapping`},
		{legacy, "links.name = created_at\nlinks.created_at = name", `error: the legacy database: invalid input syntax for type timestamp with time zone: "x"`},
		{"postgres://u:secret@127.0.0.1:1/d", "", "error: connect to the legacy database postgres://127.0.0.1/d: "},
	} {
		dbtest.Exec(t, legacy, "INSERT INTO core_portfoliolink (id, portfolio_id, name) VALUES (1, 1, 'x') ON CONFLICT DO NOTHING")
		o := options(t, c.dsn)
		if o.Mapping, err = legacyimport.ParseMapping(c.mapping); err != nil {
			t.Fatal(err)
		}
		if _, text := m.run(o); !strings.Contains(text, c.want) || strings.Contains(text, "secret") {
			t.Errorf("got the report %s, want %q without the password", text, c.want)
		}
	}
}

// TestImport_KeepsRowsOfUnmappedTables checks that the import deletes no rows of tables that the
// mapping leaves out.
func TestImport_KeepsRowsOfUnmappedTables(t *testing.T) {
	t.Parallel()
	legacy := legacytest.Documented(t)
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		m, o := newTarget(t, database), options(t, legacy)
		m.run(o)
		var err error
		if o.Mapping, err = legacyimport.ParseMapping("users =\npermissions =\ntokens ="); err != nil {
			t.Fatal(err)
		}
		o.Delete = true
		report, text := m.run(o)
		tokens, err := database.AllTokens(t.Context())
		if err != nil || len(tokens) != 1 || report.Users != (legacyimport.Counts{}) || report.Tokens != (legacyimport.Counts{}) {
			t.Errorf("got %d tokens, %v, and the report %s, want 1 token and neither users nor tokens in the report", len(tokens), err, text)
		}
	})
}
