package graph_test

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// entry is a portfolio, a link or an image of the model.
type entry struct {
	ID          string
	Name        string
	Description *string
	Alt         *string
	URL         *string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Portfolio   struct{ ID string }
	ImageData   *struct{ ID string }
	Position    float64
}

const entryFields = `{id name description url createdAt updatedAt portfolio{id} imageData{id} position}`

// modelTest changes a server and a model in memory alike, and compares them.
type modelTest struct {
	*testing.T
	database   *db.DB
	server     *httptest.Server
	random     *rand.Rand
	portfolios map[string]*entry
	links      map[string]*entry
	images     map[string]*entry
	order      map[string][]string // ids of the links of each portfolio
	saved      []savedCursor
}

// query sends a document that must not fail and decodes its data.
func (m *modelTest) query(query string, variables object, into any) {
	m.Helper()
	response, body := graphtest.Query(m.T, m.server, admin, query, variables)
	if response.StatusCode != http.StatusOK || strings.Contains(body, `"errors"`) {
		m.Fatalf("%s %v: %d %s", query, variables, response.StatusCode, body)
	}
	unmarshal(m.T, body, &struct{ Data any }{into})
}

func pick[T any](m *modelTest, from ...T) T { return from[m.random.IntN(len(from))] }

// anyOf returns an entry, or nil if there is none.
func (m *modelTest) anyOf(entries map[string]*entry) *entry {
	if len(entries) == 0 {
		return nil
	}
	return entries[pick(m, slices.Sorted(maps.Keys(entries))...)]
}

// randomText joins few different words, so that names repeat and searches match.
func (m *modelTest) randomText() string {
	words := []string{"a", "A", "b", "é", "É", "ك", "😀", "%", "_", `\`, `\u0000`, `"`, "'", "?", "$1", "k", "\u212a", "ſ", "Σ", "ς", "[", "]", "*", "<", " ", "\n"}
	var text strings.Builder
	for range 1 + m.random.IntN(4) {
		text.WriteString(pick(m, words...))
	}
	return text.String()
}

// randomName returns a name without white space at its ends, which is trimmed.
func (m *modelTest) randomName() string { return "x" + m.randomText() + "x" }

func (m *modelTest) maybeNull(value string) any {
	if m.random.IntN(3) == 0 {
		return nil
	}
	return value
}

// step makes one random change in the server and in the model.
func (m *modelTest) step() {
	var result struct {
		Done struct {
			Portfolio      *entry
			PortfolioLink  *entry
			DeletedLinkIDs []string
		}
	}
	change := func(mutation, fields string, input object) {
		m.query("mutation M($i: "+inputType(mutation)+"!) {done: "+mutation+"(input: $i) {"+fields+"}}", object{"i": input}, &result)
	}
	const portfolioFields, linkFields = `portfolio {id name createdAt updatedAt}`, `portfolioLink ` + entryFields
	portfolio, link := m.anyOf(m.portfolios), m.anyOf(m.links)
	switch action := m.random.IntN(24); {
	case action < 2 || portfolio == nil:
		change("createPortfolio", portfolioFields, object{"name": m.randomName()})
	case action < 4:
		change("updatePortfolio", portfolioFields, object{"id": portfolio.ID, "name": m.randomName(), "expectedUpdatedAt": portfolio.UpdatedAt})
		m.checkTimes(portfolio, result.Done.Portfolio)
	case action < 5:
		change("deletePortfolio", "deletedLinkIds", object{"id": portfolio.ID})
		for _, id := range result.Done.DeletedLinkIDs {
			if m.links[id] == nil || m.links[id].Portfolio.ID != portfolio.ID {
				m.Fatalf("link %s was deleted with portfolio %s", id, portfolio.ID)
			}
			delete(m.links, id)
		}
		delete(m.portfolios, portfolio.ID)
		delete(m.order, portfolio.ID)
	case action < 14 || link == nil:
		m.createLinks()
	case action < 18:
		input := m.randomUpdate(link, portfolio)
		change("updatePortfolioLink", linkFields, input)
		m.checkTimes(link, result.Done.PortfolioLink)
		m.checkUpdate(link, result.Done.PortfolioLink, input)
	case action < 22:
		m.moveLink(link)
	default:
		change("deletePortfolioLink", linkFields, object{"id": link.ID, "expectedUpdatedAt": link.UpdatedAt})
		m.removeFromOrder(link)
		delete(m.links, link.ID)
		return
	}
	if done := result.Done.Portfolio; done != nil {
		m.portfolios[done.ID] = done
	}
	if done := result.Done.PortfolioLink; done != nil {
		m.storeLinks(done)
	}
}

// createLinks creates one link, or several in different portfolios.
func (m *modelTest) createLinks() {
	inputs := make([]object, 1+m.random.IntN(3))
	for i := range inputs {
		inputs[i] = object{
			"portfolioId": m.anyOf(m.portfolios).ID, "name": m.randomName(), "url": m.maybeNull("https://example.com/?q=" + strconv.Itoa(m.random.IntN(9))),
			"description": m.maybeNull(m.randomText()), "imageId": m.maybeImage(),
		}
	}
	var result struct {
		One  struct{ PortfolioLink *entry }
		Many struct{ PortfolioLinks []*entry }
	}
	if len(inputs) == 1 {
		m.query(`mutation M($i: CreatePortfolioLinkInput!) {one: createPortfolioLink(input: $i) {portfolioLink `+entryFields+`}}`, object{"i": inputs[0]}, &result)
		m.storeLinks(result.One.PortfolioLink)
		return
	}
	m.query(`mutation M($i: CreatePortfolioLinksInput!) {many: createPortfolioLinks(input: $i) {portfolioLinks `+entryFields+`}}`, object{"i": object{"links": inputs}}, &result)
	for i, link := range result.Many.PortfolioLinks {
		m.checkUpdate(&entry{}, link, inputs[i])
	}
	m.storeLinks(result.Many.PortfolioLinks...)
}

// storeLinks stores links that were created or updated. If the portfolio of one is
// a new one, it is the last link there.
func (m *modelTest) storeLinks(links ...*entry) {
	for _, link := range links {
		if before := m.links[link.ID]; before == nil || before.Portfolio.ID != link.Portfolio.ID {
			m.removeFromOrder(before)
			m.order[link.Portfolio.ID] = append(m.order[link.Portfolio.ID], link.ID)
		}
		m.links[link.ID] = link
	}
	for _, link := range links {
		m.checkOrder(link.Portfolio.ID)
	}
}

func (m *modelTest) randomUpdate(link, portfolio *entry) object {
	input := object{
		"portfolioId": portfolio.ID, "name": m.randomName(), "url": m.maybeNull("http://example.org"),
		"description": m.maybeNull(m.randomText()), "imageId": m.maybeImage(),
	}
	for _, name := range slices.Sorted(maps.Keys(input)) {
		if m.random.IntN(2) == 0 {
			delete(input, name)
		}
	}
	input["id"] = link.ID
	return input
}

func (m *modelTest) checkTimes(before, after *entry) {
	if !after.UpdatedAt.After(before.UpdatedAt) || !after.CreatedAt.Equal(before.CreatedAt) {
		m.Fatalf("from %+v to %+v: the times are wrong", before, after)
	}
}

// checkUpdate checks that an update changed the fields of its input only.
func (m *modelTest) checkUpdate(before, after *entry, input object) {
	for _, name := range []string{"portfolioId", "name", "url", "description", "imageId"} {
		want, ok := input[name]
		if !ok {
			want = before.value(name)
		}
		if got := after.value(name); got != want {
			m.Fatalf("%s is %v after %v", name, got, input)
		}
	}
}

// value returns the value of a field of the input, or nil.
func (e *entry) value(name string) any {
	switch {
	case name == "portfolioId":
		return e.Portfolio.ID
	case name == "name":
		return e.Name
	case name == "url" && e.URL != nil:
		return *e.URL
	case name == "description" && e.Description != nil:
		return *e.Description
	case name == "imageId" && e.ImageData != nil:
		return e.ImageData.ID
	}
	return nil
}

func (m *modelTest) checkLookup() {
	id := strconv.Itoa(1 + m.random.IntN(150))
	if known := m.anyOf(m.links); known != nil && m.random.IntN(2) == 0 {
		id = known.ID
	}
	var result struct{ PortfolioLink, Portfolio *entry }
	m.query(`query Q($i: ID!) {portfolioLink(id: $i) `+entryFields+` portfolio(id: $i) {id name createdAt updatedAt}}`, object{"i": id}, &result)
	if diff := cmp.Diff(m.links[id], result.PortfolioLink) + cmp.Diff(m.portfolios[id], result.Portfolio); diff != "" {
		m.Fatal(diff)
	}
}

// TestModel_MatchesRandomChanges makes random changes, and checks after each that lists, counts,
// pages and lookups equal the model's.
func TestModel_MatchesRandomChanges(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "DELETE FROM portfolios")
		dbtest.Exec(t, dsn, "DELETE FROM images")
		database := dbtest.Open(t, dsn)
		m := &modelTest{
			T: t, database: database, server: graphtest.Serve(t, database, nil), random: rand.New(rand.NewPCG(4, 2026)),
			portfolios: map[string]*entry{}, links: map[string]*entry{}, images: map[string]*entry{}, order: map[string][]string{},
		}
		for range 150 {
			m.step()
			m.stepImage()
			m.checkLists()
		}
	})
}
