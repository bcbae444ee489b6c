package db

import (
	"context"
	"slices"
	"sync"

	"github.com/uptrace/bun"
)

func (db *DB) portfolios() *bun.SelectQuery {
	return db.portfoliosIn("portfolios AS portfolio")
}

func (db *DB) portfoliosIn(from string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().
		TableExpr(from, args...).
		ColumnExpr("portfolio.id, portfolio.name, portfolio.created_at, portfolio.updated_at")
}

func scanPortfolio(row row) (*Portfolio, error) {
	portfolio := new(Portfolio)
	return portfolio, row.Scan(&portfolio.ID, &portfolio.Name, &portfolio.CreatedAt, &portfolio.UpdatedAt)
}

// Portfolio finds a portfolio, or ErrNotFound.
func (db *DB) Portfolio(ctx context.Context, id int64) (*Portfolio, error) {
	return queryOne(ctx, db, &db.portfolioByID, scanPortfolio, id)
}

// Portfolios reads a page of all portfolios.
func (db *DB) Portfolios(ctx context.Context, list List) (*Page[*Portfolio], error) {
	found, err := pages(ctx, db, db.portfolioList(), list, all)
	if err != nil {
		return nil, err
	}
	page := found[all]
	asSiblings(page.Rows)
	return page, nil
}

func (db *DB) portfolioList() listed[*Portfolio] {
	return listed[*Portfolio]{
		table: "portfolios", alias: "portfolio", searched: []string{"name"},
		query: db.portfoliosIn, scan: scanPortfolio, size: (*Portfolio).size,
		parent: func(*Portfolio) int64 { return all },
	}
}

// PortfolioLinks reads a page of the links of a portfolio, or of all links if
// portfolioID is nil.
func (db *DB) PortfolioLinks(ctx context.Context, portfolioID *int64, list List) (*Page[*PortfolioLink], error) {
	of, parent := db.linkList(list.WithImages), int64(all)
	if portfolioID != nil {
		parent = *portfolioID
	} else {
		of.within, of.parent = "", func(*PortfolioLink) int64 { return all }
	}
	found, err := pages(ctx, db, of, list, parent)
	if err != nil {
		return nil, err
	}
	page := found[parent]
	siblings := &linkSiblings{rows: page.Rows}
	for _, link := range page.Rows {
		link.siblings = siblings
	}
	return page, nil
}

func (db *DB) linkList(images bool) listed[*PortfolioLink] {
	of := listed[*PortfolioLink]{
		table: "portfolio_links", alias: "link", searched: []string{"name", "description"},
		query: db.bareLinks, scan: scanBareLink, size: (*PortfolioLink).size,
		within: "portfolio_id",
		parent: func(link *PortfolioLink) int64 { return link.PortfolioID },
	}
	if images {
		of.query, of.scan = db.links, scanLink
	}
	return of
}

// together shares what is read for rows that were read together. The first
// that asks has it read for all of them, so that the number of statements
// does not depend on the number of rows.
type together[V any] struct {
	mu    sync.Mutex
	reads map[any]func() (map[int64]V, error)
}

func (t *together[V]) once(key any, read func() (map[int64]V, error)) (map[int64]V, error) {
	t.mu.Lock()
	found := t.reads[key]
	if found == nil {
		if t.reads == nil {
			t.reads = map[any]func() (map[int64]V, error){}
		}
		found = sync.OnceValues(read)
		t.reads[key] = found
	}
	t.mu.Unlock()
	return found()
}

type portfolioSiblings struct {
	rows  []*Portfolio
	links together[*Page[*PortfolioLink]]
}

func asSiblings(portfolios []*Portfolio) {
	siblings := &portfolioSiblings{rows: portfolios}
	for _, portfolio := range portfolios {
		portfolio.siblings = siblings
	}
}

// Links reads a page of a portfolio's links, and the same page for every
// portfolio that was read with it.
func (db *DB) Links(ctx context.Context, portfolio *Portfolio, list List) (*Page[*PortfolioLink], error) {
	siblings := portfolio.siblings
	if siblings == nil {
		siblings = &portfolioSiblings{rows: []*Portfolio{portfolio}}
	}
	found, err := siblings.links.once(list, func() (map[int64]*Page[*PortfolioLink], error) {
		return db.linksOfAll(ctx, siblings.rows, list)
	})
	return found[portfolio.ID], err
}

func (db *DB) linksOfAll(ctx context.Context, portfolios []*Portfolio, list List) (map[int64]*Page[*PortfolioLink], error) {
	ids := make([]int64, len(portfolios))
	for i, portfolio := range portfolios {
		ids[i] = portfolio.ID
	}
	found, err := pages(ctx, db, db.linkList(list.WithImages), list, ids...)
	if err != nil {
		return nil, err
	}
	for _, portfolio := range portfolios {
		for _, link := range found[portfolio.ID].Rows {
			link.portfolio = portfolio
		}
	}
	return found, nil
}

type linkSiblings struct {
	rows       []*PortfolioLink
	portfolios together[*Portfolio]
}

// PortfolioOf reads the portfolio of a link, and that of every link that was
// read with it.
func (db *DB) PortfolioOf(ctx context.Context, link *PortfolioLink) (*Portfolio, error) {
	if link.portfolio != nil {
		return link.portfolio, nil
	}
	if link.siblings == nil {
		return db.Portfolio(ctx, link.PortfolioID)
	}
	found, err := link.siblings.portfolios.once(nil, func() (map[int64]*Portfolio, error) {
		return db.portfoliosOfAll(ctx, link.siblings.rows)
	})
	if err == nil && found[link.PortfolioID] == nil {
		err = ErrNotFound
	}
	return found[link.PortfolioID], err
}

func (db *DB) portfoliosOfAll(ctx context.Context, links []*PortfolioLink) (map[int64]*Portfolio, error) {
	ids := make([]int64, len(links))
	for i, link := range links {
		ids[i] = link.PortfolioID
	}
	slices.Sort(ids)
	var portfolios []*Portfolio
	found := map[int64]*Portfolio{}
	err := db.query(ctx, &db.portfoliosByID, []any{db.parentsArg(slices.Compact(ids))}, func(row row) error {
		portfolio, err := scanPortfolio(row)
		portfolios, found[portfolio.ID] = append(portfolios, portfolio), portfolio
		return err
	})
	asSiblings(portfolios)
	return found, err
}
