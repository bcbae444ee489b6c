package legacyimport

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"portfolio/compat"
	"portfolio/db"
	"portfolio/graph"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
)

const requestTimeout = time.Minute // of the local endpoint

// anyone authenticates every client as an admin.
type anyone struct{}

func (anyone) Authenticate(context.Context, string) (*auth.Session, error) {
	return auth.NewSession(&db.User{IsActive: true, IsAdmin: true}), nil
}

// newHandler returns the local endpoint without authentication.
func newHandler(links compat.Links, connections int, log *slog.Logger) http.Handler {
	return compat.New(links, anyone{}, compat.Options{
		Admission: admission.New(admission.Options{Lookups: 2 * workers, Connections: connections}), Timeout: requestTimeout, Log: log,
	})
}

// rows resolves links of a batch without a database.
type rows map[linkID]*db.PortfolioLink

func (r rows) PortfolioLink(_ context.Context, portfolioID *db.NodeID, id db.NodeID) (*db.PortfolioLink, error) {
	return r[linkID{id.ID, portfolioID.ID}], nil
}

// verifier compares local responses with the responses of the legacy system.
type verifier struct {
	local       http.Handler // reads the database
	connections int
	media       mediaBase // of the legacy system
	dryRun      bool
	log         *slog.Logger
}

func newVerifier(database *db.DB, media mediaBase, dryRun bool, log *slog.Logger) *verifier {
	resolver := &graph.Resolver{DB: database}
	return &verifier{newHandler(resolver.Query(), database.Connections(), log), database.Connections(), media, dryRun, log}
}

// verify sets the differences of the responses for links. If a link has no response of the
// legacy system, verify compares with the local endpoint's response for the row in memory. In
// a dry run, the local response is built from the row too.
func (v *verifier) verify(ctx context.Context, links []*link) error {
	legacy := rows{}
	for _, link := range links {
		legacy[link.id()] = link.row
	}
	byRow := newHandler(legacy, v.connections, v.log)
	local := v.local
	if v.dryRun {
		local = byRow
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, link := range links {
		group.Go(func() error {
			want, media := link.response, v.media
			if want == nil {
				want, media = call(ctx, byRow, link.id()), storage.Prefix
			}
			got := call(ctx, local, link.id())
			if got.status >= http.StatusInternalServerError {
				return fmt.Errorf("read the link %d back: the response is %d", link.row.ID, got.status)
			}
			link.differences = compareResponses(want, got, media)
			return ctx.Err()
		})
	}
	return group.Wait()
}

// compareResponses returns the differences of two responses. It ignores hosts.
func compareResponses(legacy, local *response, media mediaBase) []Difference {
	legacyType, localType := legacy.header.Get("Content-Type"), local.header.Get("Content-Type")
	switch {
	case legacy.failure != "":
		return []Difference{{"response", legacy.failure, strconv.Itoa(local.status)}}
	case legacy.status != local.status:
		return []Difference{{"status", strconv.Itoa(legacy.status), strconv.Itoa(local.status)}}
	case contentType(legacy.header) == "text/html" && contentType(local.header) == "text/html":
		return nil // pages of the frameworks
	case legacyType != localType:
		return []Difference{{"Content-Type", legacyType, localType}}
	}
	return differences(withoutHosts(legacy.body, media), withoutHosts(local.body, storage.Prefix))
}

// call sends a request to a handler in this process.
func call(ctx context.Context, handler http.Handler, id linkID) *response {
	request := &http.Request{
		Method: http.MethodGet, RequestURI: id.path(), Host: "legacy", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Authorization": {"Token verify"}},
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(w, request.WithContext(ctx))
	return &response{status: w.status, header: w.header, body: w.body.Bytes()}
}

// recorder is a ResponseWriter that records a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
