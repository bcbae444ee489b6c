package db

import (
	"context"
	"slices"
	"sync"
)

// Reads records what the statements run under a context depend on: the rows of some
// portfolios and images, or all rows of all tables.
type Reads struct {
	mu    sync.Mutex
	nodes []NodeID // portfolios, with their links, and images, with their thumbnails
	all   bool
}

type readsKey struct{}

// RecordReads returns a context that records what the statements under it read.
func RecordReads(ctx context.Context) (context.Context, *Reads) {
	reads := new(Reads)
	return context.WithValue(ctx, readsKey{}, reads), reads
}

// Nodes returns the portfolios and images on whose rows the statements depended. If
// they depended on others too, all is true.
func (r *Reads) Nodes() (nodes []NodeID, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes, r.all
}

// maxReads is the maximum number of nodes that are told apart.
const maxReads = 256

// add records portfolios or images that a statement depended on.
func (r *Reads) add(of NodeType, ids ...int64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		node := NodeID{of, id}
		switch {
		case r.all, slices.Contains(r.nodes, node):
		case len(r.nodes) == maxReads:
			r.nodes, r.all = nil, true
		default:
			r.nodes = append(r.nodes, node)
		}
	}
}

// addAll records that a statement depended on any row.
func (r *Reads) addAll() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes, r.all = nil, true
}

// addLink records what a link was read from.
func (r *Reads) addLink(link *PortfolioLink) {
	if r == nil {
		return
	}
	r.add(PortfolioNode, link.PortfolioID)
	if link.ImageID != nil {
		r.add(ImageNode, *link.ImageID)
	}
}

func readsFrom(ctx context.Context) *Reads {
	reads, _ := ctx.Value(readsKey{}).(*Reads)
	return reads
}

// scoped returns a context whose statements are not recorded, because the caller adds
// to reads, which may be nil, what they depend on.
func scoped(ctx context.Context) (_ context.Context, reads *Reads) {
	if reads = readsFrom(ctx); reads == nil {
		return ctx, nil
	}
	return context.WithValue(ctx, readsKey{}, (*Reads)(nil)), reads
}
