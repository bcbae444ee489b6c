package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A searchIndex is an index of PostgreSQL that supports searches.
type searchIndex struct {
	name, table string
	columns     []string
}

var searchIndexes = []searchIndex{
	{"portfolios_search", "portfolios", []string{"name"}},
	{"portfolio_links_search", "portfolio_links", []string{"name", "description"}},
	{"images_search", "images", []string{"name", "alt"}},
}

// createExtension creates the extension whose operator class the indexes use.
const createExtension = "CREATE EXTENSION IF NOT EXISTS pg_trgm"

// create returns the statements that create the index. It may exist and be invalid, after an
// interrupted CREATE INDEX CONCURRENTLY. The operator class may be in a schema that is not in
// the search path.
func (i searchIndex) create(operatorClass string) string {
	columns := make([]string, len(i.columns))
	for n, column := range i.columns {
		columns[n] = column + " " + operatorClass
	}
	return fmt.Sprintf("DROP INDEX IF EXISTS %[1]s; CREATE INDEX %[1]s ON %[2]s USING gin (%[3]s)", i.name, i.table, strings.Join(columns, ", "))
}

// missingSearchIndexes returns the indexes that do not exist or are invalid.
func (db *DB) missingSearchIndexes(ctx context.Context) ([]searchIndex, error) {
	var existing []string
	err := db.read.NewSelect().TableExpr("pg_index AS i").Join("JOIN pg_class AS c ON c.oid = i.indexrelid").ColumnExpr("c.relname").
		Where("i.indisvalid AND i.indrelid IN (to_regclass('portfolios'), to_regclass('portfolio_links'), to_regclass('images'))").Scan(ctx, &existing)
	missing := slices.DeleteFunc(slices.Clone(searchIndexes), func(index searchIndex) bool { return slices.Contains(existing, index.name) })
	return missing, wrap(err)
}

// operatorClass returns the qualified name of the operator class of the extension, or "" if
// the database does not have it.
func (db *DB) operatorClass(ctx context.Context) (string, error) {
	var names []string
	err := db.read.NewSelect().TableExpr("pg_opclass AS o").Join("JOIN pg_namespace AS n ON n.oid = o.opcnamespace").
		ColumnExpr("quote_ident(n.nspname) || '.gin_trgm_ops'").Where("o.opcname = 'gin_trgm_ops'").Order("n.nspname").Limit(1).Scan(ctx, &names)
	return strings.Join(names, ""), wrap(err)
}

// createSearchIndexes creates the indexes that migrations could not create, because the role
// might not create the extension, or its schema was not in the search path. It leaves those
// that the role may not create, which SearchProblems describes.
func (db *DB) createSearchIndexes(ctx context.Context) error {
	missing, err := db.missingSearchIndexes(ctx)
	if err != nil || len(missing) == 0 {
		return err
	}
	class, err := db.operatorClass(ctx)
	if err == nil && class == "" {
		if _, err = db.write.ExecContext(ctx, createExtension); err == nil {
			class, err = db.operatorClass(ctx)
		}
	}
	for _, index := range missing {
		if err == nil {
			_, err = db.write.ExecContext(ctx, index.create(class))
		}
	}
	if isRefused(err) {
		return nil
	}
	return wrap(err)
}

// isRefused reports whether the server lacks the extension, or the role a privilege.
func isRefused(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"42501", "58P01", "0A000", "42704"}, refused.Code) // insufficient_privilege, undefined_file, feature_not_supported, undefined_object
}

// SearchProblems describes the missing search indexes of PostgreSQL, with the statements that
// create each. It reads no rows of tables.
func (db *DB) SearchProblems(ctx context.Context) (problems []string, err error) {
	if !db.Postgres() {
		return nil, nil
	}
	missing, err := db.missingSearchIndexes(ctx)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	class, err := db.operatorClass(ctx)
	for _, index := range missing {
		remedy := index.create(class)
		if class == "" {
			remedy = "the database lacks the extension pg_trgm: " + createExtension + "; and then migrate"
		}
		problems = append(problems, fmt.Sprintf("searches of %s read every row: the index %s is missing or invalid: %s", index.table, index.name, remedy))
	}
	return problems, err
}
