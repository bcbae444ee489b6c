package db

import (
	"slices"
	"strings"
)

// OrderField is a field by which a list can be ordered.
type OrderField string

// The fields by which lists can be ordered.
const (
	OrderByID        OrderField = "ID"
	OrderByName      OrderField = "NAME" // its first maxTextKey characters, by code point
	OrderByCreatedAt OrderField = "CREATED_AT"
	OrderByUpdatedAt OrderField = "UPDATED_AT"
	OrderByPosition  OrderField = "POSITION" // of links, in their portfolio
)

// maxTextKey is the number of characters of a text that an index holds.
const maxTextKey = 255

// textKey returns the expression of a text that an index holds.
func textKey(column string) string { return "substr(" + column + ", 1, 255)" }

// column returns the expression that an index holds. The table, unless empty,
// ends in a dot.
func (f OrderField) column(table string) string {
	switch f {
	case OrderByName:
		return textKey(table + "name")
	case OrderByCreatedAt:
		return table + "created_at"
	case OrderByUpdatedAt:
		return table + "updated_at"
	case OrderByPosition:
		return "COALESCE(" + table + "position, CAST(" + table + "id AS double precision))"
	}
	return table + "id"
}

// Direction is the direction of an order.
type Direction string

// The directions of an order.
const (
	Ascending  Direction = "ASC"
	Descending Direction = "DESC"
)

// Order is a key of the order of a list.
type Order struct {
	Field     OrderField
	Direction Direction
}

// operator returns the SQL operator that holds between a row and the rows before it.
func (o Order) operator() string {
	if o.Direction == Descending {
		return "<"
	}
	return ">"
}

// OrderBy is the order of a list. Equal orders have equal values.
type OrderBy [5]Order // one for each field; the key ID is the last

// NewOrderBy returns the order by the given keys, most significant first. No two keys
// have the same field. Rows with equal keys are ordered by ID, in the direction of the
// last key.
func NewOrderBy(keys ...Order) OrderBy {
	var order OrderBy
	direction := Ascending
	for i, key := range keys {
		order[i], direction = key, key.Direction
		if key.Field == OrderByID {
			return order
		}
	}
	order[len(keys)] = Order{OrderByID, direction}
	return order
}

// Keys returns the keys, most significant first. The last one is the ID.
func (o *OrderBy) Keys() []Order {
	last := slices.IndexFunc(o[:], func(key Order) bool { return key.Field == OrderByID })
	return o[:last+1]
}

func (o OrderBy) reversed() OrderBy {
	for i, key := range o.Keys() {
		o[i].Direction = Descending
		if key.Direction == Descending {
			o[i].Direction = Ascending
		}
	}
	return o
}

// expression returns the ORDER BY expression for a table, whose name ends in a dot.
func (o OrderBy) expression(table string) string {
	var keys []string
	for _, key := range o.Keys() {
		keys = append(keys, key.Field.column(table)+" "+string(key.Direction))
	}
	return strings.Join(keys, ", ")
}
