package telemetry

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"portfolio/internal/metric"
)

// Metrics counts and times requests, SQL statements and the storage of images, for Prometheus.
type Metrics struct {
	registry   *prometheus.Registry
	operations operationNames

	requests   *prometheus.HistogramVec // seconds, by api, operation and outcome, without subscriptions
	lives      *prometheus.HistogramVec // seconds, of subscriptions, by operation and outcome
	costs      *prometheus.HistogramVec // by operation
	statements *prometheus.HistogramVec // seconds, by query
	imageSteps *prometheus.HistogramVec // seconds, by step
	pixels     prometheus.Counter
}

// Classic buckets, which every version of Prometheus reads. Each bucket is a series for each
// operation, so there are few buckets. A request takes from a tenth of a millisecond to the
// timeout.
var (
	requestBuckets   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 10}
	lifeBuckets      = []float64{1, 10, 60, 600, 3600, 6 * 3600}
	statementBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .25, 1, 10}
	costBuckets      = []float64{10, 50, 100, 500, 1000, 2500, 5000, 10_000}
	imageBuckets     = []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 10, 30}
)

// NewMetrics returns the metrics of the server, its process and the Go runtime.
func NewMetrics(version, commit string) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		operations: operationNames{names: map[string]bool{"": true}},
		requests:   newHistogram("request_duration_seconds", "Time from the first line of a request to the end of its response.", requestBuckets, "api", "operation", "outcome"),
		lives:      newHistogram("subscription_duration_seconds", "Time from the beginning of a subscription to its end.", lifeBuckets, "operation", "outcome"),
		costs:      newHistogram("operation_cost", "Estimated cost of a GraphQL operation.", costBuckets, "operation"),
		statements: newHistogram("statement_duration_seconds", "Time of an SQL statement, including the wait for a connection and reading the rows.", statementBuckets, "query"),
		imageSteps: newHistogram("image_step_duration_seconds", "Time of a step of storing an image.", imageBuckets, "step"),
		pixels:     prometheus.NewCounter(prometheus.CounterOpts{Namespace: metric.Namespace, Name: "image_pixels_total", Help: "Pixels of the images that were rendered."}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.lives, m.costs, m.statements, m.imageSteps, m.pixels,
	)
	m.Register(buildInfo{version, commit})
	return m
}

// buildInfo writes the version of the server.
type buildInfo struct{ version, commit string }

// WriteMetrics implements metric.Source.
func (b buildInfo) WriteMetrics(w metric.Writer) {
	w.Gauge("build_info", "Version of the server, as labels of the value 1.", 1, "version", b.version, "commit", b.commit, "go", runtime.Version())
}

func newHistogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: metric.Namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// Register adds the metrics of parts of the server.
func (m *Metrics) Register(sources ...metric.Source) {
	m.registry.MustRegister(metric.Collector(sources...))
}

// Handler serves the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// KnowOperations adds names of operations that the metrics always distinguish, however many
// other names clients choose.
func (m *Metrics) KnowOperations(names []string) { m.operations.add(names...) }

// observeRequest records the duration of a finished request, and the cost of its operation.
func (m *Metrics) observeRequest(r *Request) {
	outcome, operation := r.Outcome(), ""
	if r.Type != "" {
		// The names that anonymous clients choose, and the names of operations that fail,
		// must not displace the names of others.
		operation = m.operations.label(r.Operation, r.UserID != 0 && outcome == OK)
		m.costs.WithLabelValues(operation).Observe(r.Cost)
	}
	switch {
	case r.Type == Subscription:
		m.lives.WithLabelValues(operation, string(outcome)).Observe(r.Duration.Seconds())
	case r.Status != http.StatusSwitchingProtocols: // the operations of a WebSocket are observed, not the WebSocket
		m.requests.WithLabelValues(string(r.API), operation, string(outcome)).Observe(r.Duration.Seconds())
	}
}

func (m *Metrics) observeStatement(query string, duration time.Duration) {
	m.statements.WithLabelValues(query).Observe(duration.Seconds())
}

func (m *Metrics) observeImage(step string, duration time.Duration, pixels int) {
	m.imageSteps.WithLabelValues(step).Observe(duration.Seconds())
	m.pixels.Add(float64(pixels))
}

const (
	maxOperations    = 100 // names that clients choose
	maxOperationName = 64  // bytes
	otherOperation   = "other"
)

// operationNames bounds the names of operations that metrics distinguish.
type operationNames struct {
	mu      sync.RWMutex
	names   map[string]bool
	learned int
}

func (n *operationNames) add(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		n.names[name] = true
	}
}

// label returns name if it is one of n.names or may be added, and otherwise otherOperation.
func (n *operationNames) label(name string, learn bool) string {
	n.mu.RLock()
	ok := n.names[name]
	learn = learn && n.learned < maxOperations && len(name) <= maxOperationName
	n.mu.RUnlock()
	switch {
	case ok:
		return name
	case !learn:
		return otherOperation
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.names[name] && n.learned < maxOperations {
		n.names[name] = true
		n.learned++
	}
	if n.names[name] {
		return name
	}
	return otherOperation
}
