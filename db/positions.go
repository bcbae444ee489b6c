package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
)

// Links of a portfolio are ordered by position, and by id where positions are
// equal. A link that was loaded without a position is at its id. A transaction
// that writes a position holds the lock of the portfolio, so the positions that
// it writes differ from all others.

// maxPosition bounds positions, as the tables do.
const maxPosition = 1e300

// CanStorePosition reports whether both databases can store a position.
func CanStorePosition(position float64) bool { return math.Abs(position) <= maxPosition }

// errPortfolioChanged means that a transaction has to run again.
var errPortfolioChanged = fmt.Errorf("%w: links of the portfolio were changed meanwhile", ErrUnavailable)

// Position returns the position of the link in its portfolio.
func (l *PortfolioLink) Position() float64 {
	if l.StoredPosition != nil {
		return *l.StoredPosition
	}
	return float64(l.ID)
}

// LinkMove is a place directly before or after another link, the anchor.
type LinkMove struct {
	AnchorID int64
	After    bool
}

// MoveLink moves a link within its portfolio. It returns the errors of
// UpdatePortfolio, or ErrNoAnchor or ErrOtherPortfolio. A link that is at the
// place already does not change.
func (db *DB) MoveLink(ctx context.Context, id int64, expected *Time, move LinkMove) (*PortfolioLink, error) {
	var link PortfolioLink
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		link = PortfolioLink{}
		if err := db.lockWithPortfolio(ctx, tx, &link, id, expected); err != nil {
			return err
		}
		gap, err := gapAt(ctx, tx, &link, move)
		if err != nil {
			return err
		}
		if !gap.holds(link.place()) {
			positions, err := gap.positions(ctx, tx)
			if err != nil {
				return err
			}
			link.StoredPosition, link.UpdatedAt = &positions[0], nextUpdatedAt(link.UpdatedAt)
			if _, err := tx.NewUpdate().Model(&link).Column("position", "updated_at").WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		return readImages(ctx, tx, &link)
	})
	return &link, err
}

// lockWithPortfolio locks a link like lockUnchanged, after its portfolio if that exists.
func (db *DB) lockWithPortfolio(ctx context.Context, tx bun.Tx, link *PortfolioLink, id int64, expected *Time) error {
	var portfolioID int64
	if err := tx.NewSelect().Model(link).Column("portfolio_id").Where("id = ?", id).Scan(ctx, &portfolioID); err != nil {
		return err
	}
	if err := db.lock(ctx, tx, new(Portfolio), portfolioID, "NO KEY UPDATE"); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := db.lockUnchanged(ctx, tx, link, id, expected); err != nil {
		return err
	}
	if link.PortfolioID != portfolioID {
		return errPortfolioChanged
	}
	return nil
}

// placeLast sets the positions of links, in this order, to the ends of their
// portfolios, which are locked. It runs one statement.
func placeLast(ctx context.Context, tx bun.Tx, links ...*PortfolioLink) error {
	byPortfolio := map[int64][]*PortfolioLink{}
	for _, link := range links {
		byPortfolio[link.PortfolioID] = append(byPortfolio[link.PortfolioID], link)
	}
	var portfolios []struct {
		ID   int64
		Last *float64
	}
	key := OrderByPosition.column("")
	last := tx.NewSelect().Table("portfolio_links").ColumnExpr(key).Where("portfolio_id = portfolio.id").OrderExpr(key + " DESC").Limit(1)
	err := tx.NewSelect().TableExpr("portfolios AS portfolio").ColumnExpr("portfolio.id, (?) AS last", last).
		Where("portfolio.id IN (?)", bun.List(slices.Collect(maps.Keys(byPortfolio)))).Scan(ctx, &portfolios)
	if err != nil {
		return err
	}
	for _, portfolio := range portfolios {
		placed := byPortfolio[portfolio.ID]
		gap := gap{portfolioID: portfolio.ID, links: len(placed)}
		if portfolio.Last != nil {
			gap.left = &place{*portfolio.Last, math.MaxInt64}
		}
		positions, err := gap.positions(ctx, tx)
		if err != nil {
			return err
		}
		for i, link := range placed {
			link.StoredPosition = &positions[i]
		}
	}
	return nil
}

// A place is where a link is in its portfolio.
type place struct {
	Position float64
	ID       int64
}

func (l *PortfolioLink) place() place { return place{l.Position(), l.ID} }

func (p place) before(other place) bool {
	return cmp.Or(cmp.Compare(p.Position, other.Position), cmp.Compare(p.ID, other.ID)) < 0
}

// A gap is where links are to be placed: between neighbours in a portfolio, or
// after the last link. The gap of a single link may be before the first one.
type gap struct {
	portfolioID int64
	links       int    // to place
	moved       *int64 // the id of a link to place, which is no neighbour, or nil if they are new
	left, right *place // nil at an end
}

// gapAt returns the gap before or after the anchor of a move.
func gapAt(ctx context.Context, tx bun.Tx, link *PortfolioLink, move LinkMove) (gap, error) {
	gap := gap{portfolioID: link.PortfolioID, links: 1, moved: &link.ID}
	var anchor PortfolioLink
	err := wrap(tx.NewSelect().Model(&anchor).Where("id = ?", move.AnchorID).Scan(ctx))
	switch {
	case errors.Is(err, ErrNotFound):
		return gap, ErrNoAnchor
	case err == nil && anchor.PortfolioID != link.PortfolioID:
		return gap, ErrOtherPortfolio
	case err != nil:
		return gap, err
	}
	at := anchor.place()
	if move.After {
		gap.left = &at
		gap.right, err = gap.next(ctx, tx, &at, Ascending)
	} else {
		gap.right = &at
		gap.left, err = gap.next(ctx, tx, &at, Descending)
	}
	return gap, err
}

// holds reports whether a place is in the gap.
func (g *gap) holds(p place) bool {
	return (g.left == nil || g.left.before(p)) && (g.right == nil || p.before(*g.right))
}

// nearest selects the places of the nearest links from a place on in a direction.
func (g *gap) nearest(tx bun.Tx, from *place, inclusive bool, direction Direction, limit int) *bun.SelectQuery {
	key, order := OrderByPosition.column(""), NewOrderBy(Order{OrderByPosition, direction})
	query := tx.NewSelect().Table("portfolio_links").ColumnExpr(key+" AS position, id").
		Where("portfolio_id = ?", g.portfolioID).OrderExpr(order.on("")).Limit(int64(limit))
	if g.moved != nil {
		query = query.Where("id <> ?", *g.moved)
	}
	if from == nil { // nothing is beyond an end
		return query.Where("false")
	}
	strict := order[0].operator()
	operator := strict
	if inclusive {
		operator += "="
	}
	// Without the cast, a whole number would be an integer, which may differ.
	return query.Where(key+" "+strict+"= CAST(? AS double precision)", from.Position).
		Where("("+key+", id) "+operator+" (CAST(? AS double precision), ?)", from.Position, from.ID)
}

// next returns the place of the nearest link beyond a place, or nil.
func (g *gap) next(ctx context.Context, tx bun.Tx, from *place, direction Direction) (*place, error) {
	var found []place
	err := g.nearest(tx, from, false, direction, 1).Scan(ctx, &found)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// positions returns ascending positions in the gap. If there are none, it moves
// the neighbours apart.
func (g *gap) positions(ctx context.Context, tx bun.Tx) ([]float64, error) {
	if positions, ok := g.between(); ok {
		return positions, nil
	}
	return g.spread(ctx, tx)
}

// between returns numbers between the neighbours, or false if there are none.
func (g *gap) between() (positions []float64, ok bool) {
	switch {
	case g.left != nil && g.right != nil:
		left, right := g.left.Position, g.right.Position
		middle := left + (right-left)/2
		return []float64{middle}, left < middle && middle < right
	case g.right != nil:
		right := g.right.Position
		positions = []float64{min(right-1, math.Nextafter(right, math.Inf(-1)))}
		return positions, CanStorePosition(positions[0])
	}
	last := 0.0
	if g.left != nil {
		last = g.left.Position
	}
	for range g.links {
		last = max(last+1, math.Nextafter(last, math.Inf(1)))
		positions = append(positions, last)
	}
	return positions, CanStorePosition(last)
}

// spread places the nearest links evenly, and returns the positions of the gap
// between them.
func (g *gap) spread(ctx context.Context, tx bun.Tx) ([]float64, error) {
	for limit := 1; ; limit *= 2 {
		left, err := g.reach(ctx, tx, g.left, Descending, limit)
		if err != nil {
			return nil, err
		}
		right, err := g.reach(ctx, tx, g.right, Ascending, limit)
		if err != nil {
			return nil, err
		}
		start, step, ok := divide(left.end, right.end, left.links+g.links+right.links)
		if !ok {
			continue
		}
		if err := g.setPositions(ctx, tx, left.links, right.links, start, step); err != nil {
			return nil, err
		}
		positions := make([]float64, g.links)
		for i := range positions {
			positions[i] = start + step*float64(left.links+1+i)
		}
		return positions, nil
	}
}

// setPositions sets the positions of the nearest links on both sides, and leaves room for the links
// of the gap. It returns errPortfolioChanged if another program changed links meanwhile.
func (g *gap) setPositions(ctx context.Context, tx bun.Tx, left, right int, start, step float64) error {
	number := func(links *bun.SelectQuery, first int) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("(?) AS nearest", links).ColumnExpr("id, ? + row_number() OVER (ORDER BY position, id) AS number", first)
	}
	links := number(g.nearest(tx, g.left, true, Descending, left), 0).
		UnionAll(number(g.nearest(tx, g.right, true, Ascending, right), left+g.links))
	result, err := tx.NewUpdate().Table("portfolio_links").TableExpr("(?) AS spread", links).
		Set("position = CAST(? AS double precision) + CAST(? AS double precision) * spread.number", start, step).
		Where("portfolio_links.id = spread.id AND portfolio_links.portfolio_id = ?", g.portfolioID).Exec(ctx)
	if err != nil {
		return err
	}
	if changed, err := result.RowsAffected(); err != nil || changed != int64(left+right) {
		return cmp.Or(err, errPortfolioChanged)
	}
	return nil
}

// reach is a number of links on one side of a gap, and the position at which
// the next one follows, or nil if none does.
type reach struct {
	links int
	end   *float64
}

// reach locks the links that it counts. PostgreSQL would otherwise leave out of the update
// those that a concurrent transaction changes.
func (g *gap) reach(ctx context.Context, tx bun.Tx, from *place, direction Direction, limit int) (reach, error) {
	if tx.Dialect().Name() == dialect.PG {
		if _, err := g.nearest(tx, from, true, direction, limit+1).For("NO KEY UPDATE").Exec(ctx); err != nil {
			return reach{}, err
		}
	}
	farthest := "max"
	if direction == Descending {
		farthest = "min"
	}
	var found reach
	err := tx.NewSelect().TableExpr("(?) AS nearest", g.nearest(tx, from, true, direction, limit+1)).
		ColumnExpr("count(*), "+farthest+"(position)").Scan(ctx, &found.links, &found.end)
	if found.links <= limit {
		return reach{links: found.links}, err
	}
	return reach{limit, found.end}, err
}

// divide returns the steps at which to place a number of links between two
// positions, either of which may be missing. It reports false if the steps are
// too small. The more links there are the larger the steps must be, so that many
// moves fit before as many links have to be placed again.
func divide(left, right *float64, links int) (start, step float64, ok bool) {
	if left == nil && right == nil {
		return 0, 1, true
	}
	least := 0.0
	for _, end := range []*float64{left, right} {
		if end != nil {
			precision := math.Nextafter(math.Abs(*end), math.Inf(1)) - math.Abs(*end)
			least = max(least, 4*float64(links)*precision)
		}
	}
	steps := float64(links + 1)
	switch step = max(1, least); {
	case left == nil:
		start = *right - step*steps
	case right == nil:
		start = *left
	default:
		start, step = *left, (*right-*left)/steps
	}
	return start, step, step >= least && CanStorePosition(start) && CanStorePosition(start+step*steps)
}
