package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// listed is a table of which there are lists.
type listed[R any] struct {
	table    string
	alias    string
	searched []string // columns
	query    func(from string, args ...any) *bun.SelectQuery
	scan     func(row) (R, error)
	size     func(R) int   // bytes of memory, about
	within   string        // the column that names a row's parent, "" for all rows
	parent   func(R) int64 // its value
}

// all is the parent of rows that are listed without one.
const all = 0

// conditions are joined by AND. Arguments have numbers in their text, so that
// the text does not change with them.
type conditions struct {
	texts []string
	args  []any
}

func (c *conditions) add(text string, args ...any) {
	for _, arg := range args {
		c.args = append(slices.Clip(c.args), arg) // a copy of the conditions may go on otherwise
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.texts = append(slices.Clip(c.texts), text)
}

func (c *conditions) String() string {
	if len(c.texts) == 0 {
		return "true"
	}
	return strings.Join(c.texts, " AND ")
}

// filter adds the conditions of a filter on the columns of a table.
func (db *DB) filter(c *conditions, filter Filter, table string, searched []string) {
	if filter.Search != "" && db.Postgres() {
		text, args := postgresSearch(filter.Search, searched)
		c.add(text, args...)
	} else if filter.Search != "" {
		text, args := sqliteSearch(filter.Search, table, searched)
		c.add(text, args...)
	}
	if has := filter.HasImage; has.Valid && has.V {
		c.add("image_id IS NOT NULL")
	} else if has.Valid {
		c.add("image_id IS NULL")
	}
	for _, bound := range []struct {
		text string
		time sql.Null[Time]
	}{
		{"created_at >= ?", filter.CreatedFrom},
		{"created_at < ?", filter.CreatedBefore},
		{"updated_at >= ?", filter.UpdatedFrom},
		{"updated_at < ?", filter.UpdatedBefore},
	} {
		if bound.time.Valid {
			c.add(bound.text, bound.time.V)
		}
	}
}

// from adds the condition that rows are on one side of a cursor.
func (db *DB) from(c *conditions, order Order, cursor Cursor, operator string) {
	column := order.Field.column("")
	switch order.Field {
	case OrderByName:
		if !db.Postgres() { // which finds the place in an index by an expression alone, not by a row with one
			c.add(column+" "+operator[:1]+"= ?", cursor.Name)
		}
		c.add("("+column+", id) "+operator+" (?, ?)", cursor.Name, cursor.ID)
	case OrderByCreatedAt, OrderByUpdatedAt:
		c.add("("+column+", id) "+operator+" (?, ?)", cursor.Time, cursor.ID)
	default:
		c.add("id "+operator+" ?", cursor.ID)
	}
}

// shape is what the text of a statement depends on.
type shape struct {
	table          string
	where, beyond  string
	order          Order
	limit          int
	nested, images bool
	filtered       bool // many rows may be looked at to find those of a page
}

// parents is a table of the ids in the first argument, in a column named value.
func (db *DB) parents() string {
	if db.Postgres() {
		return "unnest(CAST($1 AS bigint[])) AS parent (value)"
	}
	return "json_each($1) AS parent"
}

func (db *DB) parentsArg(ids []int64) any {
	if db.Postgres() {
		return ids
	}
	text, _ := json.Marshal(ids) // numbers always have a JSON form
	return string(text)
}

// pages reads the same page of each parent's list: in one statement, and one
// more for what is counted, however many parents there are.
func pages[R any](ctx context.Context, db *DB, of listed[R], list List, parents ...int64) (map[int64]*Page[R], error) {
	if err := db.lists.Acquire(ctx, 1); err != nil {
		return nil, wrap(err)
	}
	defer db.lists.Release(1)
	found := make(map[int64]*Page[R], len(parents))
	for _, id := range parents {
		found[id] = new(Page[R])
	}
	where := whereOf(db, of, list.Filter, parents)
	if list.WithTotal || list.WithBeyond && list.From.Valid {
		s, args := countsOf(db, of, list, where, len(parents) > 1)
		err := db.query(ctx, s, args, func(row row) error {
			counted, parent := Page[R]{}, int64(0)
			if err := row.Scan(&counted.Total, &counted.Beyond, &parent); err != nil {
				return err
			}
			if len(parents) == 1 {
				parent = parents[0]
			}
			*found[parent] = counted
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if !list.WithRows {
		return found, nil
	}
	meter, _ := ctx.Value(meterKey{}).(func(bytes int) error)
	s, args := rowsOf(db, of, list, where, len(parents) > 1)
	err := db.query(ctx, s, args, func(row row) error {
		read, err := of.scan(row)
		if err == nil && meter != nil {
			err = meter(of.size(read))
		}
		if err != nil {
			return err
		}
		page := found[of.parent(read)]
		if page.More = len(page.Rows) == list.Limit; !page.More {
			page.Rows = append(page.Rows, read)
		}
		return nil
	})
	if list.Backward {
		for _, page := range found {
			slices.Reverse(page.Rows)
		}
	}
	return found, err
}

func whereOf[R any](db *DB, of listed[R], filter Filter, parents []int64) conditions {
	var where conditions
	switch {
	case of.within == "":
	case len(parents) == 1:
		where.add(of.within+" = ?", parents[0])
	default:
		where.args = []any{db.parentsArg(parents)}
		where.add(of.within + " = parent.value")
	}
	db.filter(&where, filter, of.table, of.searched)
	return where
}

// reading is the order in which rows are read, and how to compare to From the
// rows that are read and those that are beyond.
func (l *List) reading() (order Order, after, beyond string) {
	if (l.Order.Direction == Descending) != l.Backward {
		return Order{l.Order.Field, Descending}, "<", ">="
	}
	return Order{l.Order.Field, Ascending}, ">", "<="
}

// rowsOf is the statement that reads the rows of a page, and one more to know
// whether there are more.
func rowsOf[R any](db *DB, of listed[R], list List, where conditions, nested bool) (*statement, []any) {
	order, after, _ := list.reading()
	if list.From.Valid {
		db.from(&where, order, list.From.V, after)
	}
	key := shape{table: of.table, where: where.String(), order: order, limit: list.Limit, nested: nested, images: list.WithImages, filtered: list.Filter != Filter{}}
	return db.rows.of(key, list.Filter.Search != "", func() *bun.SelectQuery { return rowsQuery(db, of, key) }), where.args
}

// rowsQuery chooses rows before it joins anything to them.
func rowsQuery[R any](db *DB, of listed[R], key shape) *bun.SelectQuery {
	chosen := db.read.NewSelect().TableExpr(of.table).Where(key.where).OrderExpr(key.order.on("")).Limit(int64(key.limit) + 1)
	var query *bun.SelectQuery
	switch {
	case !key.nested && key.filtered && !db.Postgres():
		// A deadline ends the first step of a statement only: rows are chosen in it.
		query = of.query("(WITH chosen AS MATERIALIZED (?) SELECT * FROM chosen) AS ?", chosen.ColumnExpr("*"), bun.Ident(of.alias))
	case !key.nested:
		query = of.query("(?) AS ?", chosen.ColumnExpr("*"), bun.Ident(of.alias))
	case db.Postgres():
		query = of.query(db.parents()+" CROSS JOIN LATERAL (?) AS ?", chosen.ColumnExpr("*"), bun.Ident(of.alias))
	default: // SQLite has no LATERAL
		query = of.query(db.parents()+" CROSS JOIN ? AS ?", bun.Ident(of.table), bun.Ident(of.alias)).
			Where("?.id IN (?)", bun.Ident(of.alias), chosen.ColumnExpr("id"))
	}
	return query.OrderExpr(key.order.on(of.alias + "."))
}

// countsOf is the statement that reads, for each parent, what a page does not
// say of itself: Total and Beyond.
func countsOf[R any](db *DB, of listed[R], list List, where conditions, nested bool) (*statement, []any) {
	key := shape{table: of.table, nested: nested}
	total, beyond := "0", "false"
	if list.WithTotal {
		key.where = where.String()
		total = "(SELECT count(*) FROM " + of.table + " WHERE " + key.where + ")"
	}
	if list.WithBeyond && list.From.Valid {
		order, _, operator := list.reading()
		db.from(&where, order, list.From.V, operator)
		key.beyond = where.String()
		beyond = "EXISTS (SELECT 1 FROM " + of.table + " WHERE " + key.beyond + ")"
	}
	return db.counts.of(key, list.Filter.Search != "", func() *bun.SelectQuery {
		query := db.read.NewSelect().ColumnExpr(total).ColumnExpr(beyond)
		if nested {
			return query.ColumnExpr("parent.value").TableExpr(db.parents())
		}
		return query.ColumnExpr("0")
	}), where.args
}
