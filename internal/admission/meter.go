package admission

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// MeterStep is the number of bytes between two checks of a Meter. Fewer bytes are
// not counted.
const MeterStep = 16 << 10

const heavyResponse = 512 << 10 // bytes from which a response is heavy work

// ErrTooLarge means that a response is above its limit.
var ErrTooLarge = errors.New("the response is too large")

// A Meter counts the bytes of a response while it is built: the bytes of its rows, and the
// encoded bytes.
type Meter struct {
	limit     int64 // of the bytes of rows, and of the encoded bytes
	admission *Admission
	slot      *Slot

	rows, encoded atomic.Int64

	becomeHeavy sync.Once // AddEncoded waits for it, AddRow does not

	mu       sync.Mutex // not held while waiting, since AddRow needs it
	reserved int64      // bytes of the budget of all responses
	err      error
}

// NewMeter returns a meter for a response of at most limit bytes. If the response grows
// large, slot becomes a heavy slot, unless slot is nil.
func (a *Admission) NewMeter(limit int64, slot *Slot) *Meter {
	return &Meter{limit: limit, admission: a, slot: slot}
}

// AddRow counts n bytes of a row. It does not wait, because its caller holds a database
// connection. The error is ErrTooLarge or ErrBusy.
func (m *Meter) AddRow(n int) error {
	_, err := m.add(&m.rows, n)
	return err
}

// AddEncoded counts n bytes of the response. A response that has grown large
// waits for a heavy slot. The error is ErrTooLarge, ErrBusy or ctx.Err().
func (m *Meter) AddEncoded(ctx context.Context, n int) error {
	total, err := m.add(&m.encoded, n)
	if err != nil || total <= heavyResponse {
		return err
	}
	if m.slot != nil {
		m.becomeHeavy.Do(func() { m.fail(m.slot.Acquire(ctx, m.admission.Heavy)) })
	}
	return m.Err()
}

// fail records err unless there is an earlier error. The error may be nil.
func (m *Meter) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// add adds n to count. It returns the total if it has passed a multiple of MeterStep, else 0.
// The error is ErrTooLarge or ErrBusy.
func (m *Meter) add(count *atomic.Int64, n int) (int64, error) {
	total := count.Add(int64(n))
	if total/MeterStep == (total-int64(n))/MeterStep {
		return 0, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = m.reserve(total)
	}
	return total, m.err
}

// reserve reserves the bytes that are counted but not reserved yet. The error is ErrTooLarge
// or ErrBusy.
func (m *Meter) reserve(total int64) error {
	if total > m.limit {
		return ErrTooLarge
	}
	if more := m.rows.Load() + m.encoded.Load() - m.reserved; more > 0 {
		if !m.admission.Responses.Reserve(more) {
			return ErrBusy
		}
		m.reserved += more
	}
	return nil
}

// Err returns why the response cannot be built, or nil.
func (m *Meter) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// ReleaseRows returns the bytes of rows to the budget once all are encoded.
func (m *Meter) ReleaseRows() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rows := m.reserved - m.encoded.Load(); rows > 0 {
		m.admission.Responses.Release(rows)
		m.reserved -= rows
	}
}

// Release returns all bytes to the budget once the response is sent.
func (m *Meter) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.admission.Responses.Release(m.reserved)
	m.reserved = 0
}

type meterKey struct{}

// WithMeter returns a context that carries the meter of a response.
func WithMeter(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// MeterFrom returns the meter of the context, or nil.
func MeterFrom(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}
