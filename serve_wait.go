package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"portfolio/compat"
	"portfolio/db"
	"portfolio/internal/graphqlhttp"
	"portfolio/internal/middleware"
)

// databasePause is the time between two attempts to open a database that is unavailable.
const databasePause = time.Second

// openDatabase opens the database. While PostgreSQL is unavailable it waits, and the server is
// alive but not ready. If ctx is canceled meanwhile, the DB is nil.
func (c *serveCommand) openDatabase(ctx context.Context, flags *globalFlags, log *slog.Logger) (*db.DB, error) {
	database, err := flags.open(ctx, c.Migrate, log)
	if flags.database().SQLitePath() != "" || !db.IsOutage(err) {
		return database, err
	}
	stop, listenErr := c.serveUnavailable(ctx, log)
	if listenErr != nil {
		return nil, listenErr
	}
	defer stop()
	for lastText := ""; db.IsOutage(err); database, err = flags.open(ctx, c.Migrate, log) {
		if text := err.Error(); text != lastText {
			log.WarnContext(ctx, "waiting for the database", "error", err)
			lastText = text
		}
		select {
		case <-ctx.Done():
			return nil, nil //nolint:nilnil // documented
		case <-time.After(databasePause):
		}
	}
	if err == nil {
		log.InfoContext(ctx, "the database is available")
	}
	return database, err
}

// serveUnavailable responds with 503 to all requests but those for /healthz, until stop is
// called.
func (c *serverSettings) serveUnavailable(ctx context.Context, log *slog.Logger) (stop func(), err error) {
	connections := middleware.NewConnectionLimiter(c.Clients.MaxConnections, func(int64) {})
	listener, err := connections.Listen(ctx, string(c.Addr))
	if err != nil {
		return nil, fmt.Errorf("ADDR: %w", err)
	}
	server := c.server(connections.Handler(http.HandlerFunc(unavailable)), connections, log)
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
