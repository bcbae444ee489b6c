package db

import (
	"context"
	"slices"

	"github.com/uptrace/bun"
)

// selectPortfolios selects the columns that scanPortfolio scans. The alias of table is
// portfolio.
func (db *DB) selectPortfolios(table string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().
		TableExpr(table, args...).
		ColumnExpr("portfolio.id, portfolio.name, portfolio.created_at, portfolio.updated_at")
}

func scanPortfolio(row row) (*Portfolio, error) {
	portfolio := new(Portfolio)
	return portfolio, row.Scan(&portfolio.ID, &portfolio.Name, &portfolio.CreatedAt, &portfolio.UpdatedAt)
}

// Portfolio returns a portfolio, or ErrNotFound.
func (db *DB) Portfolio(ctx context.Context, id int64) (*Portfolio, error) {
	ctx, readSet := untracked(ctx)
	readSet.add(PortfolioNode, id)
	return queryOne(ctx, db, &db.portfolioByID, scanPortfolio, id)
}

// Portfolios reads a page of all portfolios.
func (db *DB) Portfolios(ctx context.Context, list List) (*Page[*Portfolio], error) {
	pages, err := readPages(ctx, db, db.portfolioList(), list, noParent)
	if err != nil {
		return nil, err
	}
	page := pages[noParent]
	sharePortfolioPage(page.Rows)
	return page, nil
}

func (db *DB) portfolioList() listSpec[*Portfolio] {
	return listSpec[*Portfolio]{
		table: "portfolios", alias: "portfolio", searched: []string{"name"},
		query: db.selectPortfolios, scan: scanPortfolio,
		parentOf: func(*Portfolio) int64 { return noParent },
	}
}

// portfolioPage holds portfolios that were read together, and their links.
type portfolioPage struct {
	rows  []*Portfolio
	links pageCache[*Page[*PortfolioLink]]
}

// sharePortfolioPage records that portfolios were read together.
func sharePortfolioPage(portfolios []*Portfolio) {
	page := &portfolioPage{rows: portfolios}
	for _, portfolio := range portfolios {
		portfolio.page = page
	}
}

// Links reads a page of a portfolio's links. One statement reads the same page for all
// portfolios of the portfolio's page.
func (db *DB) Links(ctx context.Context, portfolio *Portfolio, list List) (*Page[*PortfolioLink], error) {
	page := portfolio.page
	if page == nil {
		page = &portfolioPage{rows: []*Portfolio{portfolio}}
	}
	pages, err := page.links.load(list, func() (map[int64]*Page[*PortfolioLink], error) {
		return db.linksOfPage(ctx, page.rows, list)
	})
	return pages[portfolio.ID], err
}

// linksOfPage returns the same page of links for each portfolio, by the IDs of portfolios.
func (db *DB) linksOfPage(ctx context.Context, portfolios []*Portfolio, list List) (map[int64]*Page[*PortfolioLink], error) {
	ids := make([]int64, len(portfolios))
	for i, portfolio := range portfolios {
		ids[i] = portfolio.ID
	}
	pages, err := readPages(ctx, db, db.linkList(list.WithImages), list, ids...)
	if err != nil {
		return nil, err
	}
	for _, portfolio := range portfolios {
		for _, link := range pages[portfolio.ID].Rows {
			link.portfolio = portfolio
		}
	}
	shareLinkPages(pages)
	return pages, nil
}

// CreatePortfolio stores a portfolio.
func (db *DB) CreatePortfolio(ctx context.Context, name string) (*Portfolio, error) {
	now := Now()
	portfolio := &Portfolio{Name: name, CreatedAt: now, UpdatedAt: now}
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		return db.insert(ctx, tx, "portfolios", portfolio, &portfolio.ID)
	})
	return portfolio, err
}

// PortfolioUpdate holds changes of a portfolio. A nil field is not changed.
type PortfolioUpdate struct {
	Name *string
}

// UpdatePortfolio changes a portfolio. The error is ErrNotFound, or ErrStale if the portfolio
// was last updated at a time other than expected. If expected is nil, any time is accepted.
func (db *DB) UpdatePortfolio(ctx context.Context, id int64, expected *Time, update PortfolioUpdate) (*Portfolio, error) {
	var portfolio Portfolio
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		portfolio = Portfolio{}
		if err := db.lockUnchanged(ctx, tx, &portfolio, id, expected); err != nil {
			return err
		}
		assign(&portfolio.Name, update.Name)
		portfolio.UpdatedAt = nextUpdatedAt(portfolio.UpdatedAt)
		_, err := tx.NewUpdate().Model(&portfolio).ExcludeColumn("created_at").WherePK().Exec(ctx)
		return err
	})
	return &portfolio, err
}

// DeletePortfolio deletes a portfolio with its links. It returns the portfolio
// and the IDs of the links, ascending, or the errors of UpdatePortfolio.
func (db *DB) DeletePortfolio(ctx context.Context, id int64, expected *Time) (*Portfolio, []int64, error) {
	var (
		portfolio Portfolio
		links     []int64
	)
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		portfolio, links = Portfolio{}, []int64{}
		if err := db.lockUnchanged(ctx, tx, &portfolio, id, expected); err != nil {
			return err
		}
		if err := tx.NewDelete().Model((*PortfolioLink)(nil)).Where("portfolio_id = ?", id).Returning("id").Scan(ctx, &links); err != nil {
			return err
		}
		slices.Sort(links)
		_, err := tx.NewDelete().Model(&portfolio).WherePK().Exec(ctx)
		return err
	})
	return &portfolio, links, err
}
