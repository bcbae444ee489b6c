package admission

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (a *Admission) WriteMetrics(w metric.Writer) {
	busy := int64(0)
	for name, limiter := range map[string]*Limiter{"lookups": a.Lookups, "heavy": a.Heavy, "uploads": a.Uploads} {
		s := limiter.Stats()
		w.Gauge("queue_slots", "Slots. A request needs a slot to run.", float64(s.Slots), "queue", name)
		w.Gauge("queue_slots_in_use", "Requests that have a slot.", float64(s.InUse), "queue", name)
		w.Gauge("queue_waiting", "Requests that wait for a slot.", float64(s.Waiting), "queue", name)
		w.Counter("queue_refused_total", "Requests that were refused because too many waited, or that waited too long.", float64(s.Refused), "queue", name)
		busy += s.Refused
	}
	w.Refused("busy", busy)
	for name, budget := range map[string]*Budget{
		"anonymous_bodies": a.AnonymousBodies, "bodies": a.Bodies, "responses": a.Responses,
		"documents": a.Documents, "live_queries": a.LiveQueries, "files": a.Files,
	} {
		s := budget.Stats()
		w.Gauge("budget_bytes", "Bytes that all requests hold for a purpose.", float64(s.Reserved), "budget", name)
		w.Gauge("budget_limit_bytes", "Maximum bytes that requests may hold for a purpose.", float64(s.Limit), "budget", name)
		w.Counter("budget_refused_total", "Reservations that were refused. For documents, times that other documents were removed from the cache instead.", float64(s.Refused), "budget", name)
	}
}
