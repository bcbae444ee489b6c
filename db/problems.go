package db

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
)

// maxProblems bounds the described rows of each kind of problem and each column.
const maxProblems = 10

// Problems describes faults of a database whose schema is current. They do not prevent a
// server from starting.
func (db *DB) Problems(ctx context.Context) ([]string, error) {
	rows, rowsErr := db.RowProblems(ctx)
	searches, searchesErr := db.SearchProblems(ctx)
	orphans, orphansErr := db.orphanProblems(ctx)
	return slices.Concat(rows, searches, orphans), errors.Join(rowsErr, searchesErr, orphansErr)
}

// RowProblems describes values of SQLite that the API cannot show. It scans all tables.
func (db *DB) RowProblems(ctx context.Context) ([]string, error) {
	times, timesErr := db.timeProblems(ctx)
	values, valuesErr := db.valueProblems(ctx)
	return slices.Concat(times, values), errors.Join(timesErr, valuesErr)
}

// orphanProblems describes rows of SQLite that refer to rows which do not exist. Programs
// that do not enable foreign keys leave them.
func (db *DB) orphanProblems(ctx context.Context) (problems []string, err error) {
	if db.Postgres() {
		return nil, nil
	}
	var rows []struct {
		Name   string
		RowID  int64 `bun:"rowid"`
		Parent string
	}
	err = db.read.NewSelect().TableExpr("pragma_foreign_key_check").ColumnExpr(`"table" AS name, rowid, parent`).Limit(maxProblems).Scan(ctx, &rows)
	for _, row := range rows {
		problems = append(problems, fmt.Sprintf("the row of %s with the rowid %d refers to a row of %s that does not exist", row.Name, row.RowID, row.Parent))
	}
	return problems, wrap(err)
}

// timeColumns are the columns of times.
var timeColumns = []struct{ table, column string }{
	{"users", "created_at"}, {"tokens", "created_at"}, {"tokens", "expires_at"}, {"portfolios", "created_at"}, {"portfolios", "updated_at"},
	{"images", "created_at"}, {"portfolio_links", "created_at"}, {"portfolio_links", "updated_at"},
}

// timeProblems describes times of SQLite that cannot be read. They are older than the
// triggers that reject such times. It scans all tables, by the condition of the triggers.
func (db *DB) timeProblems(ctx context.Context) (problems []string, err error) {
	if db.Postgres() {
		return nil, nil
	}
	for _, c := range timeColumns {
		var rows []struct {
			ID   int64
			Text string
		}
		column := bun.Ident(c.column)
		err := db.read.NewSelect().Table(c.table).ColumnExpr("id, CAST(substr(?, 1, 40) AS text) AS text", column).
			Where("? < '0001' OR ? IS NOT strftime('%Y-%m-%dT%H:%M:%S.', substr(?, 1, 19), '+0 days') || printf('%06uZ', substr(?, 21, 6))", column, column, column, column).
			Order("id").Limit(maxProblems).Scan(ctx, &rows)
		if err != nil {
			return nil, wrap(err)
		}
		for _, row := range rows {
			problems = append(problems, fmt.Sprintf("%s.%s of the row %d cannot be read, nor any list with it: %q is not a time such as 2026-01-13T10:05:43Z", c.table, c.column, row.ID, row.Text))
		}
	}
	return problems, nil
}
