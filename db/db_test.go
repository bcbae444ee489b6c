package db_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct{ name, dsn, want string }{
		{"nothing", "", "not postgres://... or sqlite:PATH"},
		{"another database", "mysql://localhost/x", "not postgres://... or sqlite:PATH"},
		{"no path", "sqlite:", "needs a path"},
		{"a folder", "sqlite:" + t.TempDir(), "does not answer"},
		{"not an address", "postgres://secret@%zz", "not a PostgreSQL address"},
		{"nobody there", "postgres://nobody:secret@127.0.0.1:1/x", "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := db.Open(t.Context(), c.dsn)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestMigrateAtOnce is what happens when replicas start together.
func TestMigrateAtOnce(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			dsn := dsn(t)
			var (
				processes sync.WaitGroup
				mu        sync.Mutex
				applied   []string
			)
			for range 4 {
				database := dbtest.Open(t, dsn)
				processes.Go(func() {
					names, err := database.Migrate(context.Background())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					applied = append(applied, names...)
				})
			}
			processes.Wait()
			if diff := cmp.Diff([]string{"20261123000000_portfolio", "20261124000000_search"}, applied); diff != "" {
				t.Errorf("want each migration once: %s", diff)
			}
			if err := dbtest.Open(t, dsn).CheckSchema(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemaBehind(t *testing.T) {
	for name, dsn := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			if err := dbtest.Open(t, dsn(t)).CheckSchema(t.Context()); !errors.Is(err, db.ErrSchemaBehind) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMigrationRollsBack(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.Exec(t, dsn, "DELETE FROM bun_migrations") // so that the tables are there already
		database := dbtest.Open(t, dsn)
		for range 2 { // the lock is given back
			if _, err := database.Migrate(t.Context()); err == nil {
				t.Fatal("migrated twice")
			}
		}
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (name) VALUES ('still writable')")
	})
}

func TestPortfolioLink(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
		database := dbtest.Open(t, dsn)
		pixels := func(i int) *int { return &i }
		text := func(s string) *string { return &s }
		at := func(text string) db.Time {
			parsed, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			return db.Time{Time: parsed}
		}
		created, updated := at("2026-01-13T10:05:43.296270Z"), at("2026-01-13T10:05:43.296310Z")
		imageID := func(id int64) *int64 { return &id }
		const file = db.MediaPath("core_media/2025/12/02/technology.png")
		for name, want := range map[string]*db.PortfolioLink{
			"no url, description or image": {ID: 10, PortfolioID: 1, Name: "link", CreatedAt: created, UpdatedAt: updated},
			"no width, height, mode or thumbnails": {
				ID: 13, PortfolioID: 1, ImageID: imageID(13), Name: "link", URL: text("https://example.com/"), Description: text(""), CreatedAt: created, UpdatedAt: updated,
				ImageData: &db.Image{ID: 13, Type: "image", Name: "technology", Path: file, Size: 5123, CreatedAt: created, Thumbnails: []*db.Thumbnail{}},
			},
			"no size of a thumbnail": {
				ID: 12, PortfolioID: 1, ImageID: imageID(12), Name: "link", URL: text("https://example.com/"), Description: text(""), CreatedAt: created, UpdatedAt: updated,
				ImageData: &db.Image{
					ID: 12, Type: "image", Name: "technology", Path: file, Size: 5123, Width: pixels(225), Height: pixels(225), Mode: text("P"), CreatedAt: created,
					Thumbnails: []*db.Thumbnail{
						{ID: 1200, ImageID: 12, Path: "core_media/t/null_size.jpg"},
						{ID: 1201, ImageID: 12, Path: "core_media/t/zero.jpg", Size: pixels(0)},
					},
				},
			},
			"extremes": {
				ID: 55, PortfolioID: 1, Name: "link", URL: text("https://example.com/"), Description: text(""),
				CreatedAt: at("0001-01-01T00:00:00Z"), UpdatedAt: at("9999-12-31T23:59:59.999999Z"),
			},
		} {
			t.Run(name, func(t *testing.T) {
				ctx, statements := db.WithCounter(t.Context())
				got, err := database.PortfolioLink(ctx, &want.PortfolioID, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(db.PortfolioLink{})); diff != "" {
					t.Error(diff)
				}
				if statements.Load() != 1 {
					t.Errorf("%d statements, want 1", statements.Load())
				}
			})
		}
		other := int64(2)
		for name, id := range map[string]int64{"missing": 999, "zero": 0, "negative": -4, "of another portfolio": 4} {
			if _, err := database.PortfolioLink(t.Context(), &other, id); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestUsersAndTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		ctx := t.Context()
		user := db.User{Username: "sara", IsActive: true, IsStaff: true, Codes: []int{4242, 7, 7}}
		if err := database.CreateUser(ctx, &user); err != nil {
			t.Fatal(err)
		}
		if err := database.CreateUser(ctx, &db.User{Username: "sara"}); !errors.Is(err, db.ErrConflict) {
			t.Errorf("a second sara: %v", err)
		}
		hash, expires, label := sha256.Sum256([]byte("key")), db.Now(), "CI"
		token := db.Token{KeyHash: hash[:], ExpiresAt: &expires, Label: &label}
		if err := database.CreateToken(ctx, "nobody", &token); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("a token of nobody: %v", err)
		}
		if err := database.CreateToken(ctx, "sara", &token); err != nil {
			t.Fatal(err)
		}
		got, err := database.UserByToken(ctx, hash)
		if err != nil {
			t.Fatal(err)
		}
		want := &db.TokenUser{User: user, TokenID: token.ID, ExpiresAt: &expires}
		want.Codes = []int{7, 4242}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		user.Codes = nil // not listed
		token.User = &user
		tokens, err := database.Tokens(ctx)
		if diff := cmp.Diff([]*db.Token{&token}, tokens); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		revoked, err := database.RevokeToken(ctx, token.ID)
		if diff := cmp.Diff(&token, revoked); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if _, err := database.RevokeToken(ctx, token.ID); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("revoked twice: %v", err)
		}
		if _, err := database.UserByToken(ctx, hash); !errors.Is(err, db.ErrNotFound) {
			t.Errorf("a revoked token: %v", err)
		}
	})
}

func TestImportTokens(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		ctx := t.Context()
		for _, name := range []string{"sara", "omid"} {
			if err := database.CreateUser(ctx, &db.User{Username: name, IsActive: true}); err != nil {
				t.Fatal(err)
			}
		}
		key := func(i int) [32]byte { return sha256.Sum256([]byte{byte(i), byte(i >> 8)}) }
		var tokens []db.ImportedToken
		for i := range 1500 {
			tokens = append(tokens, db.ImportedToken{KeyHash: key(i), Username: "sara"})
		}
		for _, want := range []int{1500, 0} {
			if added, err := database.ImportTokens(ctx, tokens); added != want || err != nil {
				t.Errorf("added %d, %v; want %d", added, err, want)
			}
		}
		for name, bad := range map[string]db.ImportedToken{
			"unknown user":   {KeyHash: key(2000), Username: "nobody"},
			"another user's": {KeyHash: key(3), Username: "omid"},
		} {
			added, err := database.ImportTokens(ctx, []db.ImportedToken{{KeyHash: key(1999), Username: "omid"}, bad})
			failed, ok := errors.AsType[*db.ImportError](err)
			if !ok || failed.Index != 1 || added != 0 {
				t.Errorf("%s: added %d, %v", name, added, err)
			}
			if _, err := database.UserByToken(ctx, key(1999)); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("%s: the token before it was kept", name)
			}
		}
	})
}

func TestLoadIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		user := &db.User{ID: 7, Username: "sara"}
		if err := database.Load(t.Context(), user, user); !errors.Is(err, db.ErrConflict) {
			t.Fatalf("error %v", err)
		}
		if empty, err := database.Empty(t.Context()); !empty || err != nil {
			t.Errorf("empty %v, %v", empty, err)
		}
		if err := database.Load(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		if empty, err := database.Empty(t.Context()); empty || err != nil {
			t.Errorf("empty %v, %v", empty, err)
		}
	})
}

// TestTimesOfOthers reads what people write by hand.
func TestTimesOfOthers(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-13T10:05:43.296270Z":   "2026-01-13T10:05:43.29627Z",
		"2026-01-13 10:05:43.296270":    "2026-01-13T10:05:43.29627Z",
		"2026-01-13 10:05:43":           "2026-01-13T10:05:43Z",
		"2026-01-13T13:35:43+03:30":     "2026-01-13T10:05:43Z",
		"2026-01-13 13:35:43.5+03:30":   "2026-01-13T10:05:43.5Z",
		"2026-01-13T10:05:43.12345678Z": "2026-01-13T10:05:43.123456Z",
	} {
		var got db.Time
		if err := got.Scan(text); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %v", text, got.Format(time.RFC3339Nano), err)
		}
	}
	for _, bad := range []any{"yesterday", 5, nil} {
		if err := new(db.Time).Scan(bad); err == nil {
			t.Errorf("%v is a time", bad)
		}
	}
}

func TestHumanReadableSize(t *testing.T) {
	for size, want := range map[int64]string{
		0: "0.00 B", 5: "5.00 B", 1023: "1023.00 B", 1024: "1.00 KB", 1152: "1.12 KB", 5123: "5.00 KB",
		1048575: "1024.00 KB", 1 << 20: "1.00 MB", 1 << 50: "1024.00 TB", -5000: "-5000.00 B",
	} {
		if got := (&db.Image{Size: size}).HumanReadableSize(); got != want {
			t.Errorf("%d: %s, want %s", size, got, want)
		}
	}
}

// TestGoesAwayAndComesBack cuts the line to PostgreSQL while it is in use.
func TestGoesAwayAndComesBack(t *testing.T) {
	dsn := dbtest.Postgres(t)
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	line, through := dbtest.NewLine(t, dsn)
	database := dbtest.Open(t, through)
	look := func() error {
		_, err := database.PortfolioLink(t.Context(), nil, 4)
		return err
	}
	for range 3 {
		if err := look(); err != nil {
			t.Fatal(err)
		}
		line.Cut()
		if err := look(); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("without the database: %v", err)
		}
		if err := database.CheckSchema(t.Context()); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("schema without the database: %v", err)
		}
		line.Mend()
	}
	if err := look(); err != nil {
		t.Error(err)
	}
}

// TestPgBouncer works behind a pooler that gives each transaction another
// connection, with the setting that the README names.
func TestPgBouncer(t *testing.T) {
	dsn := dbtest.PgBouncer(t, dbtest.EmptyPostgres(t)) + "&default_query_exec_mode=exec"
	if _, err := dbtest.Open(t, dsn).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	database := dbtest.Open(t, dsn)
	var clients sync.WaitGroup
	for client := range 20 {
		clients.Go(func() {
			ctx := context.Background()
			name := fmt.Sprintf("user %d", client)
			if err := database.CreateUser(ctx, &db.User{ID: int64(1000 + client), Username: name, Codes: []int{1}}); err != nil {
				t.Error(err)
			}
			for range 20 {
				if link, err := database.PortfolioLink(ctx, nil, 4); err != nil || link.ID != 4 {
					t.Error(link, err)
				}
				if user, err := database.UserByToken(ctx, sha256.Sum256([]byte("be995b582c8bf952546d3819251020d1ad1b2eb1"))); err != nil || user.Username != "admin" {
					t.Error(user, err)
				}
			}
		})
	}
	clients.Wait()
}

// TestSQLiteFileIsDamaged is the nearest that SQLite comes to going away.
func TestSQLiteFileIsDamaged(t *testing.T) {
	path := t.TempDir() + "/test.db"
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Open(t.Context(), "sqlite:"+path); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}
