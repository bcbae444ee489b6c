package responsecache

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source. A nil Cache has no metrics.
func (c *Cache) WriteMetrics(w metric.Writer) {
	if c == nil {
		return
	}
	s := c.Stats()
	w.Cache("responses", s.Entries, s.Hits, s.Misses)
	w.Gauge("response_cache_bytes", "Memory of the responses in the cache.", float64(s.Bytes))
	w.Gauge("response_cache_limit_bytes", "Maximum memory of the responses in the cache.", float64(s.Limit))
}
