package graph

import (
	"context"
	"database/sql"
	"strconv"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/graph/model"
)

// Sizes of a page in rows.
const (
	defaultPageSize = 20
	maxPageSize     = 100
)

// The names of the lists, which their cursors belong to.
const (
	portfolioList = "portfolios"
	linkList      = "links"
)

// pageArgs are the arguments of every list.
type pageArgs struct {
	orderBy *db.Order
	first   *int
	after   *string
	last    *int
	before  *string
}

// list returns what to read for a list, given the arguments and the selection of
// its field.
func (p pageArgs) list(ctx context.Context, name string, filter db.Filter, errs inputErrors) (db.List, model.CursorCodec, error) {
	order := model.CursorCodec{List: name, Order: db.Order{Field: db.OrderByID, Direction: db.Ascending}}
	if p.orderBy != nil {
		order.Order = *p.orderBy
	}
	list := db.List{Filter: filter, Order: order.Order, Limit: defaultPageSize, Backward: p.last != nil || p.before != nil}
	if list.Backward && (p.first != nil || p.after != nil) {
		errs.add("and after cannot be combined with last and before", "first")
	}
	size, sizeName, from, fromName, oppositeField := p.first, "first", p.after, "after", "pageInfo.hasPreviousPage"
	if list.Backward {
		size, sizeName, from, fromName, oppositeField = p.last, "last", p.before, "before", "pageInfo.hasNextPage"
	}
	if size != nil {
		if list.Limit = *size; *size < 1 || *size > maxPageSize {
			errs.add("must be 1 to "+strconv.Itoa(maxPageSize), sizeName)
		}
	}
	if from != nil {
		cursor, ok := order.Decode(*from)
		if list.Cursor = (sql.Null[db.Cursor]{V: cursor, Valid: true}); !ok {
			errs.add("is not a cursor of this list in this order", fromName)
		}
	}
	list.WithRows = graphql.AnyFieldRequested(ctx, "nodes", "edges", "pageInfo")
	list.WithImages = graphql.AnyFieldRequested(ctx, "nodes.imageData", "edges.node.imageData")
	list.WithTotal = graphql.FieldRequested(ctx, "totalCount")
	list.WithPreceding = graphql.FieldRequested(ctx, oppositeField)
	return list, order, errs.err()
}

func portfolioFilter(f *model.PortfolioFilter) (filter db.Filter, errs inputErrors) {
	if f != nil {
		filter.Search = errs.search(f.Search)
		filter.CreatedFrom, filter.CreatedBefore = errs.timeRange(f.CreatedAt, "createdAt")
		filter.UpdatedFrom, filter.UpdatedBefore = errs.timeRange(f.UpdatedAt, "updatedAt")
	}
	return filter, errs
}

func linkFilter(f *model.PortfolioLinkFilter) (filter db.Filter, errs inputErrors) {
	if f != nil {
		filter, errs = portfolioFilter(&model.PortfolioFilter{Search: f.Search, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt})
		filter.HasImage = nullable(f.HasImage)
	}
	return filter, errs
}

func (e *inputErrors) search(text *string) string {
	if text == nil {
		return ""
	}
	e.text(*text, 0, maxName, "filter", "search")
	return *text
}

func (e *inputErrors) timeRange(r *model.DateTimeRange, name string) (from, before sql.Null[db.Time]) {
	if r == nil {
		return from, before
	}
	if r.From != nil && r.Before != nil && !r.From.Before(r.Before.Time) {
		e.add("must be after from", "filter", name, "before")
	}
	return nullable(r.From), nullable(r.Before)
}

func nullable[T any](value *T) (null sql.Null[T]) {
	if value != nil {
		null = sql.Null[T]{V: *value, Valid: true}
	}
	return null
}
