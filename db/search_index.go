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

// elements returns the columns of the index, each with an operator class.
func (i searchIndex) elements(operatorClass string) string {
	return strings.Join(i.columns, " "+operatorClass+", ") + " " + operatorClass
}

// create returns the statements that create the index. It may exist and be invalid, after an
// interrupted CREATE INDEX CONCURRENTLY. The operator class may be in a schema that is not in
// the search path.
func (i searchIndex) create(operatorClass string) string {
	return fmt.Sprintf("DROP INDEX IF EXISTS %[1]s; CREATE INDEX %[1]s ON %[2]s USING gin (%[3]s)", i.name, i.table, i.elements(operatorClass))
}

// missingSearchIndexes returns the indexes that do not exist or are invalid. An index with
// different columns or of a different kind is invalid too.
func (db *DB) missingSearchIndexes(ctx context.Context) (missing []searchIndex, err error) {
	for _, index := range searchIndexes {
		var columns []string
		err := db.read.NewSelect().TableExpr("pg_index AS i").Join("JOIN pg_class AS c ON c.oid = i.indexrelid").Join("JOIN pg_am AS m ON m.oid = c.relam").
			Join("CROSS JOIN unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS k (attnum, opclass, position)").
			Join("LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum").Join("JOIN pg_opclass AS o ON o.oid = k.opclass").
			ColumnExpr("concat(a.attname, ' ', o.opcname)").
			Where("i.indisvalid AND i.indisready AND i.indpred IS NULL AND m.amname = 'gin'").
			Where("c.relname = ? AND i.indrelid = to_regclass(?)", index.name, index.table).OrderExpr("k.position").Scan(ctx, &columns)
		if err != nil {
			return nil, wrap(err)
		}
		if strings.Join(columns, ", ") != index.elements("gin_trgm_ops") {
			missing = append(missing, index)
		}
	}
	return missing, nil
}

// operatorClass returns the qualified name of the extension's operator class, or "" if the
// database does not have it.
func (db *DB) operatorClass(ctx context.Context) (string, error) {
	var names []string
	err := db.read.NewSelect().TableExpr("pg_opclass AS o").Join("JOIN pg_namespace AS n ON n.oid = o.opcnamespace").
		ColumnExpr("quote_ident(n.nspname) || '.gin_trgm_ops'").Where("o.opcname = 'gin_trgm_ops'").OrderExpr("has_schema_privilege(n.oid, 'USAGE') DESC, n.nspname").Limit(1).Scan(ctx, &names)
	return strings.Join(names, ""), wrap(err)
}

// createSearchIndexes creates the indexes that migrations could not create. The role may not
// create the extension, or its schema was not in the search path. SearchProblems describes the
// indexes that the role may not create.
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
	if isSearchProblem(err) {
		return nil
	}
	return wrap(err)
}

// isSearchProblem reports whether the server lacks the extension, or the role a privilege.
func isSearchProblem(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains([]string{"42501", "58P01", "0A000", "42704"}, pgErr.Code) // insufficient_privilege, undefined_file, feature_not_supported, undefined_object
}

// SearchProblems describes the missing search indexes of PostgreSQL, with the statements that
// create each index. It reads no rows of tables.
func (db *DB) SearchProblems(ctx context.Context) (problems []string, err error) {
	if !db.Postgres() {
		return nil, nil
	}
	missing, err := db.missingSearchIndexes(ctx)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	class, err := db.operatorClass(ctx)
	if err != nil {
		return nil, err
	}
	grants, err := db.missingGrants(ctx, class)
	for _, index := range missing {
		remedy := grants + index.create(class)
		if class == "" {
			remedy = "the database lacks the extension pg_trgm: " + createExtension + "; and then migrate"
		}
		problems = append(problems, fmt.Sprintf("searches of %s read every row: the index %s is missing or invalid: %s", index.table, index.name, remedy))
	}
	return problems, err
}

// missingGrants returns the statements that grant the privileges on schemas which the role
// needs to create an index.
func (db *DB) missingGrants(ctx context.Context, operatorClass string) (string, error) {
	var grants []string
	schema := strings.TrimSuffix(operatorClass, ".gin_trgm_ops")
	err := db.read.NewSelect().TableExpr("pg_namespace AS n").Join("CROSS JOIN (VALUES ('USAGE'), ('CREATE')) AS p (privilege)").
		ColumnExpr("concat('GRANT ', privilege, ' ON SCHEMA ', quote_ident(n.nspname), ' TO ', quote_ident(current_user), '; ')").
		Where("NOT has_schema_privilege(n.oid, privilege)").
		Where("quote_ident(n.nspname) = ? AND privilege = 'USAGE' OR n.oid IN (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('portfolios'))", schema).
		OrderExpr("privilege DESC").Scan(ctx, &grants)
	return strings.Join(grants, ""), wrap(err)
}
