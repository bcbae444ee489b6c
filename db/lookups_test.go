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

const brokenLink = 901 // created at a time that Go cannot tell

// lookupCases are links of the fixtures, one that is missing and one that
// cannot be read.
func lookupCases(t *testing.T) (dsn string, ids []int64) {
	t.Helper()
	dsn = dbtest.Postgres(t)
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	dbtest.Exec(t, dsn, fmt.Sprintf(`INSERT INTO portfolio_links (id, portfolio_id, name, created_at) VALUES (%d, 1, 'broken', 'infinity')`, brokenLink))
	return dsn, []int64{4, 10, 12, 13, 55, 4, 999, 0, -4}
}

// answers is what each look-up finds by itself, or together: "" for no error.
func answers(ctx context.Context, database *db.DB, ids []int64) (links []*db.PortfolioLink, errs []string) {
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

// TestLookupsTogether asks for links behind a statement that is under way.
func TestLookupsTogether(t *testing.T) {
	dsn, ids := lookupCases(t)
	for name, ids := range map[string][]int64{
		"one":                        {4},
		"several":                    ids,
		"one is broken":              append(slices.Clone(ids), brokenLink),
		"as many as a statement has": slices.Repeat(ids, 8)[:64],
	} {
		t.Run(name, func(t *testing.T) {
			var wantLinks []*db.PortfolioLink
			var wantErrs []string
			alone := dbtest.Open(t, dsn)
			for _, id := range ids {
				link, err := answers(t.Context(), alone, []int64{id})
				wantLinks, wantErrs = append(wantLinks, link...), append(wantErrs, err...)
			}
			check := func(t *testing.T, links []*db.PortfolioLink, errs []string) {
				t.Helper()
				if diff := cmp.Diff(wantLinks, links, cmpopts.IgnoreUnexported(db.PortfolioLink{})) + cmp.Diff(wantErrs, errs); diff != "" {
					t.Error(diff)
				}
			}
			t.Run("by one statement", func(t *testing.T) {
				links, ok := alone.FetchBatch(ids...)
				if broken := slices.Contains(ids, brokenLink); ok == broken {
					t.Fatalf("read: %v, with a broken link: %v", ok, broken)
				}
				if ok {
					if diff := cmp.Diff(wantLinks, links, cmpopts.IgnoreUnexported(db.PortfolioLink{})); diff != "" {
						t.Error(diff)
					}
				}
			})
			t.Run("once it ends", func(t *testing.T) {
				database := dbtest.Open(t, dsn)
				release := database.HoldLookups(time.Hour)
				if len(ids) < 64 { // so many do not wait for the end
					go func() {
						for database.WaitingLookups() < len(ids) {
							runtime.Gosched()
						}
						release()
					}()
				}
				links, errs := answers(t.Context(), database, ids)
				check(t, links, errs)
			})
			t.Run("while it takes long", func(t *testing.T) {
				database := dbtest.Open(t, dsn)
				defer database.HoldLookups(time.Nanosecond)()
				links, errs := answers(t.Context(), database, ids)
				check(t, links, errs)
			})
		})
	}
}

// TestLookupGivesUp leaves a look-up that waits: the others are answered.
func TestLookupGivesUp(t *testing.T) {
	dsn, ids := lookupCases(t)
	database := dbtest.Open(t, dsn)
	release := database.HoldLookups(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := database.PortfolioLink(ctx, nil, 4)
		left <- err
	}()
	for database.WaitingLookups() < 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	go func() {
		for database.WaitingLookups() < 1+len(ids) {
			runtime.Gosched()
		}
		release()
	}()
	links, errs := answers(t.Context(), database, ids)
	if links[0] == nil || errs[0] != "" {
		t.Error(links[0], errs[0])
	}
}

// TestLookupsAtOnce is what many clients do.
func TestLookupsAtOnce(t *testing.T) {
	dsn, ids := lookupCases(t)
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
							t.Errorf("the broken link: %v", err)
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

// TestLookupsWithoutDatabase cuts the line to PostgreSQL under load.
func TestLookupsWithoutDatabase(t *testing.T) {
	dsn, _ := lookupCases(t)
	line, through := dbtest.NewLine(t, dsn)
	database := dbtest.Open(t, through)
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
	grows := func(count *atomic.Int64) {
		for before := count.Load(); count.Load() == before; {
			runtime.Gosched()
		}
	}
	for range 3 {
		grows(&found)
		line.Cut()
		grows(&failed)
		line.Mend()
	}
	grows(&found)
	stop()
	clients.Wait()
}
