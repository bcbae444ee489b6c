package admission

import "sync/atomic"

// A Budget bounds the bytes that all requests hold for one purpose.
type Budget struct {
	limit   int64
	taken   atomic.Int64
	refused atomic.Int64
	changed func(by int64)
}

// NewBudget returns a budget of limit bytes. The function changed, unless nil,
// is called with each change of the bytes taken.
func NewBudget(limit int64, changed func(by int64)) *Budget {
	return &Budget{limit: limit, changed: changed}
}

// Take takes n bytes and reports whether that many were left.
func (b *Budget) Take(n int64) bool {
	for {
		taken := b.taken.Load()
		if n > b.limit-taken {
			b.refused.Add(1)
			return false
		}
		if b.taken.CompareAndSwap(taken, taken+n) {
			break
		}
	}
	if b.changed != nil {
		b.changed(n)
	}
	return true
}

// Give returns n bytes.
func (b *Budget) Give(n int64) {
	b.taken.Add(-n)
	if b.changed != nil {
		b.changed(-n)
	}
}

// BudgetStats is the state of a Budget.
type BudgetStats struct {
	Limit, Taken int64 // bytes
	Refused      int64 // calls of Take since the start
}

// Stats returns the state of the budget.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{b.limit, b.taken.Load(), b.refused.Load()}
}
