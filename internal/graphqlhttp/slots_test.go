package graphqlhttp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
)

// TestHTTP_ExaminesNothingWithoutSlot checks that a request needs a slot before it is decoded.
func TestHTTP_ExaminesNothingWithoutSlot(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		t.Parallel()
		server := graphtest.Serve(t, database, func(o *graphtest.Options) {
			o.Admission.Lookups = admission.NewLimiter(0, 0, time.Minute)
		})
		for _, c := range []httpCase{
			{name: "valid query", body: typename},
			{name: "invalid query", body: unknownField},
			{name: "malformed JSON", body: "x"},
		} {
			checkHTTP(t, server, golden, c)
		}
	})
}

// TestExecutor_HasSlotsForEachKind checks that requests of one kind run while another kind has no
// slot left.
func TestExecutor_HasSlotsForEachKind(t *testing.T) {
	t.Parallel()
	none := admission.NewLimiter(0, 0, time.Minute)
	const (
		lookup = `{portfolioLink(id:4){name imageData{thumbnails{id}}}}`
		page   = `{portfolioLinks(first:100){nodes{id name imageData{id thumbnails{id url}}}}}`
		search = `{portfolioLinks(filter:{search:"x"}){nodes{id}}}`
		count  = `{portfolioLinks{totalCount}}`
		nested = `{portfolios(first:60){nodes{links(first:20){nodes{id name}}}}}`
		write  = `mutation{updatePortfolioLink(input:{id:4}){portfolioLink{id}}}`
	)
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Admission.Heavy, o.Admission.Uploads = none, none })
		for query, want := range map[string]int{lookup: 200, page: 200, write: 200, search: 503, count: 503, nested: 503} {
			response, body := graphtest.Query(t, server, admin, query, nil)
			if busy := strings.Contains(body, "The server is busy."); response.StatusCode != want || busy != (want == 503) {
				t.Errorf("%s: %d %.300s", query, response.StatusCode, body)
			}
		}
	})
}

// TestExecutor_MovesLargeResponseToHeavySlot checks that a cheap document whose response
// grows acquires a heavy slot.
func TestExecutor_MovesLargeResponseToHeavySlot(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat(".", 1<<20))
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Admission.Heavy = admission.NewLimiter(0, 0, time.Minute) })
		for query, want := range map[string]int{`{portfolioLink(id:4){name}}`: 200, `{portfolioLink(id:4){description}}`: 503} {
			if response, body := graphtest.Query(t, server, admin, query, nil); response.StatusCode != want {
				t.Errorf("%s: %d %.300s", query, response.StatusCode, body)
			}
		}
	})
}

// TestExecutor_KeepsSlotOfMutation checks that a mutation with a large response is not rejected
// after its transaction has committed.
func TestExecutor_KeepsSlotOfMutation(t *testing.T) {
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat(".", 1<<20))
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) {
			o.Admission.Heavy = admission.NewLimiter(0, 0, time.Minute)
			o.MaxResponse = 2 << 20
		})
		const mutation = `mutation{updatePortfolioLink(input:{id:4,name:"%s"}){portfolioLink{name %s}}}`
		response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, fmt.Sprintf(mutation, "large", "description"), nil)
		if response.StatusCode != http.StatusOK || !strings.HasPrefix(body, `{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"large","description":"...`) {
			t.Errorf("%d %.300s", response.StatusCode, body)
		}
		_, body = graphtest.Query(t, server, "Token "+graphtest.Admin, fmt.Sprintf(mutation, "too large", "a:description b:description"), nil)
		if want := `{"errors":[{"message":"The mutation was executed, but its response is not available. The response would have more than 2097152 bytes. Ask for smaller pages or fewer fields.","extensions":{"code":"BAD_USER_INPUT"}}]}`; body != want {
			t.Errorf("%.300s", body)
		}
		_, body = graphtest.Query(t, server, "Token "+graphtest.Admin, "{portfolioLink(id:4){name}}", nil)
		if want := `{"data":{"portfolioLink":{"name":"too large"}}}`; body != want {
			t.Errorf("%.300s", body)
		}
	})
}

// TestHTTP_CountsLargeCachedResponse checks that a large response from the cache counts for the budget
// of responses while it is sent, and needs no slot.
func TestHTTP_CountsLargeCachedResponse(t *testing.T) {
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat(".", 1<<20))
		var admitted *admission.Admission
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { admitted = o.Admission })
		check := func(status int, body string) {
			t.Helper()
			response, got := graphtest.Query(t, server, "Token "+graphtest.Admin, "{portfolioLink(id:4){description}}", nil)
			if response.StatusCode != status || !strings.HasPrefix(got, body) {
				t.Errorf("%d %.300s", response.StatusCode, got)
			}
		}
		for range 3 {
			check(http.StatusOK, `{"data":{"portfolioLink":{"description":"...`)
		}
		admitted.Lookups, admitted.Heavy = admission.NewLimiter(0, 0, time.Minute), admission.NewLimiter(0, 0, time.Minute)
		check(http.StatusOK, `{"data":{"portfolioLink":{"description":"...`)
		for budget := admitted.Responses; ; { // the last response gives its bytes back after it was received
			if limit := budget.Stats().Limit; budget.Reserve(limit) {
				check(http.StatusServiceUnavailable, `{"errors":[{"message":"The server is busy. Try again later."`)
				budget.Release(limit)
				break
			}
		}
		check(http.StatusOK, `{"data":{"portfolioLink":{"description":"...`)
	})
}
