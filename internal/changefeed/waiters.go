package changefeed

// waiters indexes the calls of Feed.Wait by tag, so that a change visits only the waiters
// that it wakes. The caller holds the lock of the feed.
type waiters struct {
	all     waiterSet
	anyRows waiterSet // who wait for all rows
	byTag   map[uint16]waiterSet
}

type waiterSet map[*waiter]struct{}

// waiter waits for a change of its tags.
type waiter struct {
	tags    Tags
	changed chan struct{}
}

func newWaiters() waiters { return waiters{waiterSet{}, waiterSet{}, map[uint16]waiterSet{}} }

func (s *waiters) add(tags Tags) *waiter {
	w := &waiter{tags, make(chan struct{})}
	s.all[w] = struct{}{}
	if tags.all {
		s.anyRows[w] = struct{}{}
	}
	for _, tag := range tags.nodes {
		if s.byTag[tag] == nil {
			s.byTag[tag] = waiterSet{}
		}
		s.byTag[tag][w] = struct{}{}
	}
	return w
}

func (s *waiters) remove(w *waiter) {
	delete(s.all, w)
	delete(s.anyRows, w)
	for _, tag := range w.tags.nodes {
		delete(s.byTag[tag], w)
		if len(s.byTag[tag]) == 0 {
			delete(s.byTag, tag)
		}
	}
}

// wake removes the waiters of a set from all sets, and wakes them.
func (s *waiters) wake(set waiterSet) {
	for w := range set {
		s.remove(w)
		close(w.changed)
	}
}
