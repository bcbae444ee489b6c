package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// ErrForeignTable means that a table of this program is missing, or belongs to another program.
var ErrForeignTable = errors.New("the database has tables of another program")

// createdColumns are the columns with which migrations create each table.
var createdColumns = []struct {
	table   string
	columns []string
}{
	{"users", []string{"id", "username", "is_active", "is_staff", "is_admin", "created_at"}},
	{"user_permissions", []string{"user_id", "code"}},
	{"tokens", []string{"id", "user_id", "key_hash", "created_at", "label", "expires_at"}},
	{"portfolios", []string{"id", "name", "created_at", "updated_at"}},
	{"images", []string{"id", "type", "name", "path", "size", "width", "height", "mode", "created_at", "mime_type", "placeholder", "source_hash"}},
	{"thumbnails", []string{"id", "image_id", "path", "size", "width", "height", "file_size"}},
	{"portfolio_links", []string{"id", "portfolio_id", "image_id", "name", "url", "description", "created_at", "updated_at"}},
	{"moved_rows", []string{"kind", "key", "hash"}},
}

// insufficientPrivilege is a code of PostgreSQL.
const insufficientPrivilege = "42501"

// CheckTables returns an error that wraps ErrForeignTable unless this program has created
// the tables that exist.
func (db *DB) CheckTables(ctx context.Context) error { return db.checkTables(ctx, db.read) }

// checkTables is like CheckTables for a pool.
func (db *DB) checkTables(ctx context.Context, pool *bun.DB) error {
	columns, err := db.existingColumns(ctx, pool)
	if err != nil {
		return wrap(err)
	}
	migrator, _, err := db.migrator(pool)
	if err != nil {
		return err
	}
	applied, err := migrator.AppliedMigrations(ctx) // without a table of migrations there are none
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == insufficientPrivilege {
		return fmt.Errorf("the tables belong to another role: make the role of DATABASE_URL their owner, or grant it all privileges: %w", err)
	}
	if err := wrap(err); errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	if problems := tableProblems(columns, len(applied) > 0); problems != nil {
		return fmt.Errorf("%w: %s", ErrForeignTable, strings.Join(problems, "; "))
	}
	return nil
}

// tableProblems describes how existing tables differ from the tables of the migrations.
func tableProblems(columns map[string][]string, migrated bool) (problems []string) {
	for _, created := range createdColumns {
		existing := columns[created.table]
		missing := slices.DeleteFunc(slices.Clone(created.columns), func(column string) bool { return slices.Contains(existing, column) })
		switch {
		case existing == nil && migrated && created.table != "moved_rows": // a later migration creates it
			problems = append(problems, created.table+" does not exist")
		case existing != nil && len(missing) > 0:
			problems = append(problems, created.table+" lacks the columns "+strings.Join(missing, ", "))
		case existing != nil && !migrated:
			problems = append(problems, created.table+" exists, and no migration has created it")
		}
	}
	return problems
}

// existingColumns returns the columns of the tables of this program that exist.
func (db *DB) existingColumns(ctx context.Context, pool *bun.DB) (map[string][]string, error) {
	var names []string
	for _, created := range createdColumns {
		names = append(names, created.table)
	}
	query := pool.NewSelect().TableExpr("sqlite_master AS m").Join("JOIN pragma_table_info(m.name) AS c").ColumnExpr("lower(m.name) AS name, c.name AS column_name").
		Where("m.type IN ('table', 'view') AND lower(m.name) IN (?)", bun.List(names))
	if db.Postgres() {
		query = pool.NewSelect().TableExpr("pg_attribute AS a").Join("JOIN pg_class AS c ON c.oid = a.attrelid").ColumnExpr("c.relname AS name, a.attname AS column_name").
			Where("a.attnum > 0 AND NOT a.attisdropped AND c.relname IN (?) AND c.oid = to_regclass(quote_ident(c.relname))", bun.List(names))
	}
	var rows []struct{ Name, ColumnName string }
	err := query.Scan(ctx, &rows)
	columns := map[string][]string{}
	for _, row := range rows {
		columns[row.Name] = append(columns[row.Name], row.ColumnName)
	}
	return columns, err
}
