// Package ops tests installations: several servers, PostgreSQL with standbys, and
// balancers, as real processes that are killed, stopped and filled up under load.
// Its tests have the build tag ops; make failover, chaos, rolling and soak run
// them.
package ops
