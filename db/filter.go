package db

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// Filter selects the rows of a list. A zero field selects all.
type Filter struct {
	Search        string // in the name, and in the description of a link
	HasImage      sql.Null[bool]
	CreatedFrom   sql.Null[Time]
	CreatedBefore sql.Null[Time]
	UpdatedFrom   sql.Null[Time]
	UpdatedBefore sql.Null[Time]
}

// A whereClause joins conditions by AND. It refers to arguments by number, so
// that its text does not depend on their values.
type whereClause struct {
	conditions []string
	args       []any
}

// add adds a condition in which each ? stands for an argument. Copies of the
// clause do not change.
func (c *whereClause) add(condition string, args ...any) {
	for _, arg := range args {
		c.args = append(slices.Clip(c.args), arg)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.conditions = append(slices.Clip(c.conditions), condition)
}

func (c *whereClause) String() string {
	if len(c.conditions) == 0 {
		return "true"
	}
	return strings.Join(c.conditions, " AND ")
}

// addFilter adds the conditions of a filter on the columns of a table.
func (db *DB) addFilter(where *whereClause, filter Filter, table string, searched []string) {
	if filter.Search != "" && db.Postgres() {
		condition, args := postgresSearch(filter.Search, searched)
		where.add(condition, args...)
	} else if filter.Search != "" {
		condition, args := sqliteSearch(filter.Search, table, searched)
		where.add(condition, args...)
	}
	if has := filter.HasImage; has.Valid && has.V {
		where.add("image_id IS NOT NULL")
	} else if has.Valid {
		where.add("image_id IS NULL")
	}
	for _, bound := range []struct {
		condition string
		time      sql.Null[Time]
	}{
		{"created_at >= ?", filter.CreatedFrom},
		{"created_at < ?", filter.CreatedBefore},
		{"updated_at >= ?", filter.UpdatedFrom},
		{"updated_at < ?", filter.UpdatedBefore},
	} {
		if bound.time.Valid {
			where.add(bound.condition, bound.time.V)
		}
	}
}

// addCursor adds the condition that rows are on one side of a cursor.
func (db *DB) addCursor(where *whereClause, order Order, cursor Cursor, operator string) {
	column := order.Field.column("")
	switch order.Field {
	case OrderByName:
		if !db.Postgres() { // SQLite seeks in an index of an expression by a scalar comparison only
			where.add(column+" "+operator[:1]+"= ?", cursor.Name)
		}
		where.add("("+column+", id) "+operator+" (?, ?)", cursor.Name, cursor.ID)
	case OrderByCreatedAt, OrderByUpdatedAt:
		where.add("("+column+", id) "+operator+" (?, ?)", cursor.Time, cursor.ID)
	default:
		where.add("id "+operator+" ?", cursor.ID)
	}
}
