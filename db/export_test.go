package db

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// HoldLookups pretends that a lookup is in flight until release is called. Lookups wait
// for it for at most maxWait.
func (db *DB) HoldLookups(maxWait time.Duration) (release func()) {
	db.linkLookups.maxWait = maxWait
	_ = db.linkLookups.enqueue(0)
	return db.linkLookups.release
}

// Transaction runs do in a transaction.
func (db *DB) Transaction(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	return db.transaction(ctx, do)
}

// FetchBatch fetches links with one statement and reports whether it succeeded.
func (db *DB) FetchBatch(ids ...int64) (links []*PortfolioLink, ok bool) {
	calls := make([]*call[int64, *PortfolioLink], len(ids))
	for i, id := range ids {
		calls[i] = &call[int64, *PortfolioLink]{key: id, done: make(chan struct{})}
	}
	db.linkLookups.mu.Lock()
	db.linkLookups.inFlight++
	db.linkLookups.mu.Unlock()
	db.linkLookups.run(calls)
	ok = true
	for _, c := range calls {
		links, ok = append(links, c.value), ok && c.ok
	}
	return links, ok
}

// WaitingLookups returns the number of lookups that wait for a batch.
func (db *DB) WaitingLookups() int {
	db.linkLookups.mu.Lock()
	defer db.linkLookups.mu.Unlock()
	return len(db.linkLookups.waiting)
}

// LinkQuery returns the SQL that looks up one link.
func (db *DB) LinkQuery() string { return db.linksByIDs[0].text }

// ExplainLinks returns the plan for the rows of a page of each portfolio's
// links, or of all links if there is no portfolio.
func (db *DB) ExplainLinks(ctx context.Context, list List, portfolioIDs ...int64) (string, error) {
	spec := db.linkList(list.WithImages)
	if len(portfolioIDs) == 0 {
		spec.parentColumn = ""
	}
	return explain(ctx, db, spec, list, portfolioIDs)
}

// ExplainPortfolios returns the plan for the rows of a page of portfolios.
func (db *DB) ExplainPortfolios(ctx context.Context, list List) (string, error) {
	return explain(ctx, db, db.portfolioList(), list, nil)
}

// ExplainAdjacentLinks returns the plan for the links that are adjacent to links.
func (db *DB) ExplainAdjacentLinks(ctx context.Context, direction Direction, ids ...int64) (string, error) {
	return explainText(ctx, db, db.adjacentQuery(adjacency{direction, true}).text, []any{db.idTableArg(ids)})
}

func explain[R sizer](ctx context.Context, db *DB, spec listSpec[R], list List, parents []int64) (string, error) {
	q, args := rowQuery(db, spec, list, newWhere(db, spec, list.Filter, parents), len(parents) > 1)
	return explainText(ctx, db, q.text, args)
}

func explainText(ctx context.Context, db *DB, text string, args []any) (string, error) {
	prefix, dest := "EXPLAIN ", []any{new(string)}
	if !db.Postgres() {
		prefix, dest = "EXPLAIN QUERY PLAN ", []any{new(int), new(int), new(int), new(string)}
	}
	var plan strings.Builder
	q := &preparedQuery{text: prefix + text}
	q.removed.Store(true) // so that the query is not prepared
	err := db.runObserved(ctx, q, args, func(row row) error {
		err := row.Scan(dest...)
		plan.WriteString(*dest[len(dest)-1].(*string) + "\n")
		return err
	})
	return plan.String(), err
}

// ExplainLinksOfImages returns the plan for the rows of a page of each image's
// links.
func (db *DB) ExplainLinksOfImages(ctx context.Context, list List, imageIDs ...int64) (string, error) {
	return explain(ctx, db, db.imageLinkList(list.WithImages), list, imageIDs)
}

// ExplainImages returns the plan for the rows of a page of images.
func (db *DB) ExplainImages(ctx context.Context, list List) (string, error) {
	return explain(ctx, db, db.imageList(), list, nil)
}

// ExplainUsedFiles returns the plan to find the rows that refer to files.
func (db *DB) ExplainUsedFiles(ctx context.Context, files ...FileKey) (string, error) {
	return explainText(ctx, db, selectUsed(db.read, files).String(), nil)
}

// Schema describes the columns, indexes and triggers of all tables.
func (db *DB) Schema(ctx context.Context) (lines []string, err error) {
	query := `SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'bun%' ORDER BY 1`
	if db.Postgres() {
		query = `SELECT concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable, column_default)
			FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'bun%'
			UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'bun%' ORDER BY 1`
	}
	return lines, db.read.NewRaw(query).Scan(ctx, &lines)
}

// CachedQueries returns the number of cached queries for the rows of lists, and how many of
// them the driver of SQLite has prepared.
func (db *DB) CachedQueries() (cached, prepared int) {
	db.rowQueries.mu.RLock()
	defer db.rowQueries.mu.RUnlock()
	for _, q := range db.rowQueries.queries {
		if q.sqlite.Load() != nil {
			prepared++
		}
	}
	return len(db.rowQueries.queries), prepared
}

// MaxCachedQueries bounds CachedQueries.
const MaxCachedQueries = maxCachedQueries

// HasCachedList reports whether the query for the rows of a list of a table is cached.
func (db *DB) HasCachedList(table string, limit int) bool {
	db.rowQueries.mu.RLock()
	defer db.rowQueries.mu.RUnlock()
	for key := range db.rowQueries.queries {
		if list, ok := key.(queryKey); ok && list.table == table && list.limit == limit {
			return true
		}
	}
	return false
}
