package graphqlhttp

import (
	"context"
	"math"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/responsecache"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// client is who sent a request, and what the response depends on beside the request.
type client struct {
	login   *auth.Login // nil if anonymous, or known for certain
	baseURL string      // of files
}

// context adds to the context of a request what the operation needs.
func (c client) context(ctx context.Context) context.Context {
	var viewer *db.User
	if c.login != nil {
		viewer = c.login.Viewer
	}
	return storage.WithBaseURL(auth.WithViewer(ctx, viewer), c.baseURL)
}

// confirm is auth.Login.Confirm.
func (c client) confirm(ctx context.Context) (changed bool, err error) {
	if c.login == nil {
		return false, nil
	}
	return c.login.Confirm(ctx)
}

// confirmNow is auth.Login.ConfirmNow.
func (c client) confirmNow(ctx context.Context) (changed bool, err error) {
	if c.login == nil {
		return false, nil
	}
	return c.login.ConfirmNow(ctx)
}

// find looks for the response in the cache. The text of the request, not its meaning,
// decides, so that nothing needs to be parsed. The media type decides only a header.
// Nothing is cached for anonymous clients: what they may read is nothing but the schema.
func (h *Handler) find(r *http.Request, from client, received *body) (*responsecache.Response, *responsecache.Reading) {
	if h.Cache == nil || from.login == nil || from.login.Proof.Mark() == 0 {
		return nil, nil
	}
	query, content := r.URL.RawQuery, []byte(nil)
	if received != nil {
		query, content = "", received.content
	}
	key := responsecache.KeyOf(content, "graphql", r.Method, from.baseURL, auth.Rights(from.login.Viewer), query)
	return h.Cache.Find(r.Context(), key, from.login.Proof)
}

// fromCache returns a response of the cache. While a large one is sent, it counts as if it
// had been made for this request.
func (h *Handler) fromCache(r *http.Request, found *responsecache.Response) response {
	record := telemetry.RequestFrom(r.Context())
	record.Type, record.Operation, record.Cost = found.Type, found.Operation, found.Cost
	if len(found.Body) < admission.MeterStep {
		return response{stored: found}
	}
	meter := h.Admission.NewMeter(math.MaxInt64, nil, true)
	if err := meter.AddEncoded(r.Context(), len(found.Body)); err != nil {
		return h.unavailable(r.Context(), err)
	}
	return response{stored: found, meter: meter}
}

// store stores the result of a query unless it has errors or other viewers would get
// another one.
func (r response) store(ctx context.Context, operation *operation, reading *responsecache.Reading) {
	if auth.IsForViewer(ctx) {
		reading.Refuse()
	}
	if operation.Operation.Operation != ast.Query || len(r.errors) > 0 || r.data == nil || !reading.IsWanted() {
		return
	}
	made := &responsecache.Response{
		Body: make([]byte, 0, len(beforeData)+len(r.data)+len("}")),
		Type: string(operation.Operation.Operation), Operation: strings.Clone(operation.Operation.Name), Cost: operation.cost.Fields,
	}
	made.Body = append(append(append(made.Body, beforeData...), r.data...), '}')
	if r.cacheControl != "" {
		made.CacheControl, made.ETag = []string{r.cacheControl}, []string{r.etag}
	}
	reading.Store(made)
}

const beforeData = `{"data":`

var contentTypes = map[string][]string{
	jsonType:         {jsonType + "; charset=utf-8"},
	responseJSONType: {responseJSONType + "; charset=utf-8"},
}

// writeStored writes a response of the cache.
func (r response) writeStored(w http.ResponseWriter, request *http.Request, mediaType string) {
	header := w.Header()
	if r.stored.ETag != nil {
		header["Cache-Control"], header["Etag"] = r.stored.CacheControl, r.stored.ETag
		if etagMatches(request.Header.Values("If-None-Match"), r.stored.ETag[0]) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header["Content-Type"], header["Content-Length"] = contentTypes[mediaType], r.stored.ContentLength
	w.WriteHeader(http.StatusOK)
	writeChunks(w, r.stored.Body, r.stallTimeout)
}
