package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestPortfolioLink_ReturnsLinkWithImage(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, "../compat/testdata/fixtures.json", func(t *testing.T, dsn string) {
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
		const file = db.FileKey("core_media/2025/12/02/technology.png")
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
				var statements atomic.Int64
				ctx := db.WithQueryCounter(t.Context(), &statements)
				got, err := database.PortfolioLink(ctx, &want.PortfolioID, want.ID)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(db.PortfolioLink{}, db.Image{})); diff != "" {
					t.Error("-want +got:\n" + diff)
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

const brokenLink = 901 // its created_at cannot be scanned

// loadLookupCases returns ids of links, existing and missing, in a database that
// also contains brokenLink.
func loadLookupCases(t *testing.T) (dsn string, ids []int64) {
	t.Helper()
	dsn = dbtest.LoadedPostgres(t, "../compat/testdata/fixtures.json")
	dbtest.Exec(t, dsn, "ALTER TABLE portfolio_links DROP CONSTRAINT portfolio_links_times")
	dbtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO portfolio_links (id, portfolio_id, name, created_at) VALUES (%d, 1, 'broken', 'infinity')`, brokenLink))
	return dsn, []int64{4, 10, 12, 13, 55, 4, 999, 0, -4}
}

// lookUpAll looks links up concurrently. An empty error text means success.
func lookUpAll(ctx context.Context, database *db.DB, ids []int64) (links []*db.PortfolioLink, errs []string) {
	links, errs = make([]*db.PortfolioLink, len(ids)), make([]string, len(ids))
	var clients sync.WaitGroup
	for i, id := range ids {
		clients.Go(func() {
			link, err := database.PortfolioLink(ctx, nil, id)
			if links[i] = link; err != nil {
				errs[i] = err.Error()
			}
		})
	}
	clients.Wait()
	return links, errs
}

// TestLookups_InBatchesEqualLoneLookups compares lookups in a batch with lone ones.
func TestLookups_InBatchesEqualLoneLookups(t *testing.T) {
	t.Parallel()
	dsn, ids := loadLookupCases(t)
	for name, ids := range map[string][]int64{
		"one link":        {4},
		"several links":   ids,
		"one broken link": append(slices.Clone(ids), brokenLink),
		"a full batch":    slices.Repeat(ids, 8)[:64],
	} {
		t.Run(name, func(t *testing.T) {
			var wantLinks []*db.PortfolioLink
			var wantErrs []string
			alone := dbtest.Open(t, dsn)
			for _, id := range ids {
				link, err := lookUpAll(t.Context(), alone, []int64{id})
				wantLinks, wantErrs = append(wantLinks, link...), append(wantErrs, err...)
			}
			check := func(t *testing.T, links []*db.PortfolioLink, errs []string) {
				t.Helper()
				if diff := cmp.Diff(wantLinks, links, cmpopts.IgnoreUnexported(db.PortfolioLink{}, db.Image{})) + cmp.Diff(wantErrs, errs); diff != "" {
					t.Error("-want +got:\n" + diff)
				}
			}
			t.Run("directly", func(t *testing.T) {
				links, ok := alone.FetchBatch(ids...)
				if broken := slices.Contains(ids, brokenLink); ok == broken {
					t.Fatalf("success: %v, with a broken link: %v", ok, broken)
				}
				if ok {
					if diff := cmp.Diff(wantLinks, links, cmpopts.IgnoreUnexported(db.PortfolioLink{}, db.Image{})); diff != "" {
						t.Error("-want +got:\n" + diff)
					}
				}
			})
			t.Run("after the lookup in flight", func(t *testing.T) {
				database := dbtest.Open(t, dsn)
				release := database.HoldLookups(time.Hour)
				if len(ids) < 64 { // a full batch does not wait
					go func() {
						for database.WaitingLookups() < len(ids) {
							runtime.Gosched()
						}
						release()
					}()
				}
				links, errs := lookUpAll(t.Context(), database, ids)
				check(t, links, errs)
			})
			t.Run("after the maximum wait", func(t *testing.T) {
				database := dbtest.Open(t, dsn)
				defer database.HoldLookups(time.Nanosecond)()
				links, errs := lookUpAll(t.Context(), database, ids)
				check(t, links, errs)
			})
		})
	}
}

// TestLookups_SucceedIfOneOfBatchIsCanceled checks that other lookups succeed if one that waits for
// the same batch is canceled.
func TestLookups_SucceedIfOneOfBatchIsCanceled(t *testing.T) {
	t.Parallel()
	dsn, ids := loadLookupCases(t)
	database := dbtest.Open(t, dsn)
	release := database.HoldLookups(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	canceled := make(chan error)
	go func() {
		_, err := database.PortfolioLink(ctx, nil, 4)
		canceled <- err
	}()
	for database.WaitingLookups() < 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-canceled; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() {
		for database.WaitingLookups() < 1+len(ids) {
			runtime.Gosched()
		}
		release()
	}()
	links, errs := lookUpAll(t.Context(), database, ids)
	if links[0] == nil || errs[0] != "" {
		t.Error(links[0], errs[0])
	}
}

func TestLookups_RunConcurrently(t *testing.T) {
	t.Parallel()
	dsn, ids := loadLookupCases(t)
	database := dbtest.Open(t, dsn)
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for range 20 {
				for _, id := range append(ids, brokenLink) {
					link, err := database.PortfolioLink(t.Context(), nil, id)
					switch {
					case id == brokenLink:
						if err == nil || errors.Is(err, db.ErrNotFound) {
							t.Errorf("broken link: %v", err)
						}
					case id < 1 || id == 999:
						if !errors.Is(err, db.ErrNotFound) {
							t.Errorf("%d: %v", id, err)
						}
					case err != nil || link.ID != id:
						t.Errorf("%d: %v, %v", id, link, err)
					}
				}
			}
		})
	}
	clients.Wait()
}

// TestLookups_FailOnlyWhileDisconnected disconnects PostgreSQL under load.
func TestLookups_FailOnlyWhileDisconnected(t *testing.T) {
	t.Parallel()
	dsn, _ := loadLookupCases(t)
	proxy, proxied := dbtest.NewProxy(t, dsn)
	database := dbtest.Open(t, proxied)
	var found, failed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for ctx.Err() == nil {
				switch link, err := database.PortfolioLink(t.Context(), nil, 4); {
				case err == nil && link.ID == 4:
					found.Add(1)
				case errors.Is(err, db.ErrUnavailable):
					failed.Add(1)
				default:
					t.Errorf("%v, %v", link, err)
				}
			}
		})
	}
	awaitGrowth := func(count *atomic.Int64) {
		for before := count.Load(); count.Load() == before; {
			runtime.Gosched()
		}
	}
	for range 3 {
		awaitGrowth(&found)
		proxy.Disconnect()
		awaitGrowth(&failed)
		proxy.Reconnect()
	}
	awaitGrowth(&found)
	stop()
	clients.Wait()
}
