package graphqlhttp_test

import (
	"strings"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
)

// TestBusy checks that nothing of a request is examined without a slot.
func TestBusy(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		t.Parallel()
		server := graphtest.Serve(t, database, func(o *graphtest.Options) {
			o.Admission.Lookups = admission.NewThrottle(0, 0, time.Minute)
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

// TestSlotsByKind checks that requests of one kind run while another kind has no
// slot left.
func TestSlotsByKind(t *testing.T) {
	t.Parallel()
	none := admission.NewThrottle(0, 0, time.Minute)
	const (
		lookup = `{portfolioLink(id:4){name imageData{thumbnails{id}}}}`
		page   = `{portfolioLinks(first:100){nodes{id name imageData{id thumbnails{id url}}}}}`
		search = `{portfolioLinks(filter:{search:"x"}){nodes{id}}}`
		count  = `{portfolioLinks{totalCount}}`
		nested = `{portfolios(first:60){nodes{links(first:20){nodes{id name}}}}}`
		write  = `mutation{updatePortfolioLink(input:{id:4}){portfolioLink{id}}}`
	)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.LoadFile(t, dsn, graphtest.Recorded)
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Admission.Heavy, o.Admission.Uploads = none, none })
		for query, want := range map[string]int{lookup: 200, page: 200, write: 200, search: 503, count: 503, nested: 503} {
			response, body := graphtest.Query(t, server, admin, query, nil)
			if busy := strings.Contains(body, "The server is busy."); response.StatusCode != want || busy != (want == 503) {
				t.Errorf("%s: %d %.300s", query, response.StatusCode, body)
			}
		}
	})
}

// TestLargeResponseIsHeavy checks that a cheap document whose response grows is
// moved to the slots of heavy reads.
func TestLargeResponseIsHeavy(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.LoadFile(t, dsn, graphtest.Recorded)
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat("x", 1<<20))
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Admission.Heavy = admission.NewThrottle(0, 0, time.Minute) })
		for query, want := range map[string]int{`{portfolioLink(id:4){name}}`: 200, `{portfolioLink(id:4){description}}`: 503} {
			if response, body := graphtest.Query(t, server, admin, query, nil); response.StatusCode != want {
				t.Errorf("%s: %d %.300s", query, response.StatusCode, body)
			}
		}
	})
}
