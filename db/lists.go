package db

import "database/sql"

// OrderField is what a list is ordered by; equal rows by their ids.
type OrderField string

// The orders there are.
const (
	OrderByID        OrderField = "ID"
	OrderByName      OrderField = "NAME" // its first 255 characters, by code point
	OrderByCreatedAt OrderField = "CREATED_AT"
	OrderByUpdatedAt OrderField = "UPDATED_AT"
)

// column is what an index holds. The table, if named, ends in a dot.
func (f OrderField) column(table string) string {
	switch f {
	case OrderByName:
		return "substr(" + table + "name, 1, 255)"
	case OrderByCreatedAt:
		return table + "created_at"
	case OrderByUpdatedAt:
		return table + "updated_at"
	}
	return table + "id"
}

// Direction is the direction of an order.
type Direction string

// The directions there are.
const (
	Ascending  Direction = "ASC"
	Descending Direction = "DESC"
)

// Order is the order of a list.
type Order struct {
	Field     OrderField
	Direction Direction
}

// on is the order of rows of a table, of which the name ends in a dot.
func (o Order) on(table string) string {
	direction := " " + string(o.Direction)
	if o.Field == OrderByID {
		return table + "id" + direction
	}
	return o.Field.column(table) + direction + ", " + table + "id" + direction
}

// Cursor is the place of a row in a list, whether the row is still there or
// not. Of Name and Time the one is set that the list is ordered by.
type Cursor struct {
	Name string
	Time Time
	ID   int64
}

// maxNameKey is how much of a name counts in an order, in characters.
const maxNameKey = 255

// Cursor is the place of the portfolio in a list of that order.
func (p *Portfolio) Cursor(by OrderField) Cursor {
	return cursor(by, p.ID, p.Name, p.CreatedAt, p.UpdatedAt)
}

// Cursor is the place of the link in a list of that order.
func (l *PortfolioLink) Cursor(by OrderField) Cursor {
	return cursor(by, l.ID, l.Name, l.CreatedAt, l.UpdatedAt)
}

func cursor(by OrderField, id int64, name string, created, updated Time) Cursor {
	switch by {
	case OrderByName:
		return Cursor{ID: id, Name: firstCharacters(name, maxNameKey)}
	case OrderByCreatedAt:
		return Cursor{ID: id, Time: created}
	case OrderByUpdatedAt:
		return Cursor{ID: id, Time: updated}
	}
	return Cursor{ID: id}
}

func firstCharacters(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// Filter leaves rows out. What is zero filters nothing.
type Filter struct {
	Search        string // in the name, and in a link's description
	HasImage      sql.Null[bool]
	CreatedFrom   sql.Null[Time]
	CreatedBefore sql.Null[Time]
	UpdatedFrom   sql.Null[Time]
	UpdatedBefore sql.Null[Time]
}

// List says which page of a list to read, and what of it. Lists that are
// equal are the same query.
type List struct {
	Filter   Filter
	Order    Order
	Limit    int
	Backward bool             // the last rows, or those before From
	From     sql.Null[Cursor] // the page begins after it, or ends before it

	WithRows   bool
	WithImages bool // of links
	WithTotal  bool
	WithBeyond bool
}

// Page is a part of a list, in its order.
type Page[R any] struct {
	Rows   []R
	More   bool // whether rows follow in the direction of reading
	Beyond bool // whether rows lie on the other side of From; read WithBeyond
	Total  int  // rows of the list; read WithTotal
}
