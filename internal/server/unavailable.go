package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"portfolio/compat"
	"portfolio/db"
	"portfolio/internal/config"
	"portfolio/internal/graphqlhttp"
	"portfolio/internal/middleware"
)

// ServeUnavailable responds at ADDR until stop is called. The status is 503, except for
// /healthz. It is for a server that waits for its database.
func ServeUnavailable(ctx context.Context, settings *config.Server, log *slog.Logger) (stop func(), err error) {
	connections := middleware.NewConnectionLimiter(settings.Clients.MaxConnections, func(int64) {})
	listener, err := connections.Listen(ctx, string(settings.Addr))
	if err != nil {
		return nil, fmt.Errorf("ADDR: %w", err)
	}
	server := newHTTPServer(settings, connections.Handler(http.HandlerFunc(unavailable)), connections, log)
	go func() { _ = server.Serve(listener) }() // until it is closed
	return func() { _ = server.Close() }, nil
}

func unavailable(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		writeText(w, http.StatusOK, "ok")
	case "/readyz", "/readyz/queries":
		writeText(w, http.StatusServiceUnavailable, db.ErrUnavailable.Error())
	case "/graphql":
		new(graphqlhttp.Handler).Reject(w, r, http.StatusServiceUnavailable, time.Second)
	default:
		new(compat.Handler).Reject(w, r, http.StatusServiceUnavailable, time.Second)
	}
}
