package main

import (
	_ "embed"
	"fmt"
	"net/http"
	"strings"
	"time"

	"portfolio/compat"
	"portfolio/internal/imaging"
)

// sdl is the schema in the language in which it is written.
//
//go:embed schema.graphqls
var sdl string

// routes sends a request to its room by exact path. http.ServeMux would
// redirect to a cleaned path where the old system answered 404.
type routes struct {
	graphql    http.Handler
	media      http.Handler
	playground http.Handler // nil if off
	schema     http.Handler // nil unless everybody may introspect
	legacy     http.Handler // also every path that is nobody's
	ready      *readiness
}

func (s *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/graphql":
		s.graphql.ServeHTTP(w, r)
	case path == "/graphql/schema.graphql" && s.schema != nil:
		s.schema.ServeHTTP(w, r)
	case strings.HasPrefix(path, imaging.Prefix):
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(downloadTimeout))
		s.media.ServeHTTP(w, r)
	case path == "/api/openapi.json":
		compat.ServeOpenAPI(w, r)
	case path == "/healthz":
		status(w, http.StatusOK, "ok")
	case path == "/readyz":
		s.readyz(w, r)
	case path == "/" && s.playground != nil && r.Header.Get("Accept") != "":
		// Every browser sends Accept. To a client that does not, / is no route, as ever.
		s.playground.ServeHTTP(w, r)
	default:
		s.legacy.ServeHTTP(w, r)
	}
}

const downloadTimeout = 10 * time.Minute // of one file, by a slow client

// serveSDL is for code generators. Browsers show it as text.
func serveSDL(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		status(w, http.StatusMethodNotAllowed, "Method not allowed.")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(sdl))
}

func (s *routes) readyz(w http.ResponseWriter, r *http.Request) {
	if wrong := s.ready.check(r.Context()); wrong != "" {
		status(w, http.StatusServiceUnavailable, wrong)
		return
	}
	status(w, http.StatusOK, "ok")
}

func status(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) //nolint:gosec // never the client's
}
