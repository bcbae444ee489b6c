package db

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
)

// A valueKind is a kind of values that a column of SQLite may have.
type valueKind struct {
	name     string
	mismatch string // condition that the value of the column ? is of a different kind
}

var (
	textValue    = valueKind{"text", "typeof(?) NOT IN ('text', 'null')"}
	booleanValue = valueKind{"0 or 1", "? NOT IN (0, 1)"}
	integerValue = valueKind{"an integer", "typeof(?) NOT IN ('integer', 'null')"}
	int32Value   = valueKind{"an integer of 32 bits", "typeof(?) NOT IN ('integer', 'null') OR ? NOT BETWEEN -2147483648 AND 2147483647"}
)

// valueColumns are the columns whose values triggers of SQLite check.
var valueColumns = []struct {
	table, column string
	kind          valueKind
}{
	{"users", "username", textValue}, {"users", "is_active", booleanValue}, {"users", "is_staff", booleanValue}, {"users", "is_admin", booleanValue},
	{"user_permissions", "user_id", integerValue}, {"user_permissions", "code", int32Value},
	{"tokens", "user_id", integerValue}, {"tokens", "label", textValue},
	{"portfolios", "name", textValue},
	{"images", "type", textValue}, {"images", "name", textValue}, {"images", "path", textValue}, {"images", "size", integerValue}, {"images", "width", int32Value}, {"images", "height", int32Value}, {"images", "mode", textValue}, {"images", "mime_type", textValue}, {"images", "placeholder", textValue}, {"images", "alt", textValue},
	{"thumbnails", "image_id", integerValue}, {"thumbnails", "path", textValue}, {"thumbnails", "size", int32Value}, {"thumbnails", "width", int32Value}, {"thumbnails", "height", int32Value}, {"thumbnails", "file_size", integerValue},
	{"portfolio_links", "portfolio_id", integerValue}, {"portfolio_links", "image_id", integerValue}, {"portfolio_links", "name", textValue}, {"portfolio_links", "url", textValue}, {"portfolio_links", "description", textValue},
}

// valueProblems describes values of SQLite that are not of the type of their column. They
// are older than the triggers that reject such values. It scans all tables, by the
// conditions of the triggers.
func (db *DB) valueProblems(ctx context.Context) (problems []string, err error) {
	if db.Postgres() {
		return nil, nil
	}
	for _, c := range valueColumns {
		var rows []struct {
			RowID int64 `bun:"rowid"`
			Value string
		}
		column := bun.Ident(c.column)
		err := db.read.NewSelect().Table(c.table).ColumnExpr("rowid AS rowid, substr(quote(?), 1, 40) AS value", column).
			Where(strings.ReplaceAll(c.kind.mismatch, "?", string(column))).Order("rowid").Limit(maxProblems).Scan(ctx, &rows)
		if err != nil {
			return nil, wrap(err)
		}
		for _, row := range rows {
			problems = append(problems, fmt.Sprintf("%s.%s of the row with the rowid %d is not %s and is read as zero or null: %s", c.table, c.column, row.RowID, c.kind.name, row.Value))
		}
	}
	return problems, nil
}
