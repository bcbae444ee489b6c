package db

import (
	"context"
	"slices"
	"sync"
)

// ReadSet records the rows on which the statements of a context depend: the rows of some
// portfolios and images, or all rows of all tables.
type ReadSet struct {
	mu    sync.Mutex
	nodes []NodeID // portfolios, with their links, and images, with their thumbnails
	all   bool
}

type readSetKey struct{}

// WithReadSet returns a context whose statements record their read set.
func WithReadSet(ctx context.Context) (context.Context, *ReadSet) {
	set := new(ReadSet)
	return context.WithValue(ctx, readSetKey{}, set), set
}

// Nodes returns the portfolios and images on whose rows the statements depended. If they
// depended on more rows, all is true.
func (s *ReadSet) Nodes() (nodes []NodeID, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes, s.all
}

// maxNodes bounds the recorded nodes. Beyond it, a read set has all rows.
const maxNodes = 256

// add records portfolios or images.
func (s *ReadSet) add(kind NodeType, ids ...int64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		node := NodeID{kind, id}
		switch {
		case s.all, slices.Contains(s.nodes, node):
		case len(s.nodes) == maxNodes:
			s.nodes, s.all = nil, true
		default:
			s.nodes = append(s.nodes, node)
		}
	}
}

// addAll records all rows.
func (s *ReadSet) addAll() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes, s.all = nil, true
}

// addLink records the portfolio and the image of a link.
func (s *ReadSet) addLink(link *PortfolioLink) {
	if s == nil {
		return
	}
	s.add(PortfolioNode, link.PortfolioID)
	if link.ImageID != nil {
		s.add(ImageNode, *link.ImageID)
	}
}

func readSetFrom(ctx context.Context) *ReadSet {
	set, _ := ctx.Value(readSetKey{}).(*ReadSet)
	return set
}

// untracked returns a context whose statements record nothing, because the caller adds
// their rows to set, which may be nil.
func untracked(ctx context.Context) (_ context.Context, set *ReadSet) {
	if set = readSetFrom(ctx); set == nil {
		return ctx, nil
	}
	return context.WithValue(ctx, readSetKey{}, (*ReadSet)(nil)), set
}
