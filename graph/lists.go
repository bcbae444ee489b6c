package graph

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
)

// Sizes of a page, in rows.
const (
	defaultPage = 20
	maxPage     = 100
)

// Connection is a page of a list.
type Connection[R row] struct {
	TotalCount int

	rows                 []R
	order                listOrder
	hasNext, hasPrevious bool
}

// row is a row that knows its place in a list.
type row interface {
	Cursor(by db.OrderField) db.Cursor
}

// Edge is a row of a page.
type Edge[R row] struct {
	Node R

	order listOrder
}

// The names that the lists have in the schema.
type (
	// PortfolioConnection is a page of portfolios.
	PortfolioConnection = Connection[*db.Portfolio]
	// PortfolioEdge is a portfolio of a page.
	PortfolioEdge = Edge[*db.Portfolio]
	// PortfolioLinkConnection is a page of links.
	PortfolioLinkConnection = Connection[*db.PortfolioLink]
	// PortfolioLinkEdge is a link of a page.
	PortfolioLinkEdge = Edge[*db.PortfolioLink]
)

// PageInfo says what lies before and after a page.
type PageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// Nodes are the rows of the page.
func (c *Connection[R]) Nodes() []R { return c.rows }

// Edges are the rows of the page with their cursors.
func (c *Connection[R]) Edges() []*Edge[R] {
	edges := make([]*Edge[R], len(c.rows))
	for i, row := range c.rows {
		edges[i] = &Edge[R]{row, c.order}
	}
	return edges
}

// PageInfo says what lies before and after the page.
func (c *Connection[R]) PageInfo() *PageInfo {
	info := &PageInfo{HasNextPage: c.hasNext, HasPreviousPage: c.hasPrevious}
	if len(c.rows) > 0 {
		first, last := c.order.cursor(c.rows[0]), c.order.cursor(c.rows[len(c.rows)-1])
		info.StartCursor, info.EndCursor = &first, &last
	}
	return info
}

// Cursor is the place of the row.
func (e *Edge[R]) Cursor() string { return e.order.cursor(e.Node) }

// connect makes a connection of what was read.
func connect[R row](page *db.Page[R], list db.List, order listOrder) *Connection[R] {
	connection := &Connection[R]{TotalCount: page.Total, rows: page.Rows, order: order, hasNext: page.More, hasPrevious: page.Beyond}
	if list.Backward {
		connection.hasNext, connection.hasPrevious = page.Beyond, page.More
	}
	return connection
}

// paging holds the arguments that every list has.
type paging struct {
	orderBy *db.Order
	first   *int
	after   *string
	last    *int
	before  *string
}

// list says what to read for a field that lists, by its arguments and its
// selection.
func (p paging) list(ctx context.Context, kind string, filter db.Filter, faults faults) (db.List, listOrder, error) {
	order := listOrder{kind, db.Order{Field: db.OrderByID, Direction: db.Ascending}}
	if p.orderBy != nil {
		order.Order = *p.orderBy
	}
	list := db.List{Filter: filter, Order: order.Order, Limit: defaultPage, Backward: p.last != nil || p.before != nil}
	if list.Backward && (p.first != nil || p.after != nil) {
		faults.add("and after read forward, last and before read backward: give one pair", "first")
	}
	size, sizeName, from, fromName, behind := p.first, "first", p.after, "after", "pageInfo.hasPreviousPage"
	if list.Backward {
		size, sizeName, from, fromName, behind = p.last, "last", p.before, "before", "pageInfo.hasNextPage"
	}
	if size != nil {
		if list.Limit = *size; *size < 1 || *size > maxPage {
			faults.add("must be 1 to "+strconv.Itoa(maxPage), sizeName)
		}
	}
	if from != nil {
		cursor, ok := order.decode(*from)
		if list.From = (sql.Null[db.Cursor]{V: cursor, Valid: true}); !ok {
			faults.add("is not a cursor of this list in this order", fromName)
		}
	}
	list.WithRows = graphql.AnyFieldRequested(ctx, "nodes", "edges", "pageInfo")
	list.WithImages = graphql.AnyFieldRequested(ctx, "nodes.imageData", "edges.node.imageData")
	list.WithTotal = graphql.FieldRequested(ctx, "totalCount")
	list.WithBeyond = graphql.FieldRequested(ctx, behind)
	return list, order, faults.err()
}

// The kinds of lists.
const (
	portfolioList = "portfolios"
	linkList      = "links"
)

// listOrder is what a cursor belongs to.
type listOrder struct {
	kind string
	db.Order
}

// checksum tells a cursor that was made for this order from any other text.
// It is no secret: a cursor says nothing that its bearer may not know.
func (o listOrder) checksum(place []byte) uint32 {
	return crc32.ChecksumIEEE(append([]byte(o.kind+" "+string(o.Field)+" "+string(o.Direction)+" "), place...))
}

func (o listOrder) cursor(of row) string { return o.encode(of.Cursor(o.Field)) }

func (o listOrder) encode(cursor db.Cursor) string {
	place := binary.AppendVarint(nil, cursor.ID)
	switch o.Field {
	case db.OrderByName:
		place = append(place, cursor.Name...)
	case db.OrderByCreatedAt, db.OrderByUpdatedAt:
		place = binary.AppendVarint(place, cursor.Time.UnixMicro())
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(place, o.checksum(place)))
}

// decode reads what encode wrote, and nothing else.
func (o listOrder) decode(text string) (db.Cursor, bool) {
	const sum = 4 // bytes
	place, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(place) < sum {
		return db.Cursor{}, false
	}
	place = place[:len(place)-sum]
	id, read := binary.Varint(place)
	cursor, rest := db.Cursor{ID: id}, place[max(read, 0):]
	switch o.Field {
	case db.OrderByName:
		cursor.Name = string(rest)
	case db.OrderByCreatedAt, db.OrderByUpdatedAt:
		micros, _ := binary.Varint(rest)
		cursor.Time = db.Time{Time: time.UnixMicro(micros).UTC()}
	}
	return cursor, isText(cursor.Name) && inDatabase(cursor.Time.Time) && o.encode(cursor) == text
}

// inDatabase reports whether both databases can hold a time.
func inDatabase(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// isText reports whether both databases can hold a string.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func (f *PortfolioFilter) conditions() (filter db.Filter, faults faults) {
	if f != nil {
		filter.Search = faults.search(f.Search)
		filter.CreatedFrom, filter.CreatedBefore = faults.timeRange(f.CreatedAt, "createdAt")
		filter.UpdatedFrom, filter.UpdatedBefore = faults.timeRange(f.UpdatedAt, "updatedAt")
	}
	return filter, faults
}

func (f *PortfolioLinkFilter) conditions() (filter db.Filter, faults faults) {
	if f != nil {
		filter, faults = (&PortfolioFilter{f.Search, f.CreatedAt, f.UpdatedAt}).conditions()
		filter.HasImage = nullable(f.HasImage)
	}
	return filter, faults
}

func (f *faults) search(text *string) string {
	if text == nil {
		return ""
	}
	f.text(*text, 0, maxName, "filter", "search")
	return *text
}

func (f *faults) timeRange(given *DateTimeRange, name string) (from, before sql.Null[db.Time]) {
	if given == nil {
		return from, before
	}
	if given.From != nil && given.Before != nil && !given.From.Before(given.Before.Time) {
		f.add("must be after from", "filter", name, "before")
	}
	return nullable(given.From), nullable(given.Before)
}

func nullable[T any](value *T) (null sql.Null[T]) {
	if value != nil {
		null = sql.Null[T]{V: *value, Valid: true}
	}
	return null
}
