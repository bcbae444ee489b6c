package changefeed

import "portfolio/internal/metric"

// WriteMetrics implements metric.Source.
func (f *Feed) WriteMetrics(w metric.Writer) {
	connected := 0.0
	if f.IsConnected() {
		connected = 1
	}
	w.Gauge("change_feed_connected", "Whether the change feed is connected, so that responses are cached and subscriptions work.", connected)
}
