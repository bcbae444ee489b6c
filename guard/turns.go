package guard

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// Turns bounds how many requests are worked on at once.
type Turns struct {
	taken   chan struct{}
	waiting atomic.Int64
	leave   func()
}

const (
	waitingPerTurn = 16
	maxWait        = 2 * time.Second
)

// NewTurns lets so many work at once; sixteen times as many may wait for two
// seconds.
func NewTurns(atOnce uint) *Turns {
	t := &Turns{taken: make(chan struct{}, atOnce)}
	t.leave = func() { <-t.taken }
	return t
}

// Enter waits for a turn and returns what ends it, or false where the server
// is too busy or the client has gone.
func (t *Turns) Enter(ctx context.Context) (leave func(), ok bool) {
	select {
	case t.taken <- struct{}{}:
		return t.leave, true
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > int64(cap(t.taken)*waitingPerTurn) {
		return nil, false
	}
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	select {
	case t.taken <- struct{}{}:
		return t.leave, true
	case <-patience.C:
	case <-ctx.Done():
	}
	return nil, false
}

// Handler takes a turn for each request.
func (t *Turns) Handler(next http.Handler, refuse Refuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := t.Enter(r.Context())
		if !ok {
			w.Header().Set("Retry-After", "1")
			refuse(w, r, http.StatusServiceUnavailable)
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}
