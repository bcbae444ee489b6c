package graph

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
)

const (
	meterStep     = 16 << 10  // bytes that are counted together; the first of them are free
	largeResponse = 512 << 10 // bytes from which a response is heavy work
)

// meter counts the bytes of one response while it is built: those of the rows
// that it is made of, and those that are encoded.
type meter struct {
	limit     int64 // of either
	admission *admission.Admission
	slot      *admission.Slot

	rows, encoded atomic.Int64

	mu    sync.Mutex
	taken int64 // of the budget of all responses
	heavy bool
	err   error // why the response cannot be built
}

// addRow counts the bytes of a row. It does not wait: who reads rows has a
// connection of the database.
func (m *meter) addRow(n int) error {
	return m.add(&m.rows, n, func(int64) error { return nil })
}

// addEncoded counts bytes of the response. A response that has grown large
// waits for a slot of heavy work.
func (m *meter) addEncoded(ctx context.Context, n int) error {
	return m.add(&m.encoded, n, func(total int64) error {
		if total <= largeResponse || m.heavy {
			return nil
		}
		m.heavy = true
		return m.slot.Move(ctx, m.admission.Heavy)
	})
}

func (m *meter) add(count *atomic.Int64, n int, then func(total int64) error) error {
	total := count.Add(int64(n))
	if total/meterStep == (total-int64(n))/meterStep {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = m.take(total)
	}
	if m.err == nil {
		m.err = then(total)
	}
	return m.err
}

func (m *meter) take(total int64) error {
	if total > m.limit {
		return errTooLarge
	}
	if more := m.rows.Load() + m.encoded.Load() - m.taken; more > 0 {
		if !m.admission.Responses.Take(more) {
			return admission.ErrBusy
		}
		m.taken += more
	}
	return nil
}

// release gives the bytes back once the response is sent.
func (m *meter) release() { m.admission.Responses.Give(m.taken) }

var errTooLarge = errors.New("the response is too large")

// failure is the response in place of the one that cannot be built.
func (m *meter) failure() *gqlerror.Error {
	return badRequest(fmt.Sprintf("The response would have more than %d bytes. Ask for smaller pages or fewer fields.", m.limit))
}

type meterKey struct{}

// withMeter returns a context under which the meter counts rows and what is
// encoded of them.
func withMeter(ctx context.Context, m *meter) context.Context {
	ctx = context.WithValue(ctx, meterKey{}, m)
	return db.WithMeter(ctx, m.addRow)
}

func meterFrom(ctx context.Context) *meter {
	m, _ := ctx.Value(meterKey{}).(*meter)
	return m
}
