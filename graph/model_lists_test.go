package graph_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// orderKey is a key of the order of a list.
type orderKey struct {
	Field     string `json:"field"`
	Direction string `json:"direction"`
}

// compare orders two entries by the keys, and then by ID.
func compare(order []orderKey, a, b *entry) int {
	direction := "ASC"
	for _, key := range order {
		direction = key.Direction
		if result := compareField(key, a, b); result != 0 || key.Field == "ID" {
			return result
		}
	}
	return compareField(orderKey{"ID", direction}, a, b)
}

func compareField(key orderKey, a, b *entry) int {
	if key.Direction == "DESC" {
		a, b = b, a
	}
	switch key.Field {
	case "NAME":
		return strings.Compare(a.Name, b.Name)
	case "CREATED_AT":
		return a.CreatedAt.Compare(b.CreatedAt)
	case "UPDATED_AT":
		return a.UpdatedAt.Compare(b.UpdatedAt)
	case "POSITION":
		return cmp.Compare(a.Position, b.Position)
	}
	return cmp.Compare(a.number(), b.number())
}

func (e *entry) number() (id int64) {
	_, _ = fmt.Sscan(e.ID, &id)
	return id
}

// savedCursor is a cursor from an earlier page, with the entry as it was.
type savedCursor struct {
	query  listQuery
	cursor string
	entry  entry
}

// fold maps each letter to the smallest one that differs in case only.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for folded := unicode.SimpleFold(r); folded != r; folded = unicode.SimpleFold(folded) {
			least = min(least, folded)
		}
		return least
	}, text)
}

// listQuery is a list field with its arguments.
type listQuery struct {
	list, search string
	order        []orderKey
	hasImage     any
	unused       any // of images
	portfolio    *entry
	image        *entry
	equal        object // the values of fields, null to ignore them
}

func (m *modelTest) randomListQuery() listQuery {
	q, fields := listQuery{list: "portfolioLinks"}, []string{"ID", "NAME", "CREATED_AT", "UPDATED_AT"}
	condition := pick[any](m, nil, nil, true, false)
	switch m.random.IntN(6) {
	case 0:
		q.list = "portfolios"
	case 1:
		q.list, q.unused, fields = "images", condition, fields[:3]
	case 2:
		q.hasImage = condition
	case 3:
		if q.image = m.anyOf(m.images); q.image != nil {
			return q // its links have neither filters nor orders
		}
	default:
		q.hasImage, q.portfolio = condition, m.anyOf(m.portfolios)
	}
	switch m.random.IntN(6) {
	case 0, 1:
		q.search = m.randomText()
	case 2:
		q.equal = m.randomEqual(q.list)
	}
	if q.portfolio != nil {
		fields = append(fields, "POSITION")
	}
	m.random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	for _, field := range fields[:m.random.IntN(len(fields)+1)] {
		q.order = append(q.order, orderKey{field, pick(m, "ASC", "DESC")})
	}
	return q
}

// randomEqual returns a filter by equal values for a list.
func (m *modelTest) randomEqual(list string) object {
	if like := m.anyOf(m.links); list == "portfolioLinks" && like != nil {
		name := pick(m, "name", "url", "imageId")
		return object{name: like.value(name)}
	}
	if like := m.anyOf(m.portfolios); list == "portfolios" && like != nil {
		return object{"name": pick[any](m, nil, like.Name)}
	}
	return nil
}

// expected returns all entries of the list in order, according to the model.
func (q listQuery) expected(m *modelTest) []*entry {
	from, found := m.links, []*entry{}
	switch q.list {
	case "portfolios":
		from = m.portfolios
	case "images":
		from = m.images
	}
	for _, e := range from {
		if q.selects(m, e) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return compare(q.order, a, b) })
	return found
}

// selects reports whether an entry meets all conditions.
func (q listQuery) selects(m *modelTest, e *entry) bool {
	for name, value := range q.equal {
		if value != nil && e.value(name) != value {
			return false
		}
	}
	description := ""
	if text := cmp.Or(e.Description, e.Alt); text != nil {
		description = *text
	}
	return (q.portfolio == nil || e.Portfolio.ID == q.portfolio.ID) &&
		(q.image == nil || slices.Contains(m.linksOf(q.image), e)) &&
		(q.hasImage == nil || (e.ImageData != nil) == q.hasImage) &&
		(q.unused == nil || (len(m.linksOf(e)) == 0) == q.unused) &&
		(strings.Contains(fold(e.Name), fold(q.search)) || strings.Contains(fold(description), fold(q.search)))
}

const pageFields = `totalCount edges{cursor node{id}} pageInfo{hasNextPage hasPreviousPage startCursor endCursor}`

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

// fetchPage reads a page. Its arguments are first, after, last and before.
func (m *modelTest) fetchPage(q listQuery, arguments object) connection {
	filter := object{"search": q.search}
	maps.Copy(filter, q.equal)
	if q.hasImage != nil {
		filter["hasImage"] = q.hasImage
	}
	if q.unused != nil {
		filter["unused"] = q.unused
	}
	variables := object{"f": filter, "o": q.order}
	for _, name := range []string{"first", "after", "last", "before"} {
		variables[name] = arguments[name]
	}
	filterType, id, list, end := "PortfolioLinkFilter", "", "list: "+q.list+"(", "}"
	switch {
	case q.image != nil:
		return m.fetchLinksOfImage(q.image, arguments)
	case q.list == "portfolios":
		filterType = "PortfolioFilter"
	case q.list == "images":
		filterType = "ImageFilter"
	case q.portfolio == nil:
	case m.random.IntN(2) == 0:
		id, list = ", $p: ID!", "list: portfolioLinks(portfolioId: $p, "
	default:
		id, list, end = ", $p: ID!", "portfolio(id: $p) {list: links(", "}}"
	}
	if q.portfolio != nil {
		variables["p"] = q.portfolio.ID
	}
	query := "query Q($f: " + filterType + ", $o: [Order!], $first: Int, $after: String, $last: Int, $before: String" + id + ") {" + list +
		"filter: $f, orderBy: $o, first: $first, after: $after, last: $last, before: $before)" +
		"{" + pageFields + "}" + end
	var result struct {
		List      connection
		Portfolio struct{ List connection }
	}
	m.query(query, variables, &result)
	if end == "}}" {
		return result.Portfolio.List
	}
	return result.List
}

// checkLists reads a random list forward and backward, and checks a saved cursor
// and a lookup.
func (m *modelTest) checkLists() {
	q := m.randomListQuery()
	want, size := q.expected(m), 1+m.random.IntN(6)
	m.checkForward(q, want, size)
	m.checkBackward(q, want, size)
	m.checkSavedCursor()
	m.checkLookup()
}

func (m *modelTest) checkForward(q listQuery, want []*entry, size int) {
	read := 0
	for arguments := (object{"first": size}); ; {
		page := m.fetchPage(q, arguments)
		first := read
		read += len(page.Edges)
		m.comparePage(q, "forward", want[min(first, len(want)):min(read, len(want))], page)
		if page.TotalCount != len(want) || page.PageInfo.HasNextPage != (read < len(want)) || page.PageInfo.HasPreviousPage != (first > 0) {
			m.Fatalf("%+v: %d of %d read, the page is %+v", q, read, len(want), page)
		}
		if !page.PageInfo.HasNextPage {
			return
		}
		arguments["after"] = page.PageInfo.EndCursor
	}
}

// checkBackward also saves the cursors.
func (m *modelTest) checkBackward(q listQuery, want []*entry, size int) {
	left := len(want)
	for arguments := (object{"last": size}); ; {
		page := m.fetchPage(q, arguments)
		m.comparePage(q, "backward", want[max(0, left-size):left], page)
		left -= len(page.Edges)
		if page.PageInfo.HasPreviousPage != (left > 0) || page.PageInfo.HasNextPage != (left+len(page.Edges) < len(want)) {
			m.Fatalf("%+v: %d of %d left, the page is %+v", q, left, len(want), page)
		}
		for i, edge := range page.Edges {
			m.saved = append(m.saved, savedCursor{listQuery{list: q.list, order: q.order, portfolio: q.portfolio}, edge.Cursor, *want[left+i]})
		}
		if !page.PageInfo.HasPreviousPage {
			return
		}
		arguments["before"] = page.PageInfo.StartCursor
	}
}

func (m *modelTest) comparePage(q listQuery, direction string, want []*entry, page connection) {
	m.Helper()
	var wantIDs, gotIDs []string
	for _, e := range want {
		wantIDs = append(wantIDs, e.ID)
	}
	for _, edge := range page.Edges {
		gotIDs = append(gotIDs, edge.Node.ID)
	}
	if !slices.Equal(gotIDs, wantIDs) {
		m.Fatalf("%+v %s: got %v, want %v", q, direction, gotIDs, wantIDs)
	}
}

// checkSavedCursor reads before and after a saved cursor, whose row may have been
// moved or deleted since.
func (m *modelTest) checkSavedCursor() {
	if len(m.saved) == 0 {
		return
	}
	saved := pick(m, m.saved...)
	q := saved.query
	var before, after []*entry
	all := q.expected(m)
	for _, e := range all {
		switch compare(q.order, e, &saved.entry) {
		case 1:
			after = append(after, e)
		case -1:
			before = append(before, e)
		}
	}
	page := m.fetchPage(q, object{"first": 3, "after": saved.cursor})
	m.comparePage(q, "after "+saved.cursor, after[:min(3, len(after))], page)
	if page.PageInfo.HasPreviousPage != (len(all) > len(after)) || page.PageInfo.HasNextPage != (len(after) > 3) {
		m.Fatalf("%+v after %+v: %+v", q, saved, page.PageInfo)
	}
	page = m.fetchPage(q, object{"last": 3, "before": saved.cursor})
	m.comparePage(q, "before "+saved.cursor, before[max(0, len(before)-3):], page)
}
