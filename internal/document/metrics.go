package document

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (c *Cache) WriteMetrics(w metric.Writer) {
	s := c.Stats()
	w.Cache("documents", s.Documents, s.Hits, s.Misses)
}
