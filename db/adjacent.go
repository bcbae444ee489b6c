package db

import (
	"context"

	"github.com/uptrace/bun"
)

// adjacency is the key under which a page caches the links that are adjacent to its links.
type adjacency struct {
	direction Direction
	images    bool
}

// AdjacentLink returns the next link of the same portfolio, by ascending or descending
// positions, or ErrNotFound. One statement reads the adjacent links of all links of the
// link's page.
func (db *DB) AdjacentLink(ctx context.Context, link *PortfolioLink, direction Direction, withImage bool) (*PortfolioLink, error) {
	page := link.page
	if page == nil {
		page = &linkPage{rows: []*PortfolioLink{link}}
	}
	key := adjacency{direction, withImage}
	adjacent, err := page.adjacent.load(key, func() (map[int64]*PortfolioLink, error) {
		return db.adjacentLinks(ctx, page.rows, key)
	})
	if err == nil && adjacent[link.ID] == nil {
		err = ErrNotFound
	}
	return adjacent[link.ID], err
}

// adjacentLinks returns the adjacent links of links, by the IDs of links.
func (db *DB) adjacentLinks(ctx context.Context, links []*PortfolioLink, key adjacency) (map[int64]*PortfolioLink, error) {
	if err := db.listSlots.Acquire(ctx, 1); err != nil {
		return nil, wrap(err)
	}
	defer db.listSlots.Release(1)
	ids, byID := make([]int64, len(links)), make(map[int64]*PortfolioLink, len(links))
	for i, link := range links {
		ids[i], byID[link.ID] = link.ID, link
	}
	var rows []*PortfolioLink
	adjacent := make(map[int64]*PortfolioLink, len(links))
	ctx, readSet := untracked(ctx)
	for _, link := range links {
		readSet.add(PortfolioNode, link.PortfolioID)
	}
	scan := scanAdjacent(db.linkList(key.images).scan)
	err := query(ctx, db, db.adjacentQuery(key), []any{db.idTableArg(ids)}, scan, func(a adjacentLink) {
		a.portfolio = byID[a.linkID].portfolio
		readSet.addLink(a.PortfolioLink)
		rows, adjacent[a.linkID] = append(rows, a.PortfolioLink), a.PortfolioLink
	})
	shareLinkPage(rows)
	return adjacent, err
}

// adjacentQuery returns the query for the adjacent links of the links whose IDs are in the
// first argument. Its last column is the ID of the argument.
func (db *DB) adjacentQuery(key adjacency) *preparedQuery {
	return db.rowQueries.get(key, "SELECT adjacent portfolio_links", false, func() *bun.SelectQuery {
		order := NewOrderBy(Order{OrderByPosition, key.direction})
		nearPosition, position, operator := OrderByPosition.column("near."), OrderByPosition.column("of_link."), order[0].operator()
		nearest := db.read.NewSelect().TableExpr("portfolio_links AS near").ColumnExpr("near.id").
			Where("near.portfolio_id = of_link.portfolio_id").
			Where(nearPosition + " " + operator + "= " + position). // SQLite does not seek by a comparison of rows
			Where("(" + nearPosition + ", near.id) " + operator + " (" + position + ", of_link.id)").
			OrderExpr(order.expression("near.")).Limit(1)
		return db.linkList(key.images).
			query(db.idTable()+" JOIN portfolio_links AS of_link ON of_link.id = parent.value JOIN portfolio_links AS link ON link.id = (?)", nearest).
			ColumnExpr("of_link.id")
	})
}

// adjacentLink is a link that is adjacent to the link with the ID linkID.
type adjacentLink struct {
	*PortfolioLink
	linkID int64
}

// scanAdjacent returns a function that scans an adjacentLink. The function scan scans its
// PortfolioLink.
func scanAdjacent(scan func(row) (*PortfolioLink, error)) func(row) (adjacentLink, error) {
	return func(row row) (a adjacentLink, err error) {
		a.PortfolioLink, err = scan(extendedRow{row, &a.linkID})
		return a, err
	}
}

// extendedRow is a row with one more column at the end, which is scanned into last.
type extendedRow struct {
	row
	last any
}

func (r extendedRow) Scan(dest ...any) error { return r.row.Scan(append(dest, r.last)...) }
