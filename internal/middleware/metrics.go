package middleware

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (l *RateLimiter) WriteMetrics(w metric.Writer) { w.Refused("rate_limit", l.rejected.Load()) }

// WriteMetrics implements metric.Source.
func (l *ConnectionLimiter) WriteMetrics(w metric.Writer) {
	w.Gauge("connections", "Open connections of clients.", float64(l.Open()))
	w.Gauge("connections_limit", "Maximum open connections of clients.", float64(cap(l.slots)))
}
