package graph

import (
	"context"
	"database/sql"
	"slices"
	"strconv"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/graph/model"
	"portfolio/internal/apierror"
	"portfolio/internal/document"
)

// Sizes of a page in rows.
const (
	defaultPageSize = document.DefaultPageSize
	maxPageSize     = 100
)

// listKind is a kind of list. Its cursors are valid for this kind only.
type listKind struct {
	name   string
	fields []db.OrderField // fields by which the list can be ordered
}

var (
	portfolioList = listKind{"portfolios", []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt}}
	linkList      = listKind{"links", append(slices.Clone(portfolioList.fields), db.OrderByPosition)}
	imageList     = listKind{"images", []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt}}
	userList      = listKind{name: "users"} // by ID only
	tokenList     = listKind{name: "tokens"}
)

// pageArgs are the arguments of every list.
type pageArgs struct {
	orderBy []*db.Order
	first   *int
	after   *string
	last    *int
	before  *string
}

// readPage fetches the page of a list that args select.
func readPage[R model.Row](ctx context.Context, args pageArgs, kind listKind, filter db.Filter, errs inputErrors, fetch func(db.List) (*db.Page[R], error)) (*model.Connection[R], error) {
	list, cursors, err := args.list(ctx, kind, filter, errs)
	if err != nil {
		return nil, err
	}
	page, err := fetch(list)
	if err != nil {
		return nil, err
	}
	return model.NewConnection(page, list, cursors), nil
}

// list returns the db.List for the arguments and the selection of a field.
func (p pageArgs) list(ctx context.Context, kind listKind, filter db.Filter, errs inputErrors) (db.List, *model.CursorCodec, error) {
	cursors := &model.CursorCodec{List: kind.name, Order: errs.orderBy(p.orderBy, kind.fields)}
	list := db.List{Filter: filter, Order: cursors.Order, Limit: defaultPageSize, Backward: p.last != nil || p.before != nil}
	if list.Backward && (p.first != nil || p.after != nil) {
		errs.add("cannot be combined with last or before", "first")
	}
	size, sizeName, cursorText, cursorName, oppositeField := p.first, "first", p.after, "after", "pageInfo.hasPreviousPage"
	if list.Backward {
		size, sizeName, cursorText, cursorName, oppositeField = p.last, "last", p.before, "before", "pageInfo.hasNextPage"
	}
	if size != nil {
		if list.Limit = *size; *size < 1 || *size > maxPageSize {
			errs.add("must be 1 to "+strconv.Itoa(maxPageSize), sizeName)
		}
	}
	if cursorText != nil {
		cursor, ok := cursors.Decode(*cursorText)
		if list.Cursor = (sql.Null[db.Cursor]{V: cursor, Valid: true}); !ok {
			errs.add("is not a cursor of this list in this order", cursorName)
		}
	}
	list.WithRows = graphql.AnyFieldRequested(ctx, "nodes", "edges", "pageInfo")
	list.WithImages = graphql.AnyFieldRequested(ctx, "nodes.imageData", "edges.node.imageData")
	list.WithTotal = graphql.FieldRequested(ctx, "totalCount")
	list.WithPreceding = graphql.FieldRequested(ctx, oppositeField)
	return list, cursors, errs.err()
}

// orderBy returns the order of a list that can be ordered by the given fields.
func (e *inputErrors) orderBy(keys []*db.Order, fields []db.OrderField) db.OrderBy {
	var valid []db.Order
	for i, key := range keys {
		switch {
		case !slices.Contains(fields, key.Field):
			e.add("must be "+apierror.OneOf(fields), "orderBy", i, "field")
		case slices.ContainsFunc(valid, func(k db.Order) bool { return k.Field == key.Field }):
			e.add("repeats "+string(key.Field), "orderBy", i, "field")
		default:
			valid = append(valid, *key)
		}
	}
	return db.NewOrderBy(valid...)
}

// rejectPosition adds an error for each key that orders links of several portfolios by position.
func (e *inputErrors) rejectPosition(keys []*db.Order) {
	for i, key := range keys {
		if key.Field == db.OrderByPosition {
			e.add("POSITION needs portfolioId", "orderBy", i, "field")
		}
	}
}

func portfolioFilter(f *model.PortfolioFilter) (filter db.Filter, errs inputErrors) {
	if f != nil {
		filter.Search, filter.Name = errs.search(f.Search), errs.equal(f.Name, maxName, "name")
		filter.CreatedFrom, filter.CreatedBefore = errs.timeRange(f.CreatedAt, "createdAt")
		filter.UpdatedFrom, filter.UpdatedBefore = errs.timeRange(f.UpdatedAt, "updatedAt")
	}
	return filter, errs
}

func linkFilter(f *model.PortfolioLinkFilter) (filter db.Filter, errs inputErrors) {
	if f != nil {
		filter, errs = portfolioFilter(&model.PortfolioFilter{Search: f.Search, Name: f.Name, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt})
		filter.URL, filter.HasImage = errs.equal(f.URL, maxURL, "url"), nullable(f.HasImage)
		filter.ImageID = nullable(errs.optionalID(f.ImageID, db.ImageNode, "filter", "imageId"))
	}
	return filter, errs
}

func imageFilter(f *model.ImageFilter) (filter db.Filter, errs inputErrors) {
	if f != nil {
		filter.Search = errs.search(f.Search)
		filter.Unused, filter.Type = nullable(f.Unused), nullable(f.Type)
		errs.optional(f.Type, maxName, "filter", "type")
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

func (e *inputErrors) equal(text *string, atMost int, name string) sql.Null[string] {
	e.optional(text, atMost, "filter", name)
	return nullable(text)
}

func (e *inputErrors) timeRange(r *model.DateTimeRange, name string) (lower, upper sql.Null[db.Time]) {
	if r == nil {
		return lower, upper
	}
	if r.From != nil && r.Before != nil && !r.From.Before(r.Before.Time) {
		e.add("must be later than from", "filter", name, "before")
	}
	return nullable(r.From), nullable(r.Before)
}

func nullable[T any](value *T) (null sql.Null[T]) {
	if value != nil {
		null = sql.Null[T]{V: *value, Valid: true}
	}
	return null
}
