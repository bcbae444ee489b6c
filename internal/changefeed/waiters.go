package changefeed

// waiters indexes the calls of Feed.Wait by node, so that a change visits only the waiters
// that it wakes. The caller holds the lock of the feed.
type waiters struct {
	all     waiterSet
	anyRows waiterSet // waiters whose read set is all rows
	byNode  map[uint16]waiterSet
}

type waiterSet map[*waiter]struct{}

// waiter waits for a change of its read set.
type waiter struct {
	set   ReadSet
	woken chan struct{}
}

func newWaiters() waiters { return waiters{waiterSet{}, waiterSet{}, map[uint16]waiterSet{}} }

// add returns a new waiter for changes of a read set.
func (s *waiters) add(set ReadSet) *waiter {
	w := &waiter{set, make(chan struct{})}
	s.all[w] = struct{}{}
	if set.all {
		s.anyRows[w] = struct{}{}
	}
	for _, node := range set.nodes {
		if s.byNode[node] == nil {
			s.byNode[node] = waiterSet{}
		}
		s.byNode[node][w] = struct{}{}
	}
	return w
}

func (s *waiters) remove(w *waiter) {
	delete(s.all, w)
	delete(s.anyRows, w)
	for _, node := range w.set.nodes {
		delete(s.byNode[node], w)
		if len(s.byNode[node]) == 0 {
			delete(s.byNode, node)
		}
	}
}

// wake removes the waiters of a set from all sets, and wakes them.
func (s *waiters) wake(set waiterSet) {
	for w := range set {
		s.remove(w)
		close(w.woken)
	}
}
