// Package ops tests installations: several servers, PostgreSQL with standbys, and
// balancers, as real processes that are killed, stopped and filled up under load. It
// also tests what is installed: the release and its image. Its tests have the build tag
// ops; make packages, failover, chaos, rolling, feed and soak run them.
package ops
