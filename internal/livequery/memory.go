package livequery

import (
	"errors"

	"portfolio/internal/admission"
)

// Approximate memory in bytes.
const (
	queryOverhead        = 8 << 10 // of a query without its texts
	subscriptionOverhead = 1 << 10 // of a subscription, including its state in the subscriber
)

// reserve charges a subscription and its memory to its owner. The error is ErrLimit,
// admission.ErrBusy or admission.ErrShare.
func (h *Hub) reserve(s *Subscription) error {
	err := h.subscriptions.Reserve(s.owner, 1)
	if errors.Is(err, admission.ErrBusy) {
		return ErrLimit
	}
	if err != nil {
		return err
	}
	if err := h.memory.Reserve(s.owner, s.size); err != nil {
		h.subscriptions.Release(s.owner, 1)
		return err
	}
	return nil
}

// release undoes reserve.
func (h *Hub) release(s *Subscription) {
	h.subscriptions.Release(s.owner, 1)
	h.memory.Release(s.owner, s.size)
}

// resize reserves memory for a result of n bytes in place of the latest result. If the holder
// has used up its share, the owner of another subscription becomes the holder. The error is
// admission.ErrBusy or admission.ErrShare.
func (q *query) resize(n int) error {
	q.hub.mu.Lock()
	defer q.hub.mu.Unlock()
	budget, newSize := q.hub.memory, queryOverhead+int64(len(q.text)+n)
	err := budget.Reserve(q.holder, newSize-q.size)
	for s := range q.subscribers {
		if !errors.Is(err, admission.ErrShare) {
			break
		}
		if err = budget.Reserve(s.owner, newSize); err == nil {
			budget.Release(q.holder, q.size)
			q.holder, q.size = s.owner, newSize
		}
	}
	if err == nil {
		q.size = newSize
	}
	return err
}

// replaceHolder charges the memory of the query to the owner of a remaining subscription. It
// does nothing unless former, whose subscription has ended, is the holder. The caller holds
// hub.mu.
func (q *query) replaceHolder(former admission.Owner) {
	if q.holder != former {
		return
	}
	for s := range q.subscribers {
		q.hub.memory.Transfer(q.size, q.holder, s.owner)
		q.holder = s.owner
		return
	}
}

// release releases the memory of a query that has ended.
func (q *query) release() {
	q.hub.mu.Lock()
	defer q.hub.mu.Unlock()
	q.hub.memory.Release(q.holder, q.size)
	q.size = 0
}
