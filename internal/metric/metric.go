// Package metric lets each part of the server write its own metrics for Prometheus.
package metric

import "github.com/prometheus/client_golang/prometheus"

// Namespace is the prefix of all metrics.
const Namespace = "portfolio"

// Source is a part of the server that has metrics.
type Source interface {
	// WriteMetrics writes the state of the source at one moment.
	WriteMetrics(w Writer)
}

// Collector returns a collector of the metrics of sources. For each scrape, it calls
// WriteMetrics of each source once.
func Collector(sources ...Source) prometheus.Collector { return collector(sources) }

type collector []Source

// Describe implements prometheus.Collector.
func (collector) Describe(chan<- *prometheus.Desc) {} // the sources decide when they write

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	for _, source := range c {
		source.WriteMetrics(Writer{metrics})
	}
}

// Writer writes the metrics of one scrape.
type Writer struct{ metrics chan<- prometheus.Metric }

// Gauge writes a value. The labels are pairs of a name and a value.
func (w Writer) Gauge(name, help string, value float64, labels ...string) {
	w.write(prometheus.GaugeValue, name, help, value, labels)
}

// Counter writes a value that never decreases.
func (w Writer) Counter(name, help string, value float64, labels ...string) {
	w.write(prometheus.CounterValue, name, help, value, labels)
}

func (w Writer) write(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	pairs := prometheus.Labels{}
	for i := 0; i < len(labels); i += 2 {
		pairs[labels[i]] = labels[i+1]
	}
	w.metrics <- prometheus.MustNewConstMetric(prometheus.NewDesc(Namespace+"_"+name, help, nil, pairs), kind, value)
}

// Cache writes the metrics that all caches have.
func (w Writer) Cache(name string, entries int, hits, misses int64) {
	w.Gauge("cache_entries", "Entries in a cache.", float64(entries), "cache", name)
	w.Counter("cache_hits_total", "Lookups that found an entry in a cache.", float64(hits), "cache", name)
	w.Counter("cache_misses_total", "Lookups that found no entry in a cache.", float64(misses), "cache", name)
}

// Refused writes the number of requests that the server refused for a reason.
func (w Writer) Refused(reason string, requests int64) {
	w.Counter("refused_requests_total", "Requests that were refused by the rate limit, because of failed logins, or because the server was busy.", float64(requests), "reason", reason)
}
