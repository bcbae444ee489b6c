package graph_test

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// tryTo posts a mutation and returns the code of its error, or reads the
// answer.
func tryTo(t *testing.T, server *httptest.Server, mutation string, variables map[string]any, into any) (code string) {
	t.Helper()
	response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, mutation, variables)
	status := response.StatusCode
	if status != 200 {
		t.Errorf("%d %s", status, body)
	}
	var answer struct {
		Data   any
		Errors []struct {
			Extensions struct{ Code string }
		}
	}
	answer.Data = into
	unmarshal(t, body, &answer)
	if len(answer.Errors) > 0 {
		return answer.Errors[0].Extensions.Code
	}
	return ""
}

// atOnce runs the same 100 times and waits.
func atOnce(do func(i int)) {
	var writers sync.WaitGroup
	for i := range 100 {
		writers.Go(func() { do(i) })
	}
	writers.Wait()
}

const rewrite = `mutation($i: UpdatePortfolioLinkInput!) {done: updatePortfolioLink(input: $i) {portfolioLink {description updatedAt}}}`

type rewritten struct {
	Done *struct {
		PortfolioLink struct{ Description, UpdatedAt string }
	}
}

// TestWritersAtOnce: every write is done, one after the other.
func TestWritersAtOnce(t *testing.T) {
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var mu sync.Mutex
		last, times := rewritten{}, map[string]bool{}
		atOnce(func(i int) {
			var answer rewritten
			if code := tryTo(t, server, rewrite, map[string]any{"i": map[string]any{"id": 4, "description": strconv.Itoa(i)}}, &answer); code != "" {
				t.Errorf("writer %d: %s", i, code)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			times[answer.Done.PortfolioLink.UpdatedAt] = true
			if last.Done == nil || last.Done.PortfolioLink.UpdatedAt < answer.Done.PortfolioLink.UpdatedAt {
				last = answer
			}
		})
		if len(times) != 100 {
			t.Errorf("updatedAt had %d values", len(times))
		}
		_, body := graphtest.Query(t, server, "Token "+graphtest.Admin, `{portfolioLink(id:4){description updatedAt}}`, nil)
		want := fmt.Sprintf(`{"data":{"portfolioLink":{"description":%q,"updatedAt":%q}}}`, last.Done.PortfolioLink.Description, last.Done.PortfolioLink.UpdatedAt)
		if body != want {
			t.Errorf("%s, want %s", body, want)
		}
	})
}

// TestCarefulWritersAtOnce: each adds to what it read, and begins again if
// that was changed meanwhile. Nothing that was added is lost.
func TestCarefulWritersAtOnce(t *testing.T) {
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		const read = `{done: viewer{id} link: portfolioLink(id:10){description updatedAt}}`
		atOnce(func(i int) {
			for {
				var seen struct {
					Link struct {
						Description *string
						UpdatedAt   string
					}
				}
				tryTo(t, server, read, nil, &seen)
				description := fmt.Sprintf("[%d]", i)
				if seen.Link.Description != nil {
					description += *seen.Link.Description
				}
				code := tryTo(t, server, rewrite, map[string]any{"i": map[string]any{"id": 10, "description": description, "expectedUpdatedAt": seen.Link.UpdatedAt}}, &rewritten{})
				if code != "CONFLICT" {
					if code != "" {
						t.Errorf("writer %d: %s", i, code)
					}
					return
				}
			}
		})
		_, body := graphtest.Query(t, server, "Token "+graphtest.Admin, `{portfolioLink(id:10){description}}`, nil)
		for i := range 100 {
			if strings.Count(body, fmt.Sprintf("[%d]", i)) != 1 {
				t.Errorf("%d is not once in %s", i, body)
			}
		}
	})
}

// TestMoversAtOnce moves links between portfolios that are being deleted.
func TestMoversAtOnce(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, recorded)
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) SELECT 1000 + id, 'x' FROM images WHERE id < 200")
		dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name) SELECT 1000 + id, 1000 + id, 'x' FROM images WHERE id < 200")
		server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		atOnce(func(i int) {
			id, other := 1100+i/4%16, 1100+(i/4+1)%16
			mutation, input := "updatePortfolioLink(input: $i) {portfolioLink {id}}", map[string]any{"id": id, "portfolioId": other}
			kind := "UpdatePortfolioLinkInput"
			if i%4 == 3 {
				mutation, kind, input = "deletePortfolio(input: $i) {deletedLinkIds}", "DeletePortfolioInput", map[string]any{"id": id}
			}
			switch code := tryTo(t, server, "mutation($i: "+kind+"!) {"+mutation+"}", map[string]any{"i": input}, nil); code {
			case "", "NOT_FOUND", "BAD_USER_INPUT":
			default:
				t.Errorf("%s %v: %s", mutation, input, code)
			}
		})
	})
}

// TestCreateBesideLoadedRows: rows that were loaded with ids do not stand in
// the way, not even of many at once.
func TestCreateBesideLoadedRows(t *testing.T) {
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var mu sync.Mutex
		ids := map[string]bool{}
		atOnce(func(i int) {
			var answer struct {
				P struct{ Portfolio struct{ ID string } }
				L struct{ PortfolioLink struct{ ID string } }
				U struct{ User struct{ ID string } }
				T struct{ Token struct{ ID string } }
			}
			name := fmt.Sprintf("writer %d", i)
			code := tryTo(t, server, `mutation($n: String!) {
				p: createPortfolio(input: {name: $n}) {portfolio {id}}
				l: createPortfolioLink(input: {portfolioId: 1, name: $n}) {portfolioLink {id}}
				u: createUser(input: {username: $n}) {user {id}}
				t: createToken(input: {username: $n}) {token {id}}
			}`, map[string]any{"n": name}, &answer)
			if code != "" {
				t.Errorf("%s: %s", name, code)
			}
			mu.Lock()
			defer mu.Unlock()
			ids["p"+answer.P.Portfolio.ID], ids["l"+answer.L.PortfolioLink.ID], ids["u"+answer.U.User.ID], ids["t"+answer.T.Token.ID] = true, true, true, true
		})
		if len(ids) != 400 {
			t.Errorf("%d ids", len(ids))
		}
	})
}
