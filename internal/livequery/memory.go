package livequery

import (
	"errors"

	"portfolio/internal/admission"
)

// Approximate memory in bytes.
const (
	topicOverhead        = 8 << 10 // of a topic without its texts
	subscriptionOverhead = 1 << 10 // of a subscription, including its state in the subscriber
)

// reserve counts a subscription and its memory for its owner. The error is ErrLimit,
// admission.ErrBusy or admission.ErrShare.
func (t *Topics) reserve(s *Subscription) error {
	err := t.subscriptions.Reserve(s.owner, 1)
	if errors.Is(err, admission.ErrBusy) {
		return ErrLimit
	}
	if err != nil {
		return err
	}
	if err := t.memory.Reserve(s.owner, s.size); err != nil {
		t.subscriptions.Release(s.owner, 1)
		return err
	}
	return nil
}

// release undoes reserve.
func (t *Topics) release(s *Subscription) {
	t.subscriptions.Release(s.owner, 1)
	t.memory.Release(s.owner, s.size)
}

// resize reserves memory for a result of n bytes in place of the latest one. If the holder
// has used up its share, the owner of another subscription becomes the holder.
func (t *topic) resize(n int) error {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	budget, newSize := t.hub.memory, topicOverhead+int64(len(t.text)+n)
	err := budget.Reserve(t.holder, newSize-t.size)
	for s := range t.subscribers {
		if !errors.Is(err, admission.ErrShare) {
			break
		}
		if err = budget.Reserve(s.owner, newSize); err == nil {
			budget.Release(t.holder, t.size)
			t.holder, t.size = s.owner, newSize
		}
	}
	if err == nil {
		t.size = newSize
	}
	return err
}

// replaceHolder makes the owner of a remaining subscription the holder, if former, whose
// subscription has ended, is the holder. The caller holds hub.mu.
func (t *topic) replaceHolder(former admission.Owner) {
	if t.holder != former {
		return
	}
	for s := range t.subscribers {
		t.hub.memory.Move(t.size, t.holder, s.owner)
		t.holder = s.owner
		return
	}
}

// release releases the memory of a topic that has ended.
func (t *topic) release() {
	t.hub.mu.Lock()
	defer t.hub.mu.Unlock()
	t.hub.memory.Release(t.holder, t.size)
	t.size = 0
}
