package admission

import "sync/atomic"

// A Budget bounds the bytes that all requests hold for one purpose.
type Budget struct {
	limit    int64
	reserved atomic.Int64
	refused  atomic.Int64
	changed  func(by int64)
}

// NewBudget returns a budget of limit bytes. The function changed, unless nil,
// is called with each change of the reserved bytes.
func NewBudget(limit int64, changed func(by int64)) *Budget {
	return &Budget{limit: limit, changed: changed}
}

// Reserve reserves n bytes, and reports whether that many were left.
func (b *Budget) Reserve(n int64) bool {
	for {
		reserved := b.reserved.Load()
		if n > b.limit-reserved {
			b.refused.Add(1)
			return false
		}
		if b.reserved.CompareAndSwap(reserved, reserved+n) {
			break
		}
	}
	if b.changed != nil {
		b.changed(n)
	}
	return true
}

// Release releases n bytes.
func (b *Budget) Release(n int64) {
	b.reserved.Add(-n)
	if b.changed != nil {
		b.changed(-n)
	}
}

// BudgetStats is the state of a Budget.
type BudgetStats struct {
	Limit, Reserved int64 // bytes
	Refused         int64 // calls of Reserve since the start
}

// Stats returns the state of the budget.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{b.limit, b.reserved.Load(), b.refused.Load()}
}
