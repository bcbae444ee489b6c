package admission

import "sync/atomic"

// A Budget bounds the bytes that all requests hold for one purpose.
type Budget struct {
	limit    int64
	reserved atomic.Int64
	rejected atomic.Int64
	onChange func(delta int64)
}

// NewBudget returns a budget of limit bytes. It calls onChange, unless it is nil, with each change of
// the reserved bytes.
func NewBudget(limit int64, onChange func(delta int64)) *Budget {
	return &Budget{limit: limit, onChange: onChange}
}

// Reserve reserves n bytes. It reports whether n bytes were available.
func (b *Budget) Reserve(n int64) bool {
	for {
		reserved := b.reserved.Load()
		if n > b.limit-reserved {
			b.rejected.Add(1)
			return false
		}
		if b.reserved.CompareAndSwap(reserved, reserved+n) {
			break
		}
	}
	if b.onChange != nil {
		b.onChange(n)
	}
	return true
}

// Release releases n bytes.
func (b *Budget) Release(n int64) {
	b.reserved.Add(-n)
	if b.onChange != nil {
		b.onChange(-n)
	}
}

// BudgetStats is the state of a Budget.
type BudgetStats struct {
	Limit, Reserved int64 // bytes
	Refused         int64 // calls of Reserve since the start
}

// Stats returns the state of the budget.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{b.limit, b.reserved.Load(), b.rejected.Load()}
}
