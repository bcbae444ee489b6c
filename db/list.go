package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/uptrace/bun"
)

// List selects a page of a list, and the parts of the page to read. Equal lists are
// the same query.
type List struct {
	Filter   Filter
	Order    OrderBy
	Limit    int
	Backward bool             // read the last rows, or the rows before Cursor
	Cursor   sql.Null[Cursor] // the page starts after it, or ends before it

	WithRows      bool
	WithImages    bool // of links
	WithTotal     bool
	WithPreceding bool
}

// Page is a part of a list, in the order of the list.
type Page[R any] struct {
	Rows         []R
	HasMore      bool // whether rows follow in the direction of reading
	HasPreceding bool // whether rows precede Cursor in that direction; read if WithPreceding
	Total        int  // rows of the list; read if WithTotal
}

// listSpec describes how to list the rows of a table.
type listSpec[R sizer] struct {
	table        string
	alias        string
	searched     []string // columns
	query        func(table string, args ...any) *bun.SelectQuery
	scan         func(row) (R, error)
	parentColumn string   // the column with the ID of a row's parent, "" to list all rows
	parent       NodeType // if set, a list depends on its parent and on the nodes that record adds
	record       func(*ReadSet, R)
	parentOf     func(R) int64 // value of parentColumn
}

// indexHint returns a clause that names the index that SQLite must use, or "". Without the clause,
// SQLite would sort all rows, or read all rows in their order.
func (s *listSpec[R]) indexHint(db *DB, filter Filter, order OrderBy) string {
	var field OrderField
	switch {
	case db.Postgres(), filter.Search != "", filter.URL.Valid, filter.ImageID.Valid:
		return ""
	case filter.Name.Valid:
		field = OrderByName
	case order != NewOrderBy(order[0]): // indexes hold the first key only
		field = order[0].Field
	default:
		return ""
	}
	index := s.table
	if s.parentColumn != "" {
		index += "_" + s.parentColumn
	}
	return " INDEXED BY " + index + "_" + strings.ToLower(string(field))
}

// noParent stands for the parent in a list of all rows.
const noParent = 0

// idTable returns a table expression of the IDs in the first argument, in a column named value.
func (db *DB) idTable() string {
	if db.Postgres() {
		return "unnest(CAST($1 AS bigint[])) AS parent (value)"
	}
	return "json_each($1) AS parent"
}

func (db *DB) idTableArg(ids []int64) any {
	if db.Postgres() {
		return ids
	}
	text, _ := json.Marshal(ids) // cannot fail for integers
	return string(text)
}

// readPages reads the same page of each parent's list. It runs one statement
// for the rows and one for the counts, for any number of parents.
func readPages[R sizer](ctx context.Context, db *DB, spec listSpec[R], list List, parents ...int64) (map[int64]*Page[R], error) {
	if err := db.listSlots.Acquire(ctx, 1); err != nil {
		return nil, wrap(err)
	}
	defer db.listSlots.Release(1)
	pages := make(map[int64]*Page[R], len(parents))
	for _, id := range parents {
		pages[id] = new(Page[R])
	}
	var readSet *ReadSet
	if spec.parent != "" {
		ctx, readSet = untracked(ctx)
		readSet.add(spec.parent, parents...)
	}
	where := newWhere(db, spec, list.Filter, parents)
	if list.WithTotal || list.WithPreceding && list.Cursor.Valid {
		if err := readCounts(ctx, db, spec, list, where, parents, pages); err != nil {
			return nil, err
		}
	}
	if !list.WithRows {
		return pages, nil
	}
	q, args := rowQuery(db, spec, list, where, len(parents) > 1)
	err := query(ctx, db, q, args, spec.scan, func(row R) {
		if readSet != nil {
			spec.record(readSet, row)
		}
		page := pages[spec.parentOf(row)]
		if page.HasMore = len(page.Rows) == list.Limit; !page.HasMore {
			page.Rows = append(page.Rows, row)
		}
	})
	if list.Backward {
		for _, page := range pages {
			slices.Reverse(page.Rows)
		}
	}
	return pages, err
}

func readCounts[R sizer](ctx context.Context, db *DB, spec listSpec[R], list List, where whereClause, parents []int64, pages map[int64]*Page[R]) error {
	q, args := countQuery(db, spec, list, where, len(parents) > 1)
	return query(ctx, db, q, args, scanCounts, func(c counts) {
		if len(parents) == 1 {
			c.parent = parents[0]
		}
		*pages[c.parent] = Page[R]{Total: c.total, HasPreceding: c.hasPreceding}
	})
}

// counts are the numbers of rows of a parent's list.
type counts struct {
	total        int
	hasPreceding bool
	parent       int64
}

func scanCounts(row row) (c counts, err error) {
	return c, row.Scan(&c.total, &c.hasPreceding, &c.parent)
}

func newWhere[R sizer](db *DB, spec listSpec[R], filter Filter, parents []int64) whereClause {
	var where whereClause
	switch {
	case spec.parentColumn == "":
	case len(parents) == 1:
		where.add(spec.parentColumn+" = ?", parents[0])
	default:
		where.args = []any{db.idTableArg(parents)}
		where.add(spec.parentColumn + " = parent.value")
	}
	db.addFilter(&where, filter, spec.table, spec.searched)
	return where
}

// readOrder returns the order in which the statement reads rows.
func (l *List) readOrder() OrderBy {
	if l.Backward {
		return l.Order.reversed()
	}
	return l.Order
}

// queryKey holds everything that determines the text of a query.
type queryKey struct {
	table            string
	where, preceding string
	order            OrderBy
	limit            int
	nested, images   bool
	filtered         bool // many rows may have to be read to fill a page
}

// rowQuery returns the query for the rows of a page. It selects one more row, to determine
// HasMore.
func rowQuery[R sizer](db *DB, spec listSpec[R], list List, where whereClause, nested bool) (*preparedQuery, []any) {
	order := list.readOrder()
	if list.Cursor.Valid {
		db.addCursor(&where, order.Keys(), list.Cursor.V, false)
	}
	key := queryKey{table: spec.table + spec.indexHint(db, list.Filter, order), where: where.String(), order: order, limit: list.Limit, nested: nested, images: list.WithImages, filtered: list.Filter != Filter{}}
	return db.rowQueries.get(key, listName(spec.table, "list", list), list.Filter.Search != "", func() *bun.SelectQuery { return buildRowQuery(db, spec, key) }), where.args
}

// listName returns the name of the statement for the rows of lists or their counts. It
// does not name filters and orders, which are too many.
func listName(table, operation string, list List) string {
	if list.Filter.Search != "" {
		operation += " with search"
	}
	return "SELECT " + table + " " + operation
}

// buildRowQuery selects the rows of a page before it joins anything to them.
func buildRowQuery[R sizer](db *DB, spec listSpec[R], key queryKey) *bun.SelectQuery {
	page := db.read.NewSelect().TableExpr(key.table).Where(key.where).OrderExpr(key.order.expression("")).Limit(int64(key.limit) + 1)
	var query *bun.SelectQuery
	switch {
	case !key.nested && key.filtered && !db.Postgres():
		// A deadline interrupts only the first step of a statement: it must
		// contain the whole search.
		query = spec.query("(WITH page AS MATERIALIZED (?) SELECT * FROM page) AS ?", page.ColumnExpr("*"), bun.Ident(spec.alias))
	case !key.nested:
		query = spec.query("(?) AS ?", page.ColumnExpr("*"), bun.Ident(spec.alias))
	case db.Postgres():
		query = spec.query(db.idTable()+" CROSS JOIN LATERAL (?) AS ?", page.ColumnExpr("*"), bun.Ident(spec.alias))
	default: // SQLite has no LATERAL
		query = spec.query(db.idTable()+" CROSS JOIN ? AS ?", bun.Ident(spec.table), bun.Ident(spec.alias)).
			Where("?.id IN (?)", bun.Ident(spec.alias), page.ColumnExpr("id"))
	}
	return query.OrderExpr(key.order.expression(spec.alias + "."))
}

// countQuery returns the query for Total and HasPreceding of each parent's
// page.
func countQuery[R sizer](db *DB, spec listSpec[R], list List, where whereClause, nested bool) (*preparedQuery, []any) {
	key := queryKey{table: spec.table, nested: nested}
	total, preceding := "0", "false"
	if list.WithTotal {
		key.where = where.String()
		total = "(SELECT count(*) FROM " + spec.table + " WHERE " + key.where + ")"
	}
	if list.WithPreceding && list.Cursor.Valid {
		order := list.readOrder().reversed()
		db.addCursor(&where, order.Keys(), list.Cursor.V, true)
		key.preceding = where.String()
		preceding = "EXISTS (SELECT 1 FROM " + spec.table + " WHERE " + key.preceding + ")"
	}
	return db.countQueries.get(key, listName(spec.table, "count", list), list.Filter.Search != "", func() *bun.SelectQuery {
		query := db.read.NewSelect().ColumnExpr(total).ColumnExpr(preceding)
		if nested {
			return query.ColumnExpr("parent.value").TableExpr(db.idTable())
		}
		return query.ColumnExpr("0")
	}), where.args
}

// A pageCache loads data once for all rows of a page. So the number of
// statements does not depend on the number of rows.
type pageCache[V any] struct {
	mu    sync.Mutex
	loads map[any]func() (map[int64]V, error)
}

// load calls the function load for the first row that needs the data of a key. For the remaining
// rows it returns the same data.
func (c *pageCache[V]) load(key any, load func() (map[int64]V, error)) (map[int64]V, error) {
	c.mu.Lock()
	loadOnce := c.loads[key]
	if loadOnce == nil {
		if c.loads == nil {
			c.loads = map[any]func() (map[int64]V, error){}
		}
		loadOnce = sync.OnceValues(load)
		c.loads[key] = loadOnce
	}
	c.mu.Unlock()
	return loadOnce()
}
