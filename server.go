// Portfolio serves portfolios over GraphQL, and over one REST endpoint of the
// legacy system that it replaces.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	_ "golang.org/x/crypto/x509roots/fallback" // for systems without certificates, such as containers

	"portfolio/compat"
	"portfolio/db"
	"portfolio/graph"
	"portfolio/graph/model"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/cache"
	"portfolio/internal/demo"
	"portfolio/internal/document"
	"portfolio/internal/feed"
	"portfolio/internal/graphqlhttp"
	"portfolio/internal/health"
	"portfolio/internal/images"
	"portfolio/internal/middleware"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
	"portfolio/internal/topics"
	"portfolio/playground"
)

//go:generate go tool gqlgen generate

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process immediately
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	shutdownTimeout = 20 * time.Second
	writeTimeout    = time.Minute      // of a response; handlers may extend it
	maxHeader       = 64 << 10         // bytes
	keepAlive       = 30 * time.Second // between pings, less than the time after which proxies close connections
)

// Run starts the server and blocks until ctx is canceled, then shuts down
// gracefully.
func (c *serveCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	database, err := c.openDatabase(ctx, flags, out.log)
	if err != nil || database == nil {
		return err
	}
	defer func() { _ = database.Close() }()
	store, err := c.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	demoKey := ""
	if flags.DatabaseURL.IsZero() {
		if demoKey, err = demo.Load(ctx, database, store, demoKeyFile); err != nil {
			return err
		}
	}

	if err := logProblems(ctx, out.log, database.SearchProblems); err != nil {
		return err
	}
	watch, err := c.watch(ctx, out.log)
	if err != nil {
		return err
	}
	defer watch.Close(ctx, out.log)
	checker := health.NewChecker(database, store, out.log)
	changes, stopFeed := c.startFeed(ctx, database, out.log)
	defer stopFeed()
	memory := tuneMemory(database)
	handler, subscribed, err := c.handler(database, store, changes, checker, demoKey, memory, watch, out.log)
	if err != nil {
		return err
	}
	connections := middleware.NewConnectionLimiter(c.Clients.MaxConnections, memory.Hold)
	listener, err := connections.Listen(ctx, string(c.Addr))
	if err != nil {
		return fmt.Errorf("ADDR: %w", err)
	}
	server := c.server(connections.Handler(handler), connections, out.log)
	stop, err := c.startAdmin(ctx, watch.Metrics, connections, handler, out)
	if err != nil {
		return err
	}
	defer stop()
	c.printBanner(out.stdout, listener.Addr(), demoKey)
	return c.serveUntil(ctx, server, listener, checker, subscribed, out.log)
}

// startFeed hears of changes until stop is called, or returns nil if the feed is off. It
// waits until changes are heard, unless that fails at first.
func (c *serverSettings) startFeed(ctx context.Context, database *db.DB, log *slog.Logger) (changes *feed.Feed, stop func()) {
	if c.Feed == "off" {
		return nil, func() {}
	}
	changes = feed.New(feed.Options{
		Listen: func(ctx context.Context, changed func(db.Change)) (db.Listener, error) {
			return database.Listen(ctx, c.FeedURL, changed)
		},
		Slack: c.CacheSlack, Log: log,
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // also while the server shuts down
	var running sync.WaitGroup
	running.Go(func() { changes.Run(ctx) })
	<-changes.Tried()
	return changes, func() {
		cancel()
		running.Wait()
	}
}

// serveUntil serves until ctx is canceled. Then it is not ready for ShutdownDelay,
// closes the listener, ends the subscriptions and waits for the requests in progress.
func (c *serverSettings) serveUntil(
	ctx context.Context, server *http.Server, listener *middleware.Listener, checker *health.Checker, subscribed *topics.Topics, log *slog.Logger,
) error {
	server.RegisterOnShutdown(subscribed.Stop)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("shutting down", "delay", c.ShutdownDelay.String())
	checker.Stop()
	select {
	case err := <-failed:
		return err
	case <-time.After(c.ShutdownDelay): // balancers have seen that the server is not ready
	}
	if c.ShutdownDelay > 0 { // there may be a balancer
		listener.Drain()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := cmp.Or(server.Shutdown(drain), subscribed.Wait(drain)); err != nil {
		return fmt.Errorf("requests were still in progress after %s: %w", shutdownTimeout, errors.Join(err, server.Close()))
	}
	return nil
}

func (c *serverSettings) server(handler http.Handler, connections *middleware.ConnectionLimiter, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: c.Clients.HeaderTimeout,
		ReadTimeout:       c.Clients.BodyTimeout,
		WriteTimeout:      c.Clients.BodyTimeout + c.Clients.RequestTimeout + writeTimeout,
		IdleTimeout:       c.Clients.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         connections.ConnState,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// sqlitePages is the memory in bytes that SQLite takes outside of Go's heap.
const sqlitePages = 16 << 20

func tuneMemory(database *db.DB) *admission.Memory {
	if database.Postgres() {
		return admission.TuneMemory(0)
	}
	return admission.TuneMemory(sqlitePages)
}

// handler constructs the handlers of all paths and wraps them in middleware.
func (c *serverSettings) handler(
	database *db.DB, store storage.Store, changes *feed.Feed, checker *health.Checker, demoKey string,
	memory *admission.Memory, watch telemetry.Watch, log *slog.Logger,
) (http.Handler, *topics.Topics, error) {
	admitted := admission.New(c.Clients.MaxConcurrent, database.Connections(), int64(c.Clients.MaxResponse), memory.Hold)
	authenticator := auth.NewAuthenticator(database, changes, auth.Options{
		Timeout: c.Clients.RequestTimeout, MaxAge: c.AuthMaxAge, MaxFailures: c.Clients.FailedLogins,
	})
	limiter := middleware.NewRateLimiter(middleware.Limit{PerSecond: c.Clients.RateLimit, Burst: c.Clients.RateBurst}, authenticator.WasValid)
	service := images.NewService(store, c.MediaMaxBytes, c.MediaMemory)
	service.Log, service.OnMemoryChange = log, memory.Hold
	if watch.IsOn() {
		system := "sqlite"
		if database.Postgres() {
			system = "postgresql"
		}
		database.Observe(watch.Statements(system))
		service.Observe = watch.ImageStep
	}
	resolver := &graph.Resolver{DB: database, Auth: authenticator, Images: service}
	responses := cache.New(changes, cache.Options{Limit: c.CacheBytes, MaxAge: c.CacheMaxAge, Hold: memory.Hold})
	graphql, err := c.graphQL(resolver, admitted, responses, log)
	if err != nil {
		return nil, nil, fmt.Errorf("PERSISTED_DOCUMENTS: %w", err)
	}
	graphql.Topics = topics.New(topics.Options{Feed: changes, MaxAge: c.CacheMaxAge, Limit: c.Clients.MaxSubscriptions, Budget: admitted.Topics, Parts: admission.TopicParts})
	graphql.Watch, graphql.Allow = watch, limiter.Allow
	if watch.Metrics != nil {
		watched{database, admitted, authenticator, limiter, graphql.Documents, graphql.Topics, service, responses, changes}.measure(watch.Metrics)
	}
	legacy := compat.New(resolver.Query(), authenticator, compat.Options{
		MediaURL: c.MediaURL, Admission: admitted, Cache: responses, Timeout: c.Clients.RequestTimeout, Log: log,
	})
	router := &router{
		graphql: middleware.SecurityHeaders(middleware.CORS(c.Clients.CORSOrigins, limiter.Handler(graphql, graphql.Reject))),
		media:   middleware.SecurityHeaders(store.Handler(log)),
		legacy:  limiter.Handler(legacy, legacy.Reject),
		health:  checker,
	}
	if c.Introspection == document.IntrospectionOn {
		router.schema = middleware.SecurityHeaders(http.HandlerFunc(serveSchema))
	}
	if c.Playground == "on" {
		page, err := playground.New(playground.Built(), playground.Options{Endpoint: "/graphql", MediaURL: string(c.MediaURL), Token: demoKey})
		if err != nil {
			return nil, nil, fmt.Errorf("playground: %w", err)
		}
		router.playground = middleware.SecurityHeaders(page)
	}
	return middleware.LogRequests(router, c.Clients.TrustedProxies, watch, log), graphql.Topics, nil
}

func (c *serverSettings) graphQL(resolver *graph.Resolver, admitted *admission.Admission, responses *cache.Cache, log *slog.Logger) (*graphqlhttp.Handler, error) {
	persisted := map[string]string{}
	if c.PersistedDocuments != "" {
		var err error
		if persisted, err = document.ReadPersisted(c.PersistedDocuments); err != nil {
			return nil, err
		}
	}
	schema := graph.NewSchema(resolver)
	documents, err := document.NewCache(schema.Schema(), document.Options{
		Limits: c.Limits, Introspection: c.Introspection, Persisted: persisted, OnlyPersisted: c.OnlyPersisted, Budget: admitted.Documents,
		CheckScalar: model.CheckScalar,
	})
	if err != nil {
		return nil, err
	}
	return &graphqlhttp.Handler{
		Execute: graph.NewExecutor(schema, log), Documents: documents, Auth: resolver.Auth, Admission: admitted, Cache: responses,
		Authorize: graph.Authorize, PresentError: graph.PresentError(log),
		MediaURL: c.MediaURL, MaxUpload: resolver.Images.MaxBytes(), MaxValues: c.Clients.MaxValues, MaxResponse: c.Clients.MaxResponse,
		Timeout: c.Clients.RequestTimeout, UploadTimeout: c.Clients.UploadTimeout, StallTimeout: c.Clients.StallTimeout,
		InitTimeout: c.Clients.HeaderTimeout, KeepAlive: keepAlive, Log: log,
	}, nil
}

func (c *serverSettings) printBanner(w io.Writer, address net.Addr, demoKey string) {
	host, port, _ := net.SplitHostPort(address.String())
	at := "http://" + net.JoinHostPort(localHost(host), port)
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
