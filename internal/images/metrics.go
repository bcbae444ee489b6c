package images

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (s *Service) WriteMetrics(w metric.Writer) {
	reserved, limit := s.Memory()
	w.Gauge("image_memory_bytes", "Memory that is reserved for rendering images.", float64(reserved))
	w.Gauge("image_memory_limit_bytes", "Maximum memory for rendering images.", float64(limit))
}
