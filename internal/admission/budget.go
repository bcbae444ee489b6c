package admission

import "sync/atomic"

// Budget bounds the bytes that all requests together hold for one purpose.
type Budget struct {
	limit   int64
	taken   atomic.Int64
	changed func(by int64)
}

// NewBudget has limit bytes. It tells changed, unless that is nil, by how much
// the bytes that are taken change.
func NewBudget(limit int64, changed func(by int64)) *Budget {
	return &Budget{limit: limit, changed: changed}
}

// Take reports whether n bytes are left, and takes them.
func (b *Budget) Take(n int64) bool {
	if b.taken.Add(n) > b.limit {
		b.taken.Add(-n)
		return false
	}
	if b.changed != nil {
		b.changed(n)
	}
	return true
}

// Give gives n bytes back.
func (b *Budget) Give(n int64) {
	b.taken.Add(-n)
	if b.changed != nil {
		b.changed(-n)
	}
}
