package db

import (
	"context"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// prepareLinkLookups renders the queries for 1, 2, 4 ... maxBatch IDs; the last
// ID may be repeated. PostgreSQL keeps their plans, but plans a query for an
// array of IDs each time.
func (db *DB) prepareLinkLookups() {
	for i := range db.linksByIDs {
		placeholders := make([]string, 1<<i)
		for n := range placeholders {
			placeholders[n] = "$" + strconv.Itoa(n+1)
		}
		db.linksByIDs[i].render("SELECT portfolio_links by id", db.selectLinks("portfolio_links AS link").Where("link.id IN ("+strings.Join(placeholders, ", ")+")"))
	}
	db.linkLookups.fetchOne, db.linkLookups.fetchBatch, db.linkLookups.maxWait = db.fetchLink, db.fetchLinks, maxBatchWait
}

// PortfolioLink returns a link with its image and thumbnails, or ErrNotFound. It runs
// one statement. On PostgreSQL, concurrent calls share statements and links: callers
// must not modify the link. Unless portfolioID is nil, the error is also ErrNotFound for a
// link of another portfolio.
func (db *DB) PortfolioLink(ctx context.Context, portfolioID *int64, id int64) (*PortfolioLink, error) {
	ctx, readSet := untracked(ctx)
	link, err := db.lookUpLink(ctx, id)
	if err != nil {
		readSet.addAll() // any portfolio may get the link
		return nil, err
	}
	readSet.addLink(link)
	if portfolioID != nil && *portfolioID != link.PortfolioID {
		return nil, ErrNotFound
	}
	return link, nil
}

// lookUpLink returns a link, or ErrNotFound. On PostgreSQL, it may share a statement with
// concurrent calls.
func (db *DB) lookUpLink(ctx context.Context, id int64) (*PortfolioLink, error) {
	if !db.Postgres() { // SQLite has no round trips to save
		return db.fetchLink(ctx, id)
	}
	start := time.Now()
	link, batched, err := db.linkLookups.load(ctx, id)
	if !batched {
		return link, err
	}
	if db.observe != nil {
		db.observe(ctx, Statement{Name: db.linksByIDs[0].name, Start: start, Err: err, Batched: true})
	}
	if err != nil {
		return nil, wrap(err)
	}
	recordQuery(ctx)
	if link == nil {
		return nil, ErrNotFound
	}
	return link, meterFrom(ctx).count(link) // the context of the batch has no meter
}

func (db *DB) fetchLink(ctx context.Context, id int64) (*PortfolioLink, error) {
	return queryOne(ctx, db, &db.linksByIDs[0], scanLink, id)
}

// fetchLinks sets the links of the calls by one statement.
func (db *DB) fetchLinks(ctx context.Context, calls []*call[int64, *PortfolioLink]) error {
	size := bits.Len(uint(len(calls) - 1))
	ids := make([]any, 1<<size)
	for i := range ids {
		ids[i] = calls[min(i, len(calls)-1)].key
	}
	return query(ctx, db, &db.linksByIDs[size], ids, scanLink, func(link *PortfolioLink) {
		for _, c := range calls {
			if c.key == link.ID {
				c.value = link
			}
		}
	})
}
