// Portfolio serves portfolios over GraphQL, and one endpoint of the legacy
// system that it replaces over REST.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"portfolio/auth"
	"portfolio/compat"
	"portfolio/db"
	"portfolio/demo"
	"portfolio/graph"
	"portfolio/guard"
	"portfolio/media"
)

//go:generate go tool gqlgen generate

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	gcPercent   = 400
	memoryLimit = 56 << 20 // bytes, without pictures at work
	sqlitePages = 16 << 20 // bytes of them that SQLite needs beside the heap
)

// tuneMemory lets the few MiB that the server lives in grow to several times
// their size before they are collected, which saves a sixth of the processor,
// but to no more than the limit, which grows with the pictures at work.
func tuneMemory(database *db.DB, pictures *media.Pictures) {
	limit := int64(memoryLimit)
	if !database.Postgres() {
		limit -= sqlitePages
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
		pictures.AtWork = func(bytes int64) { debug.SetMemoryLimit(limit + 3*bytes) }
	}
}

const (
	drainTimeout = 20 * time.Second
	writeTimeout = time.Minute // of an answer; routes may give more
	maxHeader    = 64 << 10
)

// serve is the sub-command of that name: it answers until ctx ends, then
// finishes the requests under way.
func (c *serveCommand) Run(ctx context.Context, settings *settings, out output) error {
	base, err := mediaBase(c.MediaURL)
	if err != nil {
		return err
	}
	database, err := settings.open(ctx, c.Migrate)
	if err != nil {
		return err
	}
	defer func() { _ = database.Close() }()
	store, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()

	demoKey := ""
	if settings.DatabaseURL == "" {
		if demoKey, err = demo.Load(ctx, database, store, filepath.Join(dataFolder, "demo-token")); err != nil {
			return err
		}
	}

	routes, err := c.routes(database, store, base, demoKey, out.log)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("ADDR: %w", err)
	}
	server := &http.Server{
		Handler:           logged(routes, out.log),
		ReadHeaderTimeout: c.Guard.HeaderTimeout,
		ReadTimeout:       c.Guard.BodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       c.Guard.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(out.log.Handler(), slog.LevelDebug),
	}
	c.greet(out.stdout, listener.Addr(), demoKey)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(compat.Listen(listener, routes.legacy)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	out.log.Info("stopping")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("requests were still under way after %s: %w", drainTimeout, errors.Join(err, server.Close()))
	}
	return nil
}

// routes opens each room's door to the others, and guards it.
func (c *serveCommand) routes(database *db.DB, store media.Store, mediaURL, demoKey string, log *slog.Logger) (*routes, error) {
	persisted := map[string]string{}
	if c.OnlyPersisted && c.PersistedDocuments == "" {
		return nil, errors.New("--only-persisted: needs PERSISTED_DOCUMENTS")
	}
	if c.PersistedDocuments != "" {
		var err error
		if persisted, err = graph.ReadDocuments(c.PersistedDocuments); err != nil {
			return nil, fmt.Errorf("PERSISTED_DOCUMENTS: %w", err)
		}
	}
	proxies, err := guard.ParseProxies(c.Guard.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}
	if c.Guard.MaxConcurrent == 0 {
		return nil, errors.New("MAX_CONCURRENT: must be at least 1")
	}
	tokens := auth.NewTokens(database)
	turns := guard.NewTurns(c.Guard.MaxConcurrent)
	rates := guard.NewRates(proxies,
		guard.Rate{PerSecond: c.Guard.RateLimit, Burst: c.Guard.RateBurst},
		guard.Rate{PerSecond: float64(c.Guard.FailedLogins) / time.Minute.Seconds(), Burst: c.Guard.FailedLogins},
		tokens.Known)
	pictures := media.NewPictures(store, c.MediaMaxBytes)
	tuneMemory(database, pictures)
	resolver := &graph.Resolver{DB: database, Tokens: tokens, Pictures: pictures}
	graphql, err := graph.NewHandler(resolver, tokens, graph.Options{
		Limits:        c.Limits,
		Introspection: c.Introspection,
		Persisted:     persisted,
		OnlyPersisted: c.OnlyPersisted,
		MediaURL:      mediaURL,
		Enter:         turns.Enter,
		Log:           log,
	})
	if err != nil {
		return nil, fmt.Errorf("PERSISTED_DOCUMENTS: %w", err)
	}
	legacy := compat.New(resolver.Query(), tokens, mediaURL, log)
	routes := &routes{
		graphql: guard.Headers(guard.Origins(c.Guard.CORSOrigins, rates.Handler(graphql, graphql.Refuse))),
		media:   guard.Headers(store.Handler()),
		legacy:  rates.Handler(turns.Handler(legacy, legacy.Refuse), legacy.Refuse),
		ready:   database.CheckSchema,
	}
	if c.Introspection == graph.IntrospectionOn {
		routes.schema = guard.Headers(http.HandlerFunc(serveSDL))
	}
	if c.Playground == "on" {
		playground, err := graph.NewPlayground("/graphql", demoKey)
		if err != nil {
			return nil, err
		}
		routes.playground = guard.Headers(playground)
	}
	return routes, nil
}

// mediaBase checks MEDIA_URL and ends it in a slash.
func mediaBase(address string) (string, error) {
	if address == "" {
		return "", nil
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return "", errors.New("MEDIA_URL: not an absolute http or https address")
	}
	return strings.TrimSuffix(parsed.String(), "/") + "/", nil
}

func (c *serveCommand) greet(w io.Writer, address net.Addr, demoKey string) {
	host, port, _ := net.SplitHostPort(address.String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	at := "http://" + net.JoinHostPort(host, port)
	if c.Playground == "on" {
		_, _ = fmt.Fprintf(w, "Playground:  %s/\n", at)
	}
	_, _ = fmt.Fprintf(w, "GraphQL:     %s/graphql\n", at)
	if demoKey != "" {
		_, _ = fmt.Fprintf(w, "Try:         curl -H 'Authorization: Token %s' %s/api/portfolios/%d/links/%d\n",
			demoKey, at, demo.PortfolioID, demo.LinkID)
	}
	_, _ = fmt.Fprintln(w, "Ready. Ctrl-C stops.")
}
