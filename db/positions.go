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

// Links of a portfolio are ordered by position, and by ID where positions are
// equal. A link that was loaded without a position has its ID as the position. A
// transaction that writes positions locks the portfolio, so that no two
// transactions write the same position.

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

// LinkMove is a position directly before or after another link, the anchor.
type LinkMove struct {
	AnchorID int64
	After    bool
}

// MoveLink moves a link within its portfolio. It returns the errors of
// UpdatePortfolio, or ErrNoAnchor or ErrOtherPortfolio. A link that is already there
// does not change.
func (db *DB) MoveLink(ctx context.Context, id int64, expected *Time, move LinkMove) (*PortfolioLink, error) {
	var link PortfolioLink
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		link = PortfolioLink{}
		if err := db.lockWithPortfolio(ctx, tx, &link, id, expected); err != nil {
			return err
		}
		slot, err := slotAt(ctx, tx, &link, move)
		if err != nil {
			return err
		}
		if !slot.contains(link.sortKey()) {
			positions, err := slot.positions(ctx, tx)
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

// lockWithPortfolio locks the portfolio of a link, if it exists, and then the link like
// lockUnchanged.
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
		links := byPortfolio[portfolio.ID]
		slot := slot{portfolioID: portfolio.ID, links: len(links)}
		if portfolio.Last != nil {
			slot.lower = &sortKey{*portfolio.Last, math.MaxInt64}
		}
		positions, err := slot.positions(ctx, tx)
		if err != nil {
			return err
		}
		for i, link := range links {
			link.StoredPosition = &positions[i]
		}
	}
	return nil
}

// A sortKey determines where a link is in its portfolio.
type sortKey struct {
	Position float64
	ID       int64
}

func (l *PortfolioLink) sortKey() sortKey { return sortKey{l.Position(), l.ID} }

func (k sortKey) precedes(k2 sortKey) bool {
	return cmp.Or(cmp.Compare(k.Position, k2.Position), cmp.Compare(k.ID, k2.ID)) < 0
}

// A slot is a place to insert links: between two adjacent links of a portfolio, or after the
// last link. The slot of a single link may be before the first link.
type slot struct {
	portfolioID  int64
	links        int      // to insert
	movedID      *int64   // ID of the link to insert, or nil if the links are new
	lower, upper *sortKey // of the adjacent links, nil without one
}

// slotAt returns the slot before or after the anchor of a move.
func slotAt(ctx context.Context, tx bun.Tx, link *PortfolioLink, move LinkMove) (slot, error) {
	slot := slot{portfolioID: link.PortfolioID, links: 1, movedID: &link.ID}
	var anchor PortfolioLink
	err := wrap(tx.NewSelect().Model(&anchor).Where("id = ?", move.AnchorID).Scan(ctx))
	switch {
	case errors.Is(err, ErrNotFound):
		return slot, ErrNoAnchor
	case err == nil && anchor.PortfolioID != link.PortfolioID:
		return slot, ErrOtherPortfolio
	case err != nil:
		return slot, err
	}
	key := anchor.sortKey()
	if move.After {
		slot.lower = &key
		slot.upper, err = slot.next(ctx, tx, &key, Ascending)
	} else {
		slot.upper = &key
		slot.lower, err = slot.next(ctx, tx, &key, Descending)
	}
	return slot, err
}

// contains reports whether a key is in the slot.
func (s *slot) contains(k sortKey) bool {
	return (s.lower == nil || s.lower.precedes(k)) && (s.upper == nil || k.precedes(*s.upper))
}

// nearest selects the keys of the links nearest to start in a direction.
func (s *slot) nearest(tx bun.Tx, start *sortKey, inclusive bool, direction Direction, limit int) *bun.SelectQuery {
	key, order := OrderByPosition.column(""), NewOrderBy(Order{OrderByPosition, direction})
	query := tx.NewSelect().Table("portfolio_links").ColumnExpr(key+" AS position, id").
		Where("portfolio_id = ?", s.portfolioID).OrderExpr(order.expression("")).Limit(int64(limit))
	if s.movedID != nil {
		query = query.Where("id <> ?", *s.movedID)
	}
	if start == nil { // there are no links beyond the first and the last
		return query.Where("false")
	}
	strict := order[0].operator()
	operator := strict
	if inclusive {
		operator += "="
	}
	// Without the cast, a whole number would be an integer, which may differ.
	return query.Where(key+" "+strict+"= CAST(? AS double precision)", start.Position).
		Where("("+key+", id) "+operator+" (CAST(? AS double precision), ?)", start.Position, start.ID)
}

// next returns the key of the link nearest to start, or nil.
func (s *slot) next(ctx context.Context, tx bun.Tx, start *sortKey, direction Direction) (*sortKey, error) {
	var keys []sortKey
	err := s.nearest(tx, start, false, direction, 1).Scan(ctx, &keys)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return &keys[0], nil
}

// positions returns ascending positions in the slot. If there are none, it moves the
// adjacent links apart.
func (s *slot) positions(ctx context.Context, tx bun.Tx) ([]float64, error) {
	if positions, ok := s.interpolate(); ok {
		return positions, nil
	}
	return s.rebalance(ctx, tx)
}

// interpolate returns numbers between the positions of the adjacent links. It reports
// false if there are none.
func (s *slot) interpolate() (positions []float64, ok bool) {
	switch {
	case s.lower != nil && s.upper != nil:
		lower, upper := s.lower.Position, s.upper.Position
		middle := lower + (upper-lower)/2
		return []float64{middle}, lower < middle && middle < upper
	case s.upper != nil:
		upper := s.upper.Position
		positions = []float64{min(upper-1, math.Nextafter(upper, math.Inf(-1)))}
		return positions, CanStorePosition(positions[0])
	}
	last := 0.0
	if s.lower != nil {
		last = s.lower.Position
	}
	for range s.links {
		last = max(last+1, math.Nextafter(last, math.Inf(1)))
		positions = append(positions, last)
	}
	return positions, CanStorePosition(last)
}

// rebalance moves the nearest links to evenly spaced positions, and returns the
// positions of the slot between them.
func (s *slot) rebalance(ctx context.Context, tx bun.Tx) ([]float64, error) {
	for limit := 1; ; limit *= 2 {
		lower, err := s.lockNearest(ctx, tx, s.lower, Descending, limit)
		if err != nil {
			return nil, err
		}
		upper, err := s.lockNearest(ctx, tx, s.upper, Ascending, limit)
		if err != nil {
			return nil, err
		}
		start, step, ok := spacePositions(lower.boundary, upper.boundary, lower.links+s.links+upper.links)
		if !ok {
			continue
		}
		if err := s.setPositions(ctx, tx, lower.links, upper.links, start, step); err != nil {
			return nil, err
		}
		positions := make([]float64, s.links)
		for i := range positions {
			positions[i] = start + step*float64(lower.links+1+i)
		}
		return positions, nil
	}
}

// setPositions sets the positions of the nearest links on both sides, and leaves room for the links
// of the slot. It returns errPortfolioChanged if another program changed links meanwhile.
func (s *slot) setPositions(ctx context.Context, tx bun.Tx, lower, upper int, start, step float64) error {
	number := func(links *bun.SelectQuery, first int) *bun.SelectQuery {
		return tx.NewSelect().TableExpr("(?) AS nearest", links).ColumnExpr("id, ? + row_number() OVER (ORDER BY position, id) AS number", first)
	}
	links := number(s.nearest(tx, s.lower, true, Descending, lower), 0).
		UnionAll(number(s.nearest(tx, s.upper, true, Ascending, upper), lower+s.links))
	result, err := tx.NewUpdate().Table("portfolio_links").TableExpr("(?) AS renumbered", links).
		Set("position = CAST(? AS double precision) + CAST(? AS double precision) * renumbered.number", start, step).
		Where("portfolio_links.id = renumbered.id AND portfolio_links.portfolio_id = ?", s.portfolioID).Exec(ctx)
	if err != nil {
		return err
	}
	if changed, err := result.RowsAffected(); err != nil || changed != int64(lower+upper) {
		return cmp.Or(err, errPortfolioChanged)
	}
	return nil
}

// A neighbourhood is the nearest links on one side of a slot.
type neighbourhood struct {
	links    int
	boundary *float64 // position of the next link, or nil without one
}

// lockNearest locks and counts at most limit links. Without locks, the update in PostgreSQL
// would leave out links that a concurrent transaction changes.
func (s *slot) lockNearest(ctx context.Context, tx bun.Tx, start *sortKey, direction Direction, limit int) (neighbourhood, error) {
	if tx.Dialect().Name() == dialect.PG {
		if _, err := s.nearest(tx, start, true, direction, limit+1).For("NO KEY UPDATE").Exec(ctx); err != nil {
			return neighbourhood{}, err
		}
	}
	farthest := "max"
	if direction == Descending {
		farthest = "min"
	}
	var nearest neighbourhood
	err := tx.NewSelect().TableExpr("(?) AS nearest", s.nearest(tx, start, true, direction, limit+1)).
		ColumnExpr("count(*), "+farthest+"(position)").Scan(ctx, &nearest.links, &nearest.boundary)
	if nearest.links <= limit {
		return neighbourhood{links: nearest.links}, err
	}
	return neighbourhood{limit, nearest.boundary}, err
}

// spacePositions returns evenly spaced positions for links between two positions. Either of lower and
// upper may be nil. It reports false if the steps are too small. The more links there are, the
// larger the steps must be: many moves must fit before the next rebalance.
func spacePositions(lower, upper *float64, links int) (start, step float64, ok bool) {
	if lower == nil && upper == nil {
		return 0, 1, true
	}
	minStep := 0.0
	for _, position := range []*float64{lower, upper} {
		if position != nil {
			precision := math.Nextafter(math.Abs(*position), math.Inf(1)) - math.Abs(*position)
			minStep = max(minStep, 4*float64(links)*precision)
		}
	}
	steps := float64(links + 1)
	switch step = max(1, minStep); {
	case lower == nil:
		start = *upper - step*steps
	case upper == nil:
		start = *lower
	default:
		start, step = *lower, (*upper-*lower)/steps
	}
	return start, step, step >= minStep && CanStorePosition(start) && CanStorePosition(start+step*steps)
}
