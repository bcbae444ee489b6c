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

// openDatabase opens the database, and waits for PostgreSQL while it is unavailable. If ctx is
// canceled before it is open, the DB is nil.
func (c *serveCommand) openDatabase(ctx context.Context, flags *globalFlags, log *slog.Logger) (*db.DB, error) {
	database, err := flags.open(ctx, c.Migrate, log)
	if flags.database().SQLitePath() == "" && db.IsOutage(err) {
		database, err = c.awaitDatabase(ctx, flags, log, err)
	}
	if err != nil && ctx.Err() != nil {
		log.InfoContext(ctx, "stopped before the database was open", "error", err)
		return nil, nil //nolint:nilerr,nilnil // documented
	}
	return database, err
}

// awaitDatabase opens a database after an outage. Meanwhile the server is alive but not ready.
func (c *serveCommand) awaitDatabase(ctx context.Context, flags *globalFlags, log *slog.Logger, outage error) (*db.DB, error) {
	stop, err := c.serveUnavailable(ctx, log)
	if err != nil {
		return nil, err
	}
	defer stop()
	for lastText := ""; ; {
		if text := outage.Error(); text != lastText {
			log.WarnContext(ctx, "waiting for the database", "error", outage)
			lastText = text
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(databasePause):
		}
		database, err := flags.open(ctx, c.Migrate, log)
		if err == nil {
			log.InfoContext(ctx, "the database is available")
		}
		if !db.IsOutage(err) {
			return database, err
		}
		outage = err
	}
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
