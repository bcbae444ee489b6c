package db

import (
	"context"

	"github.com/uptrace/bun"
)

// neighbours says which links to read for those of a page.
type neighbours struct {
	direction Direction
	images    bool
}

// Neighbour returns the link that follows a link in its portfolio, by ascending
// or descending positions, or ErrNotFound. It reads that of every link that was
// read together with it, by one statement.
func (db *DB) Neighbour(ctx context.Context, link *PortfolioLink, direction Direction, withImage bool) (*PortfolioLink, error) {
	page := link.page
	if page == nil {
		page = &linkPage{rows: []*PortfolioLink{link}}
	}
	which := neighbours{direction, withImage}
	found, err := page.neighbours.load(which, func() (map[int64]*PortfolioLink, error) {
		return db.neighboursOfPage(ctx, page.rows, which)
	})
	if err == nil && found[link.ID] == nil {
		err = ErrNotFound
	}
	return found[link.ID], err
}

func (db *DB) neighboursOfPage(ctx context.Context, links []*PortfolioLink, which neighbours) (map[int64]*PortfolioLink, error) {
	if err := db.listSlots.Acquire(ctx, 1); err != nil {
		return nil, wrap(err)
	}
	defer db.listSlots.Release(1)
	ids, byID := make([]int64, len(links)), make(map[int64]*PortfolioLink, len(links))
	for i, link := range links {
		ids[i], byID[link.ID] = link.ID, link
	}
	var rows []*PortfolioLink
	found := make(map[int64]*PortfolioLink, len(links))
	ctx, readSet := untracked(ctx)
	for _, link := range links {
		readSet.add(PortfolioNode, link.PortfolioID)
	}
	scan := scanNeighbour(db.linkList(which.images).scan)
	err := query(ctx, db, db.neighbourQuery(which), []any{db.idTableArg(ids)}, scan, func(n neighbour) {
		n.portfolio = byID[n.linkID].portfolio
		readSet.addLink(n.PortfolioLink)
		rows, found[n.linkID] = append(rows, n.PortfolioLink), n.PortfolioLink
	})
	shareLinkPage(rows)
	return found, err
}

// neighbourQuery selects the neighbour of each link whose id is in the first
// argument, and that id.
func (db *DB) neighbourQuery(which neighbours) *preparedQuery {
	return db.rowQueries.get(which, "SELECT portfolio_links neighbours", false, func() *bun.SelectQuery {
		order := NewOrderBy(Order{OrderByPosition, which.direction})
		near, of, follows := OrderByPosition.column("near."), OrderByPosition.column("of_link."), order[0].operator()
		nearest := db.read.NewSelect().TableExpr("portfolio_links AS near").ColumnExpr("near.id").
			Where("near.portfolio_id = of_link.portfolio_id").
			Where(near + " " + follows + "= " + of). // SQLite does not seek by a comparison of rows
			Where("(" + near + ", near.id) " + follows + " (" + of + ", of_link.id)").
			OrderExpr(order.on("near.")).Limit(1)
		return db.linkList(which.images).
			query(db.idTable()+" JOIN portfolio_links AS of_link ON of_link.id = parent.value JOIN portfolio_links AS link ON link.id = (?)", nearest).
			ColumnExpr("of_link.id")
	})
}

// neighbour is a link that is adjacent to the link with the ID linkID.
type neighbour struct {
	*PortfolioLink
	linkID int64
}

// scanNeighbour returns a function that scans a neighbour. The function scan scans its
// PortfolioLink.
func scanNeighbour(scan func(row) (*PortfolioLink, error)) func(row) (neighbour, error) {
	return func(row row) (n neighbour, err error) {
		n.PortfolioLink, err = scan(longerRow{row, &n.linkID})
		return n, err
	}
}

// longerRow is a row with one more column, the last.
type longerRow struct {
	row
	last any
}

func (r longerRow) Scan(dest ...any) error { return r.row.Scan(append(dest, r.last)...) }
