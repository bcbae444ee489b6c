package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" //nolint:gosec // its handlers are served by the admin listener only
	"time"

	"portfolio/internal/buildinfo"
	"portfolio/internal/config"
	"portfolio/internal/middleware"
	"portfolio/internal/telemetry"
)

// adminTimeout is the time limit of a response of the admin listener. A profile
// takes as many seconds as its client asks for.
const adminTimeout = 5 * time.Minute

// newInstruments returns the instruments that the settings and the environment enable.
func newInstruments(ctx context.Context, settings *config.Server, log *slog.Logger) (instruments telemetry.Instruments, err error) {
	build := buildinfo.Read()
	if settings.AdminAddr != "" {
		instruments.Metrics = telemetry.NewMetrics(build.Version, build.Commit)
	}
	instruments.Tracing, err = telemetry.NewTracing(ctx, build.Version, log)
	return instruments, err
}

// ListenAdmin serves metrics, profiles, version and health at ADMIN_ADDR until stop is called.
// The address is nil if ADMIN_ADDR is not set.
func (s *Server) ListenAdmin(ctx context.Context) (address net.Addr, stop func(), err error) {
	metrics, c := s.instruments.Metrics, s.settings
	if metrics == nil {
		return nil, func() {}, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(c.AdminAddr))
	if err != nil {
		return nil, nil, fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	mux.HandleFunc("GET /version", serveVersion)
	mux.Handle("GET /healthz", s)
	mux.Handle("GET /readyz", s)
	mux.Handle("GET /readyz/queries", s)
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
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() { _ = admin.Serve(listener) }() // until it is closed
	return listener.Addr(), func() { _ = admin.Close() }, nil
}

// ownHost returns the host of an address, or no host if the address stands for all addresses.
func ownHost(address config.Address) []middleware.Host {
	var host middleware.Host
	name, _, _ := net.SplitHostPort(string(address))
	if ip := net.ParseIP(name); ip != nil && ip.IsUnspecified() || host.UnmarshalText([]byte(name)) != nil {
		return nil
	}
	return []middleware.Host{host}
}

func serveVersion(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(buildinfo.Read())
}
