package server

import (
	"portfolio/db"
	"portfolio/internal/metric"
)

// databaseMetrics writes the metrics of a database, since package db does not depend on metrics.
type databaseMetrics struct{ *db.DB }

// WriteMetrics implements metric.Source.
func (d databaseMetrics) WriteMetrics(w metric.Writer) {
	for _, pool := range d.Pools() {
		w.Gauge("database_connections_limit", "Maximum connections to the database.", float64(pool.Max), "pool", pool.Name)
		w.Gauge("database_connections_in_use", "Connections to the database that are in use.", float64(pool.Open-pool.Idle), "pool", pool.Name)
		w.Gauge("database_connections_idle", "Open connections to the database that are not in use.", float64(pool.Idle), "pool", pool.Name)
		w.Counter("database_waits_total", "Waits for a connection to the database.", float64(pool.Waits), "pool", pool.Name)
		w.Counter("database_wait_seconds_total", "Time of the waits for a connection to the database.", pool.Waited.Seconds(), "pool", pool.Name)
	}
}
