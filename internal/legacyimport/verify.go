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

const requestTimeout = time.Minute // of our own endpoint

// anyone authenticates every client as an admin.
type anyone struct{}

func (anyone) Authenticate(context.Context, string) (*auth.Session, error) {
	return auth.NewSession(&db.User{IsActive: true, IsAdmin: true}), nil
}

// newHandler returns our own endpoint, without authentication.
func newHandler(links compat.Links, connections int, log *slog.Logger) http.Handler {
	return compat.New(links, anyone{}, compat.Options{
		Admission: admission.New(2*workers, connections, 0, nil), Timeout: requestTimeout, Log: log,
	})
}

// rows resolves links of a batch without a database.
type rows map[linkID]*db.PortfolioLink

func (r rows) PortfolioLink(_ context.Context, portfolioID *db.NodeID, id db.NodeID) (*db.PortfolioLink, error) {
	return r[linkID{id.ID, portfolioID.ID}], nil
}

// verifier compares responses of our own endpoint with those of the legacy system.
type verifier struct {
	here        http.Handler // of the database
	connections int
	media       mediaBase // of the legacy system
	dryRun      bool
	log         *slog.Logger
}

func newVerifier(database *db.DB, media mediaBase, dryRun bool, log *slog.Logger) *verifier {
	resolver := &graph.Resolver{DB: database}
	return &verifier{newHandler(resolver.Query(), database.Connections(), log), database.Connections(), media, dryRun, log}
}

// verify compares the responses for links, and returns the differences of each. A
// link that the legacy system was not asked for is compared with its row. In a dry
// run, our response is that for the row.
func (v *verifier) verify(ctx context.Context, links []*link) ([][]Difference, error) {
	old := rows{}
	for _, link := range links {
		old[link.key()] = link.row
	}
	asRows := newHandler(old, v.connections, v.log)
	here := v.here
	if v.dryRun {
		here = asRows
	}
	found := make([][]Difference, len(links))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, link := range links {
		group.Go(func() error {
			want, media := link.response, v.media
			if want == nil {
				want, media = call(ctx, asRows, link.key()), storage.Prefix
			}
			got := call(ctx, here, link.key())
			if got.status >= http.StatusInternalServerError {
				return fmt.Errorf("read the link %d back: the response is %d", link.id, got.status)
			}
			found[i] = compareResponses(want, got, media)
			return ctx.Err()
		})
	}
	return found, group.Wait()
}

// compareResponses returns the differences of two responses, hosts aside.
func compareResponses(legacy, here *response, media mediaBase) []Difference {
	switch {
	case legacy.failure != "":
		return []Difference{{"response", legacy.failure, strconv.Itoa(here.status)}}
	case legacy.status != here.status:
		return []Difference{{"status", strconv.Itoa(legacy.status), strconv.Itoa(here.status)}}
	}
	if contentType(legacy.header) == "text/html" && contentType(here.header) == "text/html" {
		return nil // pages of the frameworks
	}
	if left, right := legacy.header.Get("Content-Type"), here.header.Get("Content-Type"); left != right {
		return []Difference{{"Content-Type", left, right}}
	}
	return differences(withoutHosts(legacy.body, media), withoutHosts(here.body, storage.Prefix))
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

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
