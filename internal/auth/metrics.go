package auth

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (a *Authenticator) WriteMetrics(w metric.Writer) {
	s := a.Stats()
	w.Cache("viewers", s.Cached, s.Hits, s.Misses)
	w.Refused("failed_logins", s.Refused)
	w.Counter("failed_logins_total", "Requests with an invalid token.", float64(s.Failed))
}
