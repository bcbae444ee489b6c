package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" //nolint:gosec // its handlers are served by the admin listener only
	"time"

	"portfolio/internal/middleware"
	"portfolio/internal/telemetry"
)

// adminTimeout is the time limit of a response of the admin listener. A profile
// takes as many seconds as its client asks for.
const adminTimeout = 5 * time.Minute

// watch returns what watches the server.
func (c *serverSettings) watch(ctx context.Context, log *slog.Logger) (watch telemetry.Watch, err error) {
	build := readBuild()
	if c.AdminAddr != "" {
		watch.Metrics = telemetry.NewMetrics(build.Version, build.Commit)
	}
	watch.Tracing, err = telemetry.NewTracing(ctx, build.Version, log)
	return watch, err
}

// startAdmin serves metrics, profiles, version and health at ADMIN_ADDR, if it is
// set. The handler of the server responds to health checks.
func (c *serverSettings) startAdmin(
	ctx context.Context, metrics *telemetry.Metrics, connections *middleware.ConnectionLimiter, server http.Handler, out streams,
) (stop func(), err error) {
	if metrics == nil {
		return func() {}, nil
	}
	measureConnections(metrics, connections, c.Clients.MaxConnections)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(c.AdminAddr))
	if err != nil {
		return nil, fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	mux.HandleFunc("GET /version", serveVersion)
	mux.Handle("GET /healthz", server)
	mux.Handle("GET /readyz", server)
	mux.Handle("GET /readyz/queries", server)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	admin := &http.Server{
		Handler:        middleware.CheckHost(append(c.AdminHosts, ownHost(c.AdminAddr)...), mux),
		ReadTimeout:    c.Clients.HeaderTimeout,
		WriteTimeout:   adminTimeout,
		IdleTimeout:    c.Clients.IdleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(out.log.Handler(), slog.LevelDebug),
	}
	go func() { _ = admin.Serve(listener) }() // until it is closed
	_, _ = fmt.Fprintf(out.stdout, "Metrics:     http://%s/metrics\n", listener.Addr())
	return func() { _ = admin.Close() }, nil
}

// ownHost returns the host of an address, unless it stands for all addresses.
func ownHost(address listenAddress) []middleware.Host {
	var host middleware.Host
	name, _, _ := net.SplitHostPort(string(address))
	if ip := net.ParseIP(name); ip != nil && ip.IsUnspecified() || host.UnmarshalText([]byte(name)) != nil {
		return nil
	}
	return []middleware.Host{host}
}

func serveVersion(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(readBuild())
}
