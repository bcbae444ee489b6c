package topics

import (
	"errors"

	"portfolio/internal/admission"
)

// The approximate memory in bytes of a topic, without texts, and of a subscription, with
// what its subscriber keeps in any case.
const (
	topicOverhead        = 8 << 10
	subscriptionOverhead = 1 << 10
)

// reserve makes the owner of a subscription hold it. The error is ErrLimit,
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

// release makes the owner of a subscription not hold it any more.
func (t *Topics) release(s *Subscription) {
	t.subscriptions.Release(s.owner, 1)
	t.memory.Release(s.owner, s.size)
}

// resize reserves memory for a result of n bytes in place of the latest one. If the holder
// has used up its share, the owner of another subscription becomes the holder.
func (t *topic) resize(n int) error {
	t.owner.mu.Lock()
	defer t.owner.mu.Unlock()
	memory, size := t.owner.memory, topicOverhead+int64(len(t.text)+n)
	err := memory.Reserve(t.holder, size-t.held)
	for s := range t.subscribers {
		if !errors.Is(err, admission.ErrShare) {
			break
		}
		if err = memory.Reserve(s.owner, size); err == nil {
			memory.Release(t.holder, t.held)
			t.holder, t.held = s.owner, size
		}
	}
	if err == nil {
		t.held = size
	}
	return err
}

// bequeath makes the owner of another subscription the holder, if one whose subscription
// has ended is. So nobody holds what only others subscribe to. The caller holds owner.mu.
func (t *topic) bequeath(former admission.Owner) {
	if t.holder != former {
		return
	}
	for s := range t.subscribers {
		t.owner.memory.Move(t.held, t.holder, s.owner)
		t.holder = s.owner
		return
	}
}

// release gives back the memory of a topic that has ended.
func (t *topic) release() {
	t.owner.mu.Lock()
	defer t.owner.mu.Unlock()
	t.owner.memory.Release(t.holder, t.held)
	t.held = 0
}
