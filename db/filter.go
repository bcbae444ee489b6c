package db

import (
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

// Filter selects the rows of a list. A zero field selects all.
type Filter struct {
	Search        string // in the name, and in the description of a link or the alternative text of an image
	Name          sql.Null[string]
	URL           sql.Null[string]
	ImageID       sql.Null[int64]
	HasImage      sql.Null[bool]
	Unused        sql.Null[bool] // whether no link uses the image
	Type          sql.Null[string]
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
	for _, equal := range []struct {
		column string
		text   sql.Null[string]
	}{{"name", filter.Name}, {"url", filter.URL}} {
		if equal.text.Valid {
			where.add(textKey(equal.column)+" = ? AND "+equal.column+" = ?", truncateText(equal.text.V), equal.text.V)
		}
	}
	if image := filter.ImageID; image.Valid {
		where.add("image_id = ?", image.V)
	}
	if has := filter.HasImage; has.Valid && has.V {
		where.add("image_id IS NOT NULL")
	} else if has.Valid {
		where.add("image_id IS NULL")
	}
	if unused := filter.Unused; unused.Valid {
		condition := "EXISTS (SELECT 1 FROM portfolio_links AS link WHERE link.image_id = images.id)"
		if unused.V {
			condition = "NOT " + condition
		}
		where.add(condition)
	}
	if filter.Type.Valid {
		where.add("type = ?", filter.Type.V)
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
			where.add(bound.condition, bound.time.V.roundUp())
		}
	}
}

// addCursor adds the condition that rows follow a cursor in the order of the
// keys. If inclusive is set, a row at the cursor meets the condition too.
func (db *DB) addCursor(where *whereClause, keys []Order, cursor Cursor, inclusive bool) {
	if db.Postgres() && !CanStoreText(cursor.Name) { // no row has such a name
		cursor.Name = strings.ReplaceAll(strings.ToValidUTF8(cursor.Name, "\uFFFD"), "\x00", "")
	}
	first := keys[0]
	mixed := slices.ContainsFunc(keys, func(key Order) bool { return key.Direction != first.Direction })
	expression := first.Field == OrderByName || first.Field == OrderByPosition
	if mixed || expression && !db.Postgres() { // otherwise the comparison of rows seeks in the index too
		where.add(first.Field.column("")+" "+first.operator()+"= ?", cursor.value(first.Field))
	}
	condition, args := followsCursor(keys, cursor, inclusive)
	where.add(condition, args...)
}

// followsCursor returns the condition that a row follows a cursor, and its arguments. It
// compares the keys up to a change of direction as a row, and then the remaining keys.
func followsCursor(keys []Order, cursor Cursor, inclusive bool) (condition string, args []any) {
	var columns []string
	for _, key := range keys {
		if key.Direction != keys[0].Direction {
			break
		}
		columns, args = append(columns, key.Field.column("")), append(args, cursor.value(key.Field))
	}
	row, values, operator := "("+strings.Join(columns, ", ")+")", "(?"+strings.Repeat(", ?", len(columns)-1)+")", keys[0].operator()
	if rest := keys[len(columns):]; len(rest) > 0 {
		condition, restArgs := followsCursor(rest, cursor, inclusive)
		return "(" + row + " " + operator + " " + values + " OR " + row + " = " + values + " AND " + condition + ")", slices.Concat(args, args, restArgs)
	}
	if inclusive {
		operator += "="
	}
	return row + " " + operator + " " + values, args
}
