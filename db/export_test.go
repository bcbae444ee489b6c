package db

import (
	"context"
	"strings"
	"time"
)

// HoldLookups pretends that a statement is under way, until release, behind
// which others wait for so long.
func (db *DB) HoldLookups(patience time.Duration) (release func()) {
	db.lookups.patience = patience
	_ = db.wait(0)
	return db.ended
}

// ReadTogether reads links by one statement, and reports whether it could.
func (db *DB) ReadTogether(ids ...int64) (links []*PortfolioLink, ok bool) {
	batch := make([]*lookup, len(ids))
	for i, id := range ids {
		batch[i] = &lookup{id: id, done: make(chan struct{})}
	}
	db.lookups.mu.Lock()
	db.lookups.underWay++
	db.lookups.mu.Unlock()
	db.readTogether(batch)
	ok = true
	for _, lookup := range batch {
		links, ok = append(links, lookup.link), ok && lookup.answered
	}
	return links, ok
}

// Waiting is how many look-ups wait.
func (db *DB) Waiting() int {
	db.lookups.mu.Lock()
	defer db.lookups.mu.Unlock()
	return len(db.lookups.waiting)
}

// ExplainLinks is the plan of the statement that reads the rows of a page of
// each portfolio's links, of all links without a portfolio.
func (db *DB) ExplainLinks(ctx context.Context, list List, portfolioIDs ...int64) (string, error) {
	of := db.linkList(list.WithImages)
	if len(portfolioIDs) == 0 {
		of.within = ""
	}
	return explain(ctx, db, of, list, portfolioIDs)
}

// ExplainPortfolios is the plan of the statement that reads a page of
// portfolios.
func (db *DB) ExplainPortfolios(ctx context.Context, list List) (string, error) {
	return explain(ctx, db, db.portfolioList(), list, nil)
}

func explain[R any](ctx context.Context, db *DB, of listed[R], list List, parents []int64) (string, error) {
	s, args := rowsOf(db, of, list, whereOf(db, of, list.Filter, parents), len(parents) > 1)
	prefix, dest := "EXPLAIN ", []any{new(string)}
	if !db.Postgres() {
		prefix, dest = "EXPLAIN QUERY PLAN ", []any{new(int), new(int), new(int), new(string)}
	}
	var plan strings.Builder
	err := db.query(ctx, &statement{text: prefix + s.text, rare: true}, args, func(row row) error {
		err := row.Scan(dest...)
		plan.WriteString(*dest[len(dest)-1].(*string) + "\n")
		return err
	})
	return plan.String(), err
}
