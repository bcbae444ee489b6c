package admission

import (
	"errors"
	"net/netip"
	"testing"
)

// TestShares_BoundEachOwner checks that an owner can hold its share only, whatever other owners hold.
func TestShares_BoundEachOwner(t *testing.T) {
	t.Parallel()
	total := NewBudget(11, nil)
	shares := NewShares(total, 4) // of 3 each
	alice, bob, nobody := Owner{UserID: 1}, Owner{UserID: 2}, Owner{Address: netip.MustParseAddr("192.0.2.1")}
	reserve := func(owner Owner, n int64, want error) func() {
		return func() {
			t.Helper()
			if err := shares.Reserve(owner, n); !errors.Is(err, want) {
				t.Errorf("%+v reserved %d: got %v, want %v", owner, n, err, want)
			}
		}
	}
	for i, step := range []struct {
		do   func()
		want int64 // that all hold
	}{
		{reserve(alice, 2, nil), 2},
		{reserve(alice, 2, ErrShare), 2},
		{reserve(alice, 1, nil), 3},
		{reserve(nobody, 4, ErrShare), 3},
		{reserve(nobody, 3, nil), 6},
		{reserve(bob, 3, nil), 9},
		{reserve(Owner{UserID: 3}, 3, ErrBusy), 9},
		{func() { shares.Transfer(2, alice, bob) }, 9}, // who then has more than a share
		{reserve(bob, 1, ErrShare), 9},
		{reserve(alice, 2, nil), 11},
		{func() { shares.Release(bob, 5) }, 6},
		{func() { shares.Release(alice, 3) }, 3},
		{func() { shares.Release(nobody, 3) }, 0},
	} {
		step.do()
		if got := total.Stats().Reserved; got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
	if len(shares.held) != 0 {
		t.Errorf("owners that hold nothing are kept: %v", shares.held)
	}
	if err := NewShares(NewBudget(2, nil), 0).Reserve(alice, 2); err != nil {
		t.Errorf("of one part: got %v", err)
	}
}
