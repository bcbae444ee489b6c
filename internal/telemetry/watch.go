package telemetry

import (
	"context"
	"time"

	"portfolio/db"
)

// Watch receives what the server does. The zero Watch does nothing.
type Watch struct{ Metrics *Metrics }

// IsOn reports whether anything is watched.
func (w Watch) IsOn() bool { return w.Metrics != nil }

// End ends a request.
func (w Watch) End(r *Request) {
	if w.Metrics != nil {
		w.Metrics.observeRequest(r)
	}
}

// Statement observes an SQL statement.
func (w Watch) Statement(_ context.Context, s db.Statement) {
	if w.Metrics != nil && !s.Shared {
		w.Metrics.observeStatement(s.Name, time.Since(s.Began))
	}
}

// ImageStep observes a step of storing an image.
func (w Watch) ImageStep(_ context.Context, step string, began time.Time, pixels int) {
	if w.Metrics != nil {
		w.Metrics.observeImage(step, time.Since(began), pixels)
	}
}
