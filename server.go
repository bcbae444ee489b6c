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
	"strings"
	"syscall"
	"time"

	"portfolio/compat"
	"portfolio/db"
	"portfolio/graph"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/demo"
	"portfolio/internal/imaging"
	"portfolio/internal/middleware"
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
	drainTimeout = 20 * time.Second
	writeTimeout = time.Minute // of a response; routes may give more
	maxHeader    = 64 << 10    // bytes
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

	proxies, err := middleware.ParseProxies(c.Guard.TrustedProxies)
	if err != nil {
		return fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}
	if indexed, err := database.SearchIndexed(ctx); err != nil {
		return err
	} else if !indexed {
		out.log.Warn("searches look at every row: the extension pg_trgm could not be created")
	}
	routes, err := c.routes(database, store, base, demoKey, out.log)
	if err != nil {
		return err
	}
	handler := identified(routes, proxies, out.log)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("ADDR: %w", err)
	}
	connections := middleware.NewConnections(int(c.Guard.MaxConnections))
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: c.Guard.HeaderTimeout,
		ReadTimeout:       c.Guard.BodyTimeout,
		WriteTimeout:      c.Guard.BodyTimeout + c.Guard.RequestTimeout + writeTimeout,
		IdleTimeout:       c.Guard.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         connections.Changed,
		ErrorLog:          slog.NewLogLogger(out.log.Handler(), slog.LevelDebug),
	}
	c.greet(out.stdout, listener.Addr(), demoKey)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(connections.Listen(compat.Listen(listener, handler))) }()
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
func (c *serveCommand) routes(database *db.DB, store imaging.Store, mediaURL, demoKey string, log *slog.Logger) (*routes, error) {
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
	if err := c.Guard.check(); err != nil {
		return nil, err
	}
	memory := tuneMemory(database)
	admission := admission.NewAdmission(int(c.Guard.MaxConcurrent), database.Connections(), int64(c.Limits.Response), func(by int64) { memory.hold(heldFactor * by) })
	tokens := auth.NewTokens(database, c.Guard.RequestTimeout, c.Guard.FailedLogins)
	rates := middleware.NewRates(middleware.Rate{PerSecond: c.Guard.RateLimit, Burst: c.Guard.RateBurst}, tokens.Known)
	pictures := imaging.NewPictures(store, c.MediaMaxBytes, c.MediaMemory)
	atWork := int64(0)
	pictures.AtWork = func(bytes int64) { memory.hold(bytes - atWork); atWork = bytes }
	resolver := &graph.Resolver{DB: database, Tokens: tokens, Pictures: pictures}
	graphql, err := graph.NewHandler(resolver, tokens, graph.Options{
		Limits:        c.Limits,
		Introspection: c.Introspection,
		Persisted:     persisted,
		OnlyPersisted: c.OnlyPersisted,
		MediaURL:      mediaURL,
		Admission:     admission,
		Timeout:       c.Guard.RequestTimeout,
		UploadTimeout: c.Guard.UploadTimeout,
		StallTimeout:  c.Guard.StallTimeout,
		Log:           log,
	})
	if err != nil {
		return nil, fmt.Errorf("PERSISTED_DOCUMENTS: %w", err)
	}
	legacy := compat.New(resolver.Query(), tokens, compat.Options{
		MediaURL: mediaURL, Admission: admission, Timeout: c.Guard.RequestTimeout, Log: log,
	})
	routes := &routes{
		graphql: middleware.Headers(middleware.Origins(c.Guard.CORSOrigins, rates.Handler(graphql, graphql.Refuse))),
		media:   middleware.Headers(store.Handler()),
		legacy:  rates.Handler(legacy, legacy.Refuse),
		ready:   &readiness{database: database, store: store},
	}
	if c.Introspection == graph.IntrospectionOn {
		routes.schema = middleware.Headers(http.HandlerFunc(serveSDL))
	}
	if c.Playground == "on" {
		playground, err := graph.NewPlayground("/graphql", demoKey)
		if err != nil {
			return nil, err
		}
		routes.playground = middleware.Headers(playground)
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
