package graph_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	gocmp "github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// entry is a portfolio or a link in the plain model.
type entry struct {
	ID          string
	Name        string
	Description *string
	URL         *string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Portfolio   struct{ ID string }
	ImageData   *struct{ ID string }
}

const entryFields = `{id name description url createdAt updatedAt portfolio{id} imageData{id}}`

// place is what an entry is ordered by.
type place struct {
	key string
	id  int64
}

func (p place) compare(other place) int {
	return cmp.Or(strings.Compare(p.key, other.key), cmp.Compare(p.id, other.id))
}

func (e *entry) place(field string) place {
	var place place
	_, _ = fmt.Sscan(e.ID, &place.id)
	switch field {
	case "NAME":
		place.key = e.Name
	case "CREATED_AT":
		place.key = e.CreatedAt.Format("2006-01-02T15:04:05.000000")
	case "UPDATED_AT":
		place.key = e.UpdatedAt.Format("2006-01-02T15:04:05.000000")
	}
	return place
}

// history is what happened to a server, and the model of what must be there.
type history struct {
	*testing.T
	server     *httptest.Server
	random     *rand.Rand
	portfolios map[string]*entry
	links      map[string]*entry
	bookmarks  []bookmark
}

// bookmark is a cursor that a client kept.
type bookmark struct {
	kind, field, direction, cursor string
	place                          place
}

// do runs a document with one root field, which must not fail.
func (h *history) do(query string, variables map[string]any, into any) {
	h.Helper()
	response, body := graphtest.Query(h.T, h.server, "Token "+graphtest.Admin, query, variables)
	status := response.StatusCode
	if status != 200 || strings.Contains(body, `"errors"`) {
		h.Fatalf("%s %v: %d %s", query, variables, status, body)
	}
	unmarshal(h.T, body, &struct{ Data any }{into})
}

func pick[T any](h *history, from ...T) T { return from[h.random.IntN(len(from))] }

func (h *history) one(of map[string]*entry) *entry {
	ids := make([]string, 0, len(of))
	for id := range of {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if len(ids) == 0 {
		return nil
	}
	return of[pick(h, ids...)]
}

// text is from few words, so that names repeat and searches find.
func (h *history) text() string {
	words := []string{"a", "A", "b", "é", "É", "ك", "😀", "%", "_", `\`, `\u0000`, `"`, "'", "?", "$1", "k", "\u212a", "ſ", "Σ", "ς", "[", "]", "*", "<", " ", "\n"}
	var text strings.Builder
	for range 1 + h.random.IntN(4) {
		text.WriteString(pick(h, words...))
	}
	return text.String()
}

func (h *history) name() string { return "x" + h.text() + "x" } // nothing to trim

func (h *history) optional(value string) any {
	if h.random.IntN(3) == 0 {
		return nil
	}
	return value
}

// step changes one thing in the server and in the model.
func (h *history) step() {
	var answer struct {
		Done struct {
			Portfolio      *entry
			PortfolioLink  *entry
			DeletedLinkIDs []string
		}
	}
	change := func(mutation, fields string, input map[string]any) {
		h.do("mutation M($i: "+strings.ToUpper(mutation[:1])+mutation[1:]+"Input!) {done: "+mutation+"(input: $i) {"+fields+"}}", map[string]any{"i": input}, &answer)
	}
	const portfolioFields, linkFields = `portfolio {id name createdAt updatedAt}`, `portfolioLink ` + entryFields
	portfolio, link := h.one(h.portfolios), h.one(h.links)
	switch action := h.random.IntN(20); {
	case action < 2 || portfolio == nil:
		change("createPortfolio", portfolioFields, map[string]any{"name": h.name()})
	case action < 4:
		change("updatePortfolio", portfolioFields, map[string]any{"id": portfolio.ID, "name": h.name(), "expectedUpdatedAt": portfolio.UpdatedAt})
		h.moved(portfolio, answer.Done.Portfolio)
	case action < 5:
		change("deletePortfolio", "deletedLinkIds", map[string]any{"id": portfolio.ID})
		for _, id := range answer.Done.DeletedLinkIDs {
			if h.links[id] == nil || h.links[id].Portfolio.ID != portfolio.ID {
				h.Fatalf("link %s was deleted with portfolio %s", id, portfolio.ID)
			}
			delete(h.links, id)
		}
		delete(h.portfolios, portfolio.ID)
	case action < 14 || link == nil:
		change("createPortfolioLink", linkFields, map[string]any{
			"portfolioId": portfolio.ID, "name": h.name(), "url": h.optional("https://example.com/?q=" + strconv.Itoa(h.random.IntN(9))),
			"description": h.optional(h.text()), "imageId": h.optional("6"),
		})
	case action < 18:
		input := map[string]any{"id": link.ID}
		for name, value := range map[string]any{"portfolioId": portfolio.ID, "name": h.name(), "url": h.optional("http://example.org"), "description": h.optional(h.text()), "imageId": h.optional("6")} {
			if h.random.IntN(2) == 0 {
				input[name] = value
			}
		}
		change("updatePortfolioLink", linkFields, input)
		h.moved(link, answer.Done.PortfolioLink)
		h.changed(link, answer.Done.PortfolioLink, input)
	default:
		change("deletePortfolioLink", linkFields, map[string]any{"id": link.ID, "expectedUpdatedAt": link.UpdatedAt})
		delete(h.links, link.ID)
		return
	}
	if done := answer.Done.Portfolio; done != nil {
		h.portfolios[done.ID] = done
	}
	if done := answer.Done.PortfolioLink; done != nil {
		h.links[done.ID] = done
	}
}

func (h *history) moved(before, after *entry) {
	if !after.UpdatedAt.After(before.UpdatedAt) || !after.CreatedAt.Equal(before.CreatedAt) {
		h.Fatalf("from %+v to %+v: the times are wrong", before, after)
	}
}

// changed checks that an update did what the input says, and nothing else.
func (h *history) changed(before, after *entry, input map[string]any) {
	value := func(s *string) any {
		if s == nil {
			return nil
		}
		return *s
	}
	image := func(e *entry) any {
		if e.ImageData == nil {
			return nil
		}
		return e.ImageData.ID
	}
	for name, is := range map[string][2]any{
		"portfolioId": {before.Portfolio.ID, after.Portfolio.ID}, "name": {before.Name, after.Name},
		"url": {value(before.URL), value(after.URL)}, "description": {value(before.Description), value(after.Description)}, "imageId": {image(before), image(after)},
	} {
		want, given := input[name]
		if !given {
			want = is[0]
		}
		if is[1] != want {
			h.Fatalf("%s is %v after %v", name, is[1], input)
		}
	}
}

func fold(text string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for folded := unicode.SimpleFold(r); folded != r; folded = unicode.SimpleFold(folded) {
			least = min(least, folded)
		}
		return least
	}, text)
}

// question is a list field with its arguments, and what must be in it.
type question struct {
	kind, field, direction, search string
	hasImage                       any
	portfolio                      *entry
}

func (h *history) question() question {
	q := question{kind: "portfolioLinks", field: pick(h, "ID", "NAME", "CREATED_AT", "UPDATED_AT"), direction: pick(h, "ASC", "DESC"), hasImage: pick[any](h, nil, nil, true, false)}
	if h.random.IntN(3) == 0 {
		q.search = h.text()
	}
	switch h.random.IntN(4) {
	case 0:
		q.kind, q.hasImage = "portfolios", nil
	case 1, 2:
		q.portfolio = h.one(h.portfolios)
	}
	return q
}

func (q question) want(h *history) []*entry {
	from, found := h.links, []*entry{}
	if q.kind == "portfolios" {
		from = h.portfolios
	}
	for _, e := range from {
		description := ""
		if e.Description != nil {
			description = *e.Description
		}
		if q.portfolio != nil && e.Portfolio.ID != q.portfolio.ID || q.hasImage != nil && (e.ImageData != nil) != q.hasImage ||
			!strings.Contains(fold(e.Name), fold(q.search)) && !strings.Contains(fold(description), fold(q.search)) {
			continue
		}
		found = append(found, e)
	}
	slices.SortFunc(found, func(a, b *entry) int {
		if q.direction == "DESC" {
			a, b = b, a
		}
		return a.place(q.field).compare(b.place(q.field))
	})
	return found
}

type connection struct {
	TotalCount int
	Edges      []struct {
		Cursor string
		Node   *entry
	}
	PageInfo struct {
		HasNextPage, HasPreviousPage bool
		StartCursor, EndCursor       string
	}
}

// page asks for a page; paging is such as {"first": 3, "after": cursor}.
func (h *history) page(q question, paging map[string]any) connection {
	filter := map[string]any{"search": q.search}
	if q.hasImage != nil {
		filter["hasImage"] = q.hasImage
	}
	variables := map[string]any{"f": filter, "o": map[string]any{"field": q.field, "direction": q.direction}}
	for _, name := range []string{"first", "after", "last", "before"} {
		variables[name] = paging[name]
	}
	kind, id, list, end := "PortfolioLinkFilter", "", "list: "+q.kind+"(", "}"
	switch {
	case q.kind == "portfolios":
		kind = "PortfolioFilter"
	case q.portfolio == nil:
	case h.random.IntN(2) == 0:
		id, list = ", $p: ID!", "list: portfolioLinks(portfolioId: $p, "
	default:
		id, list, end = ", $p: ID!", "portfolio(id: $p) {list: links(", "}}"
	}
	if q.portfolio != nil {
		variables["p"] = q.portfolio.ID
	}
	query := "query Q($f: " + kind + ", $o: Order, $first: Int, $after: String, $last: Int, $before: String" + id + ") {" + list +
		"filter: $f, orderBy: $o, first: $first, after: $after, last: $last, before: $before)" +
		"{totalCount edges{cursor node{id}} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}" + end
	var answer struct {
		List      connection
		Portfolio struct{ List connection }
	}
	h.do(query, variables, &answer)
	if end == "}}" {
		return answer.Portfolio.List
	}
	return answer.List
}

// check walks a list both ways, and goes on from where a client once was.
func (h *history) check() {
	q := h.question()
	want := q.want(h)
	size := 1 + h.random.IntN(6)
	var all []string
	for paging := map[string]any{"first": size}; ; {
		page := h.page(q, paging)
		for _, edge := range page.Edges {
			all = append(all, edge.Node.ID)
		}
		h.compare(q, "forward", want[max(0, len(all)-len(page.Edges)):min(len(all), len(want))], page)
		if page.TotalCount != len(want) || page.PageInfo.HasNextPage != (len(all) < len(want)) || page.PageInfo.HasPreviousPage != (len(all) > len(page.Edges)) {
			h.Fatalf("%+v: %d of %d read, the page says %+v", q, len(all), len(want), page)
		}
		if !page.PageInfo.HasNextPage {
			break
		}
		paging["after"] = page.PageInfo.EndCursor
	}
	left := len(want)
	for paging := map[string]any{"last": size}; ; {
		page := h.page(q, paging)
		h.compare(q, "backward", want[max(0, left-size):left], page)
		left -= len(page.Edges)
		if page.PageInfo.HasPreviousPage != (left > 0) || page.PageInfo.HasNextPage != (left+len(page.Edges) < len(want)) {
			h.Fatalf("%+v: %d of %d left, the page says %+v", q, left, len(want), page)
		}
		for i, edge := range page.Edges {
			h.bookmarks = append(h.bookmarks, bookmark{q.kind, q.field, q.direction, edge.Cursor, want[left+i].place(q.field)})
		}
		if !page.PageInfo.HasPreviousPage {
			break
		}
		paging["before"] = page.PageInfo.StartCursor
	}
	h.goOn()
	h.lookUp()
}

func (h *history) compare(q question, way string, want []*entry, page connection) {
	h.Helper()
	ids := func(n int, id func(int) string) (ids []string) {
		for i := range n {
			ids = append(ids, id(i))
		}
		return ids
	}
	wanted := ids(len(want), func(i int) string { return want[i].ID })
	got := ids(len(page.Edges), func(i int) string { return page.Edges[i].Node.ID })
	if !slices.Equal(got, wanted) {
		h.Fatalf("%+v %s: got %v, want %v", q, way, got, wanted)
	}
}

// goOn reads on from an old cursor, whose row may be gone or elsewhere now.
func (h *history) goOn() {
	if len(h.bookmarks) == 0 {
		return
	}
	mark := pick(h, h.bookmarks...)
	q := question{kind: mark.kind, field: mark.field, direction: mark.direction}
	sign := 1
	if mark.direction == "DESC" {
		sign = -1
	}
	var before, after []*entry
	for _, e := range q.want(h) {
		switch e.place(q.field).compare(mark.place) * sign {
		case 1:
			after = append(after, e)
		case -1:
			before = append(before, e)
		}
	}
	page := h.page(q, map[string]any{"first": 3, "after": mark.cursor})
	h.compare(q, "after "+mark.cursor, after[:min(3, len(after))], page)
	if page.PageInfo.HasPreviousPage != (len(q.want(h)) > len(after)) || page.PageInfo.HasNextPage != (len(after) > 3) {
		h.Fatalf("%+v after %+v: %+v", q, mark, page.PageInfo)
	}
	page = h.page(q, map[string]any{"last": 3, "before": mark.cursor})
	h.compare(q, "before "+mark.cursor, before[max(0, len(before)-3):], page)
}

func (h *history) lookUp() {
	id := strconv.Itoa(1 + h.random.IntN(150))
	if known := h.one(h.links); known != nil && h.random.IntN(2) == 0 {
		id = known.ID
	}
	var answer struct{ PortfolioLink, Portfolio *entry }
	h.do(`query Q($i: ID!) {portfolioLink(id: $i) `+entryFields+` portfolio(id: $i) {id name createdAt updatedAt}}`, map[string]any{"i": id}, &answer)
	same(h.T, h.links[id], answer.PortfolioLink)
	same(h.T, h.portfolios[id], answer.Portfolio)
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func same(t *testing.T, want, got *entry) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// TestHistory goes through random histories, and checks after each step that
// lists, counts, pages and look-ups are those of the plain model.
func TestHistory(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, recorded)
		dbtest.Exec(t, dsn, "DELETE FROM portfolios")
		server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		h := &history{T: t, server: server, random: rand.New(rand.NewPCG(4, 2026)), portfolios: map[string]*entry{}, links: map[string]*entry{}}
		for range 150 {
			h.step()
			h.check()
		}
	})
}
