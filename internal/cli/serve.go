package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"portfolio/db"
	"portfolio/internal/config"
	"portfolio/internal/demo"
	"portfolio/internal/server"
)

type serveCommand struct {
	config.Server
	Migrate bool `help:"Migrate a PostgreSQL database first."`
}

// Run serves until ctx is canceled, then shuts down gracefully.
func (c *serveCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	database, err := c.openDatabase(ctx, flags, env.log)
	if err != nil || database == nil {
		return err
	}
	defer func() { _ = database.Close() }()
	store, err := openStore(ctx, c.Location(&flags.Global))
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	demoKey := ""
	if flags.DatabaseURL.IsZero() {
		if demoKey, err = demo.Load(ctx, database, store, flags.DemoKeyFile()); err != nil {
			return err
		}
	}
	if err := logProblems(ctx, env.log, database.SearchProblems); err != nil {
		return err
	}
	s, err := server.New(ctx, &c.Server, database, store, server.Options{DemoKey: demoKey, Log: env.log})
	if err != nil {
		return err
	}
	defer s.Close(ctx)
	defer s.StartFeed(ctx)()
	listener, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	admin, stop, err := s.ListenAdmin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if admin != nil {
		_, _ = fmt.Fprintf(env.stdout, "Metrics:     http://%s/metrics\n", admin)
	}
	c.printBanner(env, listener.Addr(), demoKey)
	return s.Serve(ctx, listener)
}

func (c *serveCommand) printBanner(env environment, address net.Addr, demoKey string) {
	host, port, _ := net.SplitHostPort(address.String())
	base := "http://" + net.JoinHostPort(localHost(host), port)
	if c.Playground == "on" {
		_, _ = fmt.Fprintf(env.stdout, "Playground:  %s/\n", base)
	}
	_, _ = fmt.Fprintf(env.stdout, "GraphQL:     %s/graphql\n", base)
	if demoKey != "" {
		_, _ = fmt.Fprintf(env.stdout, "Try:         curl -H 'Authorization: Token %s' %s/api/portfolios/%d/links/%d\n",
			demoKey, base, demo.PortfolioID, demo.LinkID)
	}
	_, _ = fmt.Fprintln(env.stdout, "Ready. Press Ctrl-C to stop.")
}

// databasePause is the time between two attempts to open a database that is unavailable.
const databasePause = time.Second

// openDatabase opens the database, and waits for PostgreSQL while it is unavailable. If ctx is
// canceled before it is open, the DB is nil.
func (c *serveCommand) openDatabase(ctx context.Context, flags *globalFlags, log *slog.Logger) (*db.DB, error) {
	database, err := flags.open(ctx, c.Migrate, log)
	if flags.Database().SQLitePath() == "" && db.IsOutage(err) {
		database, err = c.awaitDatabase(ctx, flags, log, err)
	}
	if err != nil && ctx.Err() != nil {
		log.InfoContext(ctx, "stopped before the database was open", "error", err)
		return nil, nil //nolint:nilerr,nilnil // documented
	}
	return database, err
}

// awaitDatabase opens a database after an outage. Until then the server is alive but not ready. It
// returns ctx.Err() if ctx ends first.
func (c *serveCommand) awaitDatabase(ctx context.Context, flags *globalFlags, log *slog.Logger, outage error) (*db.DB, error) {
	stop, err := server.ServeUnavailable(ctx, &c.Server, log)
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
