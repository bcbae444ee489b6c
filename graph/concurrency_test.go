package graph_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// concurrently calls f 100 times, by 20 goroutines: more would wait for their
// slots longer than a request may on a busy machine.
func concurrently(f func(i int)) {
	var calls errgroup.Group
	calls.SetLimit(20)
	for i := range 100 {
		calls.Go(func() error {
			f(i)
			return nil
		})
	}
	_ = calls.Wait()
}

const updateDescription = `mutation($i: UpdatePortfolioLinkInput!) {done: updatePortfolioLink(input: $i) {portfolioLink {description updatedAt}}}`

type updateResult struct {
	Done *struct {
		PortfolioLink struct{ Description, UpdatedAt string }
	}
}

// TestUpdates_AllApplyConcurrently checks that every concurrent update applies.
func TestUpdates_AllApplyConcurrently(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var mu sync.Mutex
		last, times := updateResult{}, map[string]bool{}
		concurrently(func(i int) {
			var result updateResult
			if code := mutate(t, server, updateDescription, object{"i": object{"id": 4, "description": strconv.Itoa(i)}}, &result); code != "" {
				t.Errorf("writer %d: %s", i, code)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			times[result.Done.PortfolioLink.UpdatedAt] = true
			if last.Done == nil || last.Done.PortfolioLink.UpdatedAt < result.Done.PortfolioLink.UpdatedAt {
				last = result
			}
		})
		if len(times) != 100 {
			t.Errorf("updatedAt had %d values", len(times))
		}
		_, body := graphtest.Query(t, server, admin, `{portfolioLink(id:4){description updatedAt}}`, nil)
		want := fmt.Sprintf(`{"data":{"portfolioLink":{"description":%q,"updatedAt":%q}}}`, last.Done.PortfolioLink.Description, last.Done.PortfolioLink.UpdatedAt)
		if body != want {
			t.Errorf("%s, want %s", body, want)
		}
	})
}

// TestUpdates_ConflictIfExpectedTimeDiffers appends to a description with
// expectedUpdatedAt, retrying on conflicts, and checks that every text is stored.
func TestUpdates_ConflictIfExpectedTimeDiffers(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		const read = `{done: viewer{id} link: portfolioLink(id:10){description updatedAt}}`
		concurrently(func(i int) {
			for {
				var current struct {
					Link struct {
						Description *string
						UpdatedAt   string
					}
				}
				mutate(t, server, read, nil, &current)
				description := fmt.Sprintf("[%d]", i)
				if current.Link.Description != nil {
					description += *current.Link.Description
				}
				input := object{"id": 10, "description": description, "expectedUpdatedAt": current.Link.UpdatedAt}
				code := mutate(t, server, updateDescription, object{"i": input}, &updateResult{})
				if code != "CONFLICT" {
					if code != "" {
						t.Errorf("writer %d: %s", i, code)
					}
					return
				}
			}
		})
		_, body := graphtest.Query(t, server, admin, `{portfolioLink(id:10){description}}`, nil)
		for i := range 100 {
			if strings.Count(body, fmt.Sprintf("[%d]", i)) != 1 {
				t.Errorf("%d is not exactly once in %s", i, body)
			}
		}
	})
}

// TestMoves_BetweenDeletedPortfolios moves links between portfolios while clients delete
// the portfolios.
func TestMoves_BetweenDeletedPortfolios(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) SELECT 1000 + id, 'x' FROM images WHERE id < 200")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name) SELECT 1000 + id, 1000 + id, 'x' FROM images WHERE id < 200")
		server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		concurrently(func(i int) {
			id, other := 1100+i/4%16, 1100+(i/4+1)%16
			selection, input := "{portfolioLink {id}}", object{"id": id, "portfolioId": other}
			field := "updatePortfolioLink"
			if i%4 == 3 {
				field, selection, input = "deletePortfolio", "{deletedLinkIds}", object{"id": id}
			}
			switch code := mutate(t, server, "mutation($i: "+inputType(field)+"!) {"+field+"(input: $i) "+selection+"}", object{"i": input}, nil); code {
			case "", "NOT_FOUND", "BAD_USER_INPUT":
			default:
				t.Errorf("%s %v: %s", field, input, code)
			}
		})
	})
}

// TestCreates_SkipLoadedIDs checks that rows are created although rows
// with the next IDs of the sequences have been loaded.
func TestCreates_SkipLoadedIDs(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var mu sync.Mutex
		ids := map[string]bool{}
		concurrently(func(i int) {
			var result struct {
				P struct{ Portfolio struct{ ID string } }
				L struct{ PortfolioLink struct{ ID string } }
				U struct{ User struct{ ID string } }
				T struct{ Token struct{ ID string } }
			}
			name := fmt.Sprintf("writer %d", i)
			code := mutate(t, server, `mutation($n: String!) {
				p: createPortfolio(input: {name: $n}) {portfolio {id}}
				l: createPortfolioLink(input: {portfolioId: 1, name: $n}) {portfolioLink {id}}
				u: createUser(input: {username: $n}) {user {id}}
				t: createToken(input: {username: $n}) {token {id}}
			}`, object{"n": name}, &result)
			if code != "" {
				t.Errorf("%s: %s", name, code)
			}
			mu.Lock()
			defer mu.Unlock()
			ids["p"+result.P.Portfolio.ID], ids["l"+result.L.PortfolioLink.ID], ids["u"+result.U.User.ID], ids["t"+result.T.Token.ID] = true, true, true, true
		})
		if len(ids) != 400 {
			t.Errorf("%d ids", len(ids))
		}
	})
}

// TestMoves_KeepPositionsDistinct moves links, adds links and reads lists
// concurrently. All links exist, and their positions differ.
func TestMoves_KeepPositionsDistinct(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1000, 'x')")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name) SELECT 1000 + id, 1000, 'x' FROM images WHERE id BETWEEN 100 AND 119")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name) SELECT 2000 + id, 1, 'x' FROM images WHERE id BETWEEN 100 AND 119")
		server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		concurrently(func(i int) {
			field, input := "movePortfolioLink", object{"id": 1100 + i%20, "afterId": 1100 + (i%20+1+i/20)%20}
			switch i % 5 {
			case 3: // in portfolios of different orders
				links := []object{{"portfolioId": 1000, "name": "x"}, {"portfolioId": 1, "name": "x"}, {"portfolioId": 1000, "name": "x"}}
				field, input = "createPortfolioLinks", object{"links": slices.Delete(links, i/5%2*2, i/5%2*2+1)}
			case 4:
				field, input = "updatePortfolioLink", object{"id": 2100 + i/5, "portfolioId": 1000}
			}
			if code := mutate(t, server, "mutation($i: "+inputType(field)+"!) {"+field+"(input: $i) {__typename}}", object{"i": input}, nil); code != "" {
				t.Errorf("%s %v: %s", field, input, code)
			}
			if i%10 == 0 {
				checkPositions(t, server, 20)
			}
		})
		checkPositions(t, server, 60)
	})
}

// checkPositions checks that the links of portfolio 1000 are listed by ascending
// positions, forward and backward, and that there are at least so many.
func checkPositions(t *testing.T, server *httptest.Server, atLeast int) {
	t.Helper()
	var result struct {
		Portfolio struct {
			Forward, Backward struct{ Nodes []entry }
		}
	}
	mutate(t, server, `{portfolio(id: 1000) {forward: links(first: 100, orderBy: {field: POSITION}) {nodes {id position}}
		backward: links(last: 100, orderBy: {field: POSITION}) {nodes {id position}}}}`, nil, &result)
	for _, list := range []struct{ Nodes []entry }{result.Portfolio.Forward, result.Portfolio.Backward} {
		ids := map[string]bool{}
		for i, link := range list.Nodes {
			ids[link.ID] = true
			if i > 0 && link.Position <= list.Nodes[i-1].Position {
				t.Errorf("link %s at %v follows one at %v", link.ID, link.Position, list.Nodes[i-1].Position)
			}
		}
		if len(ids) < atLeast || len(ids) != len(list.Nodes) {
			t.Errorf("%d links, %d ids", len(list.Nodes), len(ids))
		}
	}
}
