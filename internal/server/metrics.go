package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/changefeed"
	"portfolio/internal/document"
	"portfolio/internal/images"
	"portfolio/internal/livequery"
	"portfolio/internal/middleware"
	"portfolio/internal/responsecache"
	"portfolio/internal/telemetry"
)

// watched are the parts of the server whose state is a metric.
type watched struct {
	database      *db.DB
	admitted      *admission.Admission
	authenticator *auth.Authenticator
	limiter       *middleware.RateLimiter
	documents     *document.Cache
	hub           *livequery.Hub
	images        *images.Service
	responses     *responsecache.Cache // may be nil
	changes       *changefeed.Feed     // may be nil
}

// measure adds the state of the parts to the metrics. It is read when Prometheus
// asks for it.
func (p watched) measure(m *telemetry.Metrics) {
	m.KnowOperations(p.documents.Operations())
	p.measureDatabase(m)
	p.measureAdmission(m)

	for reason, refused := range map[string]func() int64{
		"rate_limit":    p.limiter.Refused,
		"failed_logins": func() int64 { return p.authenticator.Stats().Refused },
		"busy": func() int64 {
			return p.admitted.Lookups.Stats().Refused + p.admitted.Heavy.Stats().Refused + p.admitted.Uploads.Stats().Refused
		},
	} {
		m.Counter("refused_requests_total", "Requests that were refused by the rate limit, because of failed logins, or because the server was busy.", prometheus.Labels{"reason": reason},
			func() float64 { return float64(refused()) })
	}
	m.Counter("failed_logins_total", "Requests with an invalid token.", nil, func() float64 { return float64(p.authenticator.Stats().Failed) })

	measureCache(m, "documents", func() (entries int, hits, misses int64) {
		stats := p.documents.Stats()
		return stats.Documents, stats.Hits, stats.Misses
	})
	measureCache(m, "viewers", func() (entries int, hits, misses int64) {
		stats := p.authenticator.Stats()
		return stats.Cached, stats.Hits, stats.Misses
	})
	if p.responses != nil {
		p.measureResponses(m)
	}

	m.Gauge("change_feed_connected", "Whether the change feed is connected, so that responses are cached and subscriptions work.", nil, func() float64 {
		if p.changes.IsConnected() {
			return 1
		}
		return 0
	})
	m.Gauge("subscriptions", "Open subscriptions.", nil, func() float64 { return float64(p.hub.Stats().Subscriptions) })
	m.Gauge("subscriptions_limit", "Maximum open subscriptions.", nil, func() float64 { return float64(p.hub.Stats().Limit) })
	m.Gauge("live_queries", "Distinct live queries. Identical subscriptions share one.", nil, func() float64 { return float64(p.hub.Stats().Queries) })
	m.Counter("subscriptions_dropped_total", "Subscriptions of clients that did not read their events.", nil, func() float64 { return float64(p.hub.Stats().Dropped) })

	m.Gauge("image_memory_bytes", "Memory that is reserved for rendering images.", nil, func() float64 {
		reserved, _ := p.images.Memory()
		return float64(reserved)
	})
	m.Gauge("image_memory_limit_bytes", "Maximum memory for rendering images.", nil, func() float64 {
		_, limit := p.images.Memory()
		return float64(limit)
	})
}

func (p watched) measureResponses(m *telemetry.Metrics) {
	measureCache(m, "responses", func() (entries int, hits, misses int64) {
		stats := p.responses.Stats()
		return stats.Entries, stats.Hits, stats.Misses
	})
	m.Gauge("response_cache_bytes", "Memory of the responses in the cache.", nil, func() float64 { return float64(p.responses.Stats().Bytes) })
	m.Gauge("response_cache_limit_bytes", "Maximum memory of the responses in the cache.", nil, func() float64 { return float64(p.responses.Stats().Limit) })
}

func measureConnections(m *telemetry.Metrics, connections *middleware.ConnectionLimiter, limit int) {
	m.Gauge("connections", "Open connections of clients.", nil, func() float64 { return float64(connections.Open()) })
	m.Gauge("connections_limit", "Maximum open connections of clients.", nil, func() float64 { return float64(limit) })
}

func (p watched) measureDatabase(m *telemetry.Metrics) {
	for i, pool := range p.database.Pools() {
		labels := prometheus.Labels{"pool": pool.Name}
		read := func() db.Pool { return p.database.Pools()[i] }
		m.Gauge("database_connections_limit", "Maximum connections to the database.", labels, func() float64 { return float64(read().Max) })
		m.Gauge("database_connections_in_use", "Connections to the database that are in use.", labels, func() float64 {
			pool := read()
			return float64(pool.Open - pool.Idle)
		})
		m.Gauge("database_connections_idle", "Open connections to the database that are not in use.", labels, func() float64 { return float64(read().Idle) })
		m.Counter("database_waits_total", "Waits for a connection to the database.", labels, func() float64 { return float64(read().Waits) })
		m.Counter("database_wait_seconds_total", "Time of the waits for a connection to the database.", labels, func() float64 { return read().Waited.Seconds() })
	}
}

func (p watched) measureAdmission(m *telemetry.Metrics) {
	for name, queue := range map[string]*admission.Limiter{
		"lookups": p.admitted.Lookups, "heavy": p.admitted.Heavy, "uploads": p.admitted.Uploads,
	} {
		labels := prometheus.Labels{"queue": name}
		m.Gauge("queue_slots", "Slots, which requests need to run.", labels, func() float64 { return float64(queue.Stats().Slots) })
		m.Gauge("queue_slots_in_use", "Requests that have a slot.", labels, func() float64 { return float64(queue.Stats().InUse) })
		m.Gauge("queue_waiting", "Requests that wait for a slot.", labels, func() float64 { return float64(queue.Stats().Waiting) })
		m.Counter("queue_refused_total", "Requests that were refused because too many waited, or that waited too long.", labels,
			func() float64 { return float64(queue.Stats().Refused) })
	}
	for name, budget := range map[string]*admission.Budget{
		"anonymous_bodies": p.admitted.AnonymousBodies, "bodies": p.admitted.Bodies, "responses": p.admitted.Responses,
		"documents": p.admitted.Documents, "live_queries": p.admitted.LiveQueries, "files": p.admitted.Files,
	} {
		labels := prometheus.Labels{"budget": name}
		m.Gauge("budget_bytes", "Bytes that are held for a purpose by all requests.", labels, func() float64 { return float64(budget.Stats().Reserved) })
		m.Gauge("budget_limit_bytes", "Maximum bytes that are held for a purpose.", labels, func() float64 { return float64(budget.Stats().Limit) })
		m.Counter("budget_refused_total", "Times that bytes were refused. For documents, times that others were removed from the cache instead.", labels,
			func() float64 { return float64(budget.Stats().Refused) })
	}
}

func measureCache(m *telemetry.Metrics, name string, read func() (entries int, hits, misses int64)) {
	labels := prometheus.Labels{"cache": name}
	m.Gauge("cache_entries", "Entries in a cache.", labels, func() float64 {
		entries, _, _ := read()
		return float64(entries)
	})
	m.Counter("cache_hits_total", "Lookups that found an entry in a cache.", labels, func() float64 {
		_, hits, _ := read()
		return float64(hits)
	})
	m.Counter("cache_misses_total", "Lookups that found no entry in a cache.", labels, func() float64 {
		_, _, misses := read()
		return float64(misses)
	})
}
