package livequery

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (h *Hub) WriteMetrics(w metric.Writer) {
	s := h.Stats()
	w.Gauge("subscriptions", "Open subscriptions.", float64(s.Subscriptions))
	w.Gauge("subscriptions_limit", "Maximum open subscriptions.", float64(s.Limit))
	w.Gauge("live_queries", "Distinct live queries. Identical subscriptions share one.", float64(s.Queries))
	w.Counter("subscriptions_dropped_total", "Subscriptions of clients that did not read their events.", float64(s.Dropped))
}
