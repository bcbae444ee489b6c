package admission

import (
	"errors"
	"net/netip"
	"sync"
)

// ErrShare means that an owner has used up its share of a budget.
var ErrShare = errors.New("the share of the user is used up")

// Owner is a user, or an address from which anonymous clients come.
type Owner struct {
	UserID  int64
	Address netip.Addr // if UserID is 0
}

// Shares divides a Budget so that no owner can use up all of it.
type Shares struct {
	total *Budget
	share int64 // of each owner

	mu   sync.Mutex
	held map[Owner]int64
}

// NewShares returns Shares of a budget. It divides total into parts, of which each owner
// may hold one. If parts is 0, an owner may hold everything.
func NewShares(total *Budget, parts int) *Shares {
	n := int64(max(1, parts))
	return &Shares{total: total, share: (total.limit + n - 1) / n, held: map[Owner]int64{}}
}

// Reserve reserves n of the budget for an owner. If n is negative, it releases -n. The error is
// ErrBusy if less than n is available, and ErrShare if the owner would exceed its share.
func (s *Shares) Reserve(owner Owner, n int64) error {
	if !s.total.Reserve(n) {
		return ErrBusy
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && s.held[owner]+n > s.share {
		s.total.rejected.Add(1)
		s.total.Release(n)
		return ErrShare
	}
	s.add(owner, n)
	return nil
}

// Release releases n that an owner holds.
func (s *Shares) Release(owner Owner, n int64) {
	s.mu.Lock()
	s.add(owner, -n)
	s.mu.Unlock()
	s.total.Release(n)
}

// Transfer transfers n to another owner, even if the receiver exceeds its share.
func (s *Shares) Transfer(n int64, sender, receiver Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(sender, -n)
	s.add(receiver, n)
}

// add adds n to the amount that an owner holds. The caller holds the lock.
func (s *Shares) add(owner Owner, n int64) {
	if s.held[owner] += n; s.held[owner] == 0 {
		delete(s.held, owner)
	}
}

// Stats returns the state of the budget.
func (s *Shares) Stats() BudgetStats { return s.total.Stats() }
