package graph_test

import (
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

const moveLink = `mutation M($i: MovePortfolioLinkInput!) {done: movePortfolioLink(input: $i) {portfolioLink ` + entryFields + `}}`

// without returns the other ids.
func without(ids []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other == id })
}

// moved returns the ids after a move of one of them before or after another.
func moved(ids []string, id, field, anchor string) []string {
	rest := without(ids, id)
	index := slices.Index(rest, anchor)
	if field == "afterId" {
		index++
	}
	return slices.Insert(rest, index, id)
}

// moveLink moves a link next to another link of its portfolio, if there is one.
func (m *modelTest) moveLink(link *entry) {
	order := m.order[link.Portfolio.ID]
	if len(order) < 2 {
		return
	}
	field, anchor := pick(m, "beforeId", "afterId"), pick(m, without(order, link.ID)...)
	var result struct {
		Done struct{ PortfolioLink *entry }
	}
	m.query(moveLink, object{"i": object{"id": link.ID, field: anchor, "expectedUpdatedAt": link.UpdatedAt}}, &result)
	want := moved(order, link.ID, field, anchor)
	if !slices.Equal(want, order) {
		m.checkTimes(link, result.Done.PortfolioLink)
	} else if diff := cmp.Diff(link, result.Done.PortfolioLink); diff != "" {
		m.Fatal("a move to the current position: ", diff)
	}
	m.links[link.ID], m.order[link.Portfolio.ID] = result.Done.PortfolioLink, want
	m.checkOrder(link.Portfolio.ID)
}

func (m *modelTest) removeFromOrder(link *entry) {
	if link != nil {
		m.order[link.Portfolio.ID] = without(m.order[link.Portfolio.ID], link.ID)
	}
}

// adjacentLinks is a link with the adjacent links.
type adjacentLinks struct {
	ID             string
	Position       float64
	Previous, Next *adjacentLinks
}

// checkOrder compares the order of the links of a portfolio with the model, and
// reads their positions.
func (m *modelTest) checkOrder(portfolio string) {
	m.Helper()
	var result struct {
		List struct{ Nodes []*adjacentLinks }
	}
	m.query(`query($p: ID!) {list: portfolioLinks(portfolioId: $p, orderBy: {field: POSITION}, first: 100)
		{nodes {id position previous {id previous {id}} next {id next {id portfolio {id}}}}}}`, object{"p": portfolio}, &result)
	var ids []string
	for i, node := range result.List.Nodes {
		if i > 0 && node.Position <= result.List.Nodes[i-1].Position {
			m.Fatalf("link %s is at %v, after %+v", node.ID, node.Position, result.List.Nodes[i-1])
		}
		ids = append(ids, node.ID)
		m.links[node.ID].Position = node.Position
	}
	for i, node := range result.List.Nodes {
		around := []*adjacentLinks{node.Next, node.Previous, nil, nil}
		if node.Next != nil {
			around[2] = node.Next.Next
		}
		if node.Previous != nil {
			around[3] = node.Previous.Previous
		}
		for n, distance := range []int{1, -1, 2, -2} {
			if want := i + distance; (around[n] == nil) != (want < 0 || want >= len(ids)) || around[n] != nil && around[n].ID != ids[want] {
				m.Fatalf("link %s of %v has %+v at a distance of %d", node.ID, ids, around[n], distance)
			}
		}
	}
	if diff := cmp.Diff(m.order[portfolio], ids, cmpopts.EquateEmpty()); diff != "" {
		m.Fatal(diff)
	}
}

// TestMoves_RebalanceFewLinks moves links to one position until there is no number left
// between the adjacent links. Then few links are moved apart.
func TestMoves_RebalanceFewLinks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	const links = 40
	patterns := map[string]func(ids []string, n int) (id, field, anchor string){
		"after the first": func(ids []string, _ int) (id, field, anchor string) { return ids[links-1], "afterId", ids[0] },
		"before the last": func(ids []string, _ int) (id, field, anchor string) { return ids[0], "beforeId", ids[links-1] },
		"between the same two": func(ids []string, n int) (id, field, anchor string) {
			return ids[10+10*(n%2)], []string{"afterId", "beforeId"}[n%2], ids[15]
		},
		"swapped":    func(ids []string, _ int) (id, field, anchor string) { return ids[3], "afterId", ids[1] },
		"to the end": func(ids []string, _ int) (id, field, anchor string) { return ids[0], "afterId", ids[links-1] },
	}
	positions := map[string]struct{ firstID, position string }{
		"at their ids":            {"1", "NULL"},
		"equal":                   {"1", "0"},
		"of the greatest number":  {"1", "1e300"},
		"at ids without a number": {"4611686018427387904", "NULL"},
		"of fractions":            {"1", "1.0 / 3"},
	}
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		moves := 100
		if strings.HasPrefix(dsn, "postgres") { // which computes the same positions, slowly
			moves = 50
		}
		server, exec := graphtest.Serve(t, dbtest.Open(t, dsn), nil), dbtest.Session(t, dsn)
		for name, p := range positions {
			for pattern, next := range patterns {
				t.Run(pattern+", positions "+name, func(t *testing.T) {
					exec("DELETE FROM portfolio_links")
					exec("INSERT INTO portfolio_links (id, portfolio_id, name, position) SELECT id + " + p.firstID + ", 1, 'x', " + p.position + " FROM images ORDER BY id LIMIT " + strconv.Itoa(links-2))
					m := newMoves(t, server, links)
					for n := range moves {
						m.move(next(m.ids(), n))
					}
					if m.rebalanced > 2*moves {
						t.Errorf("%d positions of other links were changed", m.rebalanced)
					}
				})
			}
		}
	})
}

// moves checks moves of links of portfolio 1.
type moves struct {
	*testing.T
	server     *httptest.Server
	links      []entry
	rebalanced int // links that were moved apart
}

const listByPosition = `links(first: 100, orderBy: {field: POSITION}) {nodes {id position updatedAt}}`

// newMoves creates the last two of the links.
func newMoves(t *testing.T, server *httptest.Server, links int) *moves {
	t.Helper()
	var created struct {
		Done struct{ PortfolioLinks []entry }
	}
	mutate(t, server, `mutation {done: createPortfolioLinks(input: {links: [{portfolioId: 1, name: "x"}, {portfolioId: 1, name: "x"}]}) {portfolioLinks {id position}}}`, nil, &created)
	var result struct {
		Portfolio struct{ Links struct{ Nodes []entry } }
	}
	mutate(t, server, `{portfolio(id: 1) {`+listByPosition+`}}`, nil, &result)
	for i, link := range created.Done.PortfolioLinks {
		last := result.Portfolio.Links.Nodes[links-2+i]
		if link.ID != last.ID || link.Position != last.Position || link.Position <= result.Portfolio.Links.Nodes[links-3+i].Position {
			t.Fatalf("%+v was created, not %+v", last, link)
		}
	}
	return &moves{T: t, server: server, links: result.Portfolio.Links.Nodes}
}

func (m *moves) ids() (ids []string) {
	for _, link := range m.links {
		ids = append(ids, link.ID)
	}
	return ids
}

func (m *moves) move(id, field, anchor string) {
	m.Helper()
	var result struct {
		Done struct {
			PortfolioLink struct {
				Portfolio struct{ Links struct{ Nodes []entry } }
			}
		}
	}
	code := mutate(m.T, m.server, `mutation M($i: MovePortfolioLinkInput!) {done: movePortfolioLink(input: $i) {portfolioLink {portfolio {`+listByPosition+`}}}}`, object{"i": object{"id": id, field: anchor}}, &result)
	want := moved(m.ids(), id, field, anchor)
	before := map[string]entry{}
	for _, link := range m.links {
		before[link.ID] = link
	}
	m.links = result.Done.PortfolioLink.Portfolio.Links.Nodes
	if got := m.ids(); code != "" || !slices.Equal(got, want) {
		m.Fatalf("%s %s %s: %s %v, want %v", id, field, anchor, code, got, want)
	}
	for i, link := range m.links {
		switch was := before[link.ID]; {
		case link.ID == id:
			if i > 0 && link.Position <= m.links[i-1].Position || i < len(m.links)-1 && link.Position >= m.links[i+1].Position {
				m.Fatalf("%s was moved to %v, beside %+v", id, link.Position, m.links)
			}
		case !link.UpdatedAt.Equal(was.UpdatedAt):
			m.Fatalf("%s was updated at %s, before at %s", link.ID, link.UpdatedAt, was.UpdatedAt)
		case link.Position != was.Position:
			m.rebalanced++
		}
	}
}
