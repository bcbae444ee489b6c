// Package server builds the parts of the server, connects them, and serves.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"portfolio/compat"
	"portfolio/db"
	"portfolio/graph"
	"portfolio/graph/model"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/changefeed"
	"portfolio/internal/config"
	"portfolio/internal/document"
	"portfolio/internal/graphqlhttp"
	"portfolio/internal/health"
	"portfolio/internal/images"
	"portfolio/internal/livequery"
	"portfolio/internal/middleware"
	"portfolio/internal/playground"
	"portfolio/internal/responsecache"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

const (
	shutdownTimeout = 20 * time.Second
	writeTimeout    = time.Minute      // of a response; handlers may extend it
	maxHeader       = 64 << 10         // bytes
	keepAlive       = 30 * time.Second // between pings; shorter than the idle timeouts of proxies
)

// Server serves both APIs, files and the playground.
type Server struct {
	settings    *config.Server
	log         *slog.Logger
	instruments telemetry.Instruments
	changes     *changefeed.Feed // nil if off
	checker     *health.Checker
	hub         *livequery.Hub
	connections *middleware.ConnectionLimiter
	handler     http.Handler // of all paths
}

// Options configure a server beyond its settings.
type Options struct {
	DemoKey string // key of the token that the playground offers, if any
	Log     *slog.Logger
}

// New builds a server, but does not start it. Close releases its resources.
func New(ctx context.Context, settings *config.Server, database *db.DB, store storage.Store, o Options) (*Server, error) {
	memory := tuneMemory(database)
	s := &Server{
		settings: settings, log: o.Log,
		changes: newFeed(settings, database, o.Log), checker: health.New(database, store, health.Options{Log: o.Log}),
		connections: middleware.NewConnectionLimiter(settings.Clients.MaxConnections, memory.Hold),
	}
	var err error
	if s.instruments, err = newInstruments(ctx, settings, o.Log); err != nil {
		return nil, err
	}
	if err := s.build(database, store, memory, o); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// Close releases the resources of the server. The server must not be serving.
func (s *Server) Close(ctx context.Context) { s.instruments.Close(ctx, s.log) }

// ServeHTTP responds to a request of any path. Serve calls it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Listen listens at ADDR, for Serve.
func (s *Server) Listen(ctx context.Context) (*middleware.Listener, error) {
	listener, err := s.connections.Listen(ctx, string(s.settings.Addr))
	if err != nil {
		return nil, fmt.Errorf("ADDR: %w", err)
	}
	return listener, nil
}

// Serve serves until ctx is canceled. Then the server reports for ShutdownDelay that it is not
// ready. After that, it closes the listener and the subscriptions, and waits for the requests in
// progress. Serve returns an error if requests are still in progress after shutdownTimeout.
func (s *Server) Serve(ctx context.Context, listener *middleware.Listener) error {
	server := newHTTPServer(s.settings, s.connections.Handler(s), s.connections, s.log)
	server.RegisterOnShutdown(s.hub.Shutdown)
	serveErr := make(chan error, 1)
	go func() { serveErr <- server.Serve(listener) }()
	select {
	case err := <-serveErr:
		return err
	case <-ctx.Done():
	}
	s.log.Info("shutting down", "delay", s.settings.ShutdownDelay.String())
	s.checker.Stop()
	select {
	case err := <-serveErr:
		return err
	case <-time.After(s.settings.ShutdownDelay): // balancers have seen that the server is not ready
	}
	if s.settings.ShutdownDelay > 0 { // there may be a balancer
		listener.Drain()
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := cmp.Or(server.Shutdown(drain), s.hub.Wait(drain)); err != nil {
		return fmt.Errorf("requests were still in progress after %s: %w", shutdownTimeout, errors.Join(err, server.Close()))
	}
	return nil
}

// newFeed returns the change feed, or nil if it is off.
func newFeed(settings *config.Server, database *db.DB, log *slog.Logger) *changefeed.Feed {
	if settings.ChangeFeed == "off" {
		return nil
	}
	return changefeed.New(changefeed.Options{
		Listen: func(ctx context.Context, receive func(db.Change)) (db.Listener, error) {
			return database.Listen(ctx, settings.ChangeFeedURL, receive)
		},
		MaxStaleness: settings.CacheMaxStaleness, Log: log,
	})
}

// StartFeed runs the change feed until stop is called. It waits until the feed is connected, or
// until the first attempt to connect has failed. Call it before Listen, so that clients need not
// wait.
func (s *Server) StartFeed(ctx context.Context) (stop func()) {
	if s.changes == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // also while the server shuts down
	var group sync.WaitGroup
	group.Go(func() { s.changes.Run(ctx) })
	<-s.changes.Attempted()
	return func() {
		cancel()
		group.Wait()
	}
}

func newHTTPServer(settings *config.Server, handler http.Handler, connections *middleware.ConnectionLimiter, log *slog.Logger) *http.Server {
	clients := settings.Clients
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: clients.HeaderTimeout,
		ReadTimeout:       clients.BodyTimeout,
		WriteTimeout:      clients.BodyTimeout + clients.RequestTimeout + writeTimeout,
		IdleTimeout:       clients.IdleTimeout,
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

// build builds the handlers of all paths and wraps them in middleware.
func (s *Server) build(database *db.DB, store storage.Store, memory *admission.Memory, o Options) error {
	c := s.settings
	adm := admission.New(admission.Options{
		Lookups: c.Clients.MaxConcurrent, Connections: database.Connections(), MaxResponse: int64(c.Clients.MaxResponse), OnMemoryChange: memory.Hold,
	})
	authenticator := auth.New(database, s.changes, auth.Options{
		Timeout: c.Clients.RequestTimeout, MaxAge: c.AuthMaxAge, MaxFailures: c.Clients.FailedLogins,
	})
	limiter := middleware.NewRateLimiter(middleware.Limit{PerSecond: c.Clients.RateLimit, Burst: c.Clients.RateBurst}, authenticator.WasValid)
	uploads := images.Options{MaxBytes: c.MediaMaxBytes, MaxMemory: c.MediaMemory, Log: o.Log, OnMemoryChange: memory.Hold}
	if s.instruments.Enabled() {
		system := "sqlite"
		if database.Postgres() {
			system = "postgresql"
		}
		database.Observe(s.instruments.Statements(system))
		uploads.Observe = s.instruments.ImageStep
	}
	service := images.New(store, uploads)
	resolver := &graph.Resolver{DB: database, Auth: authenticator, Images: service}
	responses := responsecache.New(s.changes, responsecache.Options{Limit: c.CacheBytes, MaxAge: c.CacheMaxAge, OnMemoryChange: memory.Hold})
	s.hub = livequery.New(livequery.Options{
		Feed: s.changes, MaxAge: c.CacheMaxAge, Limit: c.Clients.MaxSubscriptions, Budget: adm.LiveQueries, Parts: admission.SubscriptionParts,
	})
	graphql, err := newGraphQL(c, resolver, graphqlhttp.Options{
		Admission: adm, Cache: responses, Hub: s.hub, Instruments: s.instruments, Allow: limiter.Allow, Log: o.Log,
	})
	if err != nil {
		return fmt.Errorf("PERSISTED_DOCUMENTS: %w", err)
	}
	if s.instruments.Metrics != nil {
		s.instruments.Metrics.KnowOperations(graphql.Documents.Operations())
		s.instruments.Metrics.Register(databaseMetrics{database}, adm, authenticator, limiter, graphql.Documents, s.hub, service, responses, s.changes, s.connections)
	}
	legacy := compat.New(resolver.Query(), authenticator, compat.Options{
		MediaURL: c.MediaURL, Admission: adm, Cache: responses, Timeout: c.Clients.RequestTimeout, Log: o.Log,
	})
	router := &router{
		graphql: middleware.SecurityHeaders(middleware.CORS(c.Clients.CORSOrigins, limiter.Handler(graphql, graphql.Reject))),
		media:   middleware.SecurityHeaders(store.Handler(o.Log)),
		legacy:  limiter.Handler(legacy, legacy.Reject),
		health:  s.checker,
	}
	if c.Introspection == document.IntrospectionOn {
		router.schema = middleware.SecurityHeaders(schemaHandler(graph.SDL()))
	}
	if c.Playground == "on" {
		page, err := playground.New(playground.BuiltFiles(), playground.Options{Endpoint: "/graphql", MediaURL: string(c.MediaURL), Token: o.DemoKey})
		if err != nil {
			return fmt.Errorf("playground: %w", err)
		}
		router.playground = middleware.SecurityHeaders(page)
	}
	s.handler = middleware.LogRequests(router, c.Clients.TrustedProxies, s.instruments, o.Log)
	return nil
}

// newGraphQL returns a handler of GraphQL. It adds the options that depend on settings and
// resolvers.
func newGraphQL(c *config.Server, resolver *graph.Resolver, o graphqlhttp.Options) (*graphqlhttp.Handler, error) {
	persisted := map[string]string{}
	if c.PersistedDocuments != "" {
		var err error
		if persisted, err = document.ReadPersisted(c.PersistedDocuments); err != nil {
			return nil, err
		}
	}
	schema := graph.NewSchema(resolver)
	documents, err := document.NewCache(schema.Schema(), document.Options{
		Limits: c.Limits, Introspection: c.Introspection, Persisted: persisted, OnlyPersisted: c.OnlyPersisted, Budget: o.Admission.Documents,
		CheckScalar: model.CheckScalar,
	})
	if err != nil {
		return nil, err
	}
	o.Execute, o.Documents, o.Auth = graph.NewExecutor(schema, o.Log), documents, resolver.Auth
	o.Authorize, o.PresentError = graph.Authorize, graph.PresentError(o.Log)
	o.MediaURL, o.MaxUpload = c.MediaURL, resolver.Images.MaxBytes()
	o.MaxValues, o.MaxResponse = c.Clients.MaxValues, c.Clients.MaxResponse
	o.Timeout, o.UploadTimeout, o.StallTimeout = c.Clients.RequestTimeout, c.Clients.UploadTimeout, c.Clients.StallTimeout
	o.InitTimeout, o.KeepAlive = c.Clients.HeaderTimeout, keepAlive
	return graphqlhttp.New(o), nil
}
