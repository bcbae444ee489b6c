package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"portfolio/compat"
	"portfolio/internal/health"
	"portfolio/internal/playground"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// router dispatches requests by exact path. It does not use http.ServeMux, which
// redirects unclean paths; the legacy system returns 404 for them.
type router struct {
	graphql    http.Handler
	media      http.Handler
	playground http.Handler // nil if off
	schema     http.Handler // nil unless everyone may query it
	legacy     http.Handler // also handles unmatched paths
	health     *health.Checker
}

func (r *router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if r.health.Stopping() {
		w.Header().Set("Connection", "close") // the next request may go to another server
	}
	if req.URL.Path == "/graphql" {
		telemetry.RequestFrom(req.Context()).API = telemetry.GraphQL
		r.graphql.ServeHTTP(w, req)
		return
	}
	r.serveOthers(w, req)
}

// serveOthers serves all paths but /graphql. Subscriptions wait on the stack of ServeHTTP, so
// its frame must be small.
func (r *router) serveOthers(w http.ResponseWriter, req *http.Request) {
	switch path := req.URL.Path; {
	case path == "/graphql/schema.graphql" && r.schema != nil:
		r.schema.ServeHTTP(w, req)
	case strings.HasPrefix(path, storage.Prefix):
		telemetry.RequestFrom(req.Context()).API = telemetry.Media
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(downloadTimeout))
		r.media.ServeHTTP(w, req)
	case path == "/api/openapi.json":
		compat.ServeOpenAPI(w, req)
	case path == "/healthz":
		telemetry.RequestFrom(req.Context()).API = telemetry.Health
		writeText(w, http.StatusOK, "ok")
	case path == "/readyz":
		writeReadiness(w, req, r.health.Check)
	case path == "/readyz/queries":
		writeReadiness(w, req, r.health.CheckQueries)
	case path == "/" && r.playground != nil && req.Header.Get("Accept") != "":
		// Every browser sends Accept. Other clients get the legacy 404.
		r.playground.ServeHTTP(w, req)
	case strings.HasPrefix(path, playground.Prefix) && r.playground != nil:
		r.playground.ServeHTTP(w, req)
	default:
		r.legacy.ServeHTTP(w, req)
	}
}

const downloadTimeout = 10 * time.Minute // of one file

// schemaHandler serves the schema to code generators, as text that browsers show.
type schemaHandler string

func (h schemaHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeText(w, http.StatusMethodNotAllowed, "Method not allowed.")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(h)))
}

func writeReadiness(w http.ResponseWriter, req *http.Request, check func(context.Context) (problem string)) {
	telemetry.RequestFrom(req.Context()).API = telemetry.Health
	if problem := check(req.Context()); problem != "" {
		writeText(w, http.StatusServiceUnavailable, problem)
		return
	}
	writeText(w, http.StatusOK, "ok")
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) //nolint:gosec // text is a constant
}
