package graphqlhttp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/responsecache"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// exchange is a request in JSON or in a query string, and the state of responding to it.
type exchange struct {
	*Handler
	r        *http.Request
	accept   mediaTypes
	session  *auth.Session
	baseURL  string // of files
	deadline time.Time

	body    *body    // nil once it is decoded, or if there is none
	request *request // nil until it is decoded
}

// respond returns the response to a request. For a subscription, it returns only its text.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, accept mediaTypes) (resp response) {
	isUpload := h.isUpload(r)
	switch {
	case accept.json == "" && (!accept.events || isUpload):
		return errNotJSON.response()
	case isUpload:
		return h.respondToUpload(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		return methodNotAllowed("Send GET or POST.", "GET, HEAD, POST").response()
	case r.ContentLength > bodyLimit(r):
		return tooLarge("The body", bodyLimit(r)).response()
	}
	start := time.Now()
	session, err := h.executor.authenticate(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		return h.failureResponse(r.Context(), err)
	}
	timeout := h.Timeout - time.Since(start)
	x := exchange{Handler: h, r: r, accept: accept, session: session, baseURL: h.MediaURL.For(r.Context(), r.Host)}
	reqErr := x.readBody(w)
	defer func() { x.body.release() }()
	x.deadline = time.Now().Add(timeout)
	err = session.Do(r.Context(), func(viewer *db.User) { //nolint:contextcheck // r has the context
		resp.release()
		if viewer != nil {
			telemetry.RequestFrom(r.Context()).UserID = viewer.ID
		}
		if reqErr != nil {
			resp = reqErr.response()
			return
		}
		resp = x.lookUp(viewer)
	})
	if err != nil {
		resp.release()
		return h.failureResponse(r.Context(), err)
	}
	return resp
}

func isAnonymous(r *http.Request) bool { return r.Header.Get("Authorization") == "" }

// bodyLimit returns the maximum size of a body in bytes, unless it has files.
func bodyLimit(r *http.Request) int64 {
	if isAnonymous(r) {
		return maxAnonymousBody
	}
	return maxBody
}

func methodNotAllowed(message, allow string) *requestError {
	err := newRequestError(http.StatusMethodNotAllowed, message)
	err.allow = allow
	return err
}

// readBody reads the body of a POST request.
func (x *exchange) readBody(w http.ResponseWriter) (err *requestError) {
	if x.r.Method != http.MethodPost {
		return nil
	}
	if err := checkContentType(x.r.Header); err != nil {
		return err
	}
	limit, budget := bodyLimit(x.r), x.Admission.Bodies
	if isAnonymous(x.r) {
		budget = x.Admission.AnonymousBodies
	}
	x.body, err = readBody(http.MaxBytesReader(w, x.r.Body, limit), "The body", limit, budget)
	return err
}

// lookUp responds from the cache, or else executes the operation. The key is the raw request,
// so nothing has to be parsed. Anonymous requests are not cached: they can only read the
// schema.
func (x *exchange) lookUp(viewer *db.User) (resp response) {
	barrier := x.session.Barrier()
	switch {
	case x.Cache == nil || barrier.Revision() == 0,
		x.request != nil,    // it was decoded for another user, and its body is released
		x.accept.json == "": // the client accepts no result of a query
		return x.execute(x.r.Context(), viewer, new(responsecache.Fill))
	}
	query, content := x.r.URL.RawQuery, []byte(nil)
	if x.body != nil {
		query, content = "", x.body.content
	}
	key := responsecache.KeyOf(content, "graphql", x.r.Method, x.baseURL, auth.Rights(viewer), query)
	cached := x.Cache.Do(x.r.Context(), key, barrier, func(ctx context.Context, fill *responsecache.Fill) {
		resp = x.execute(ctx, viewer, fill)
	})
	if cached != nil {
		return x.cachedResponse(cached)
	}
	return resp
}

// cachedResponse returns a response of the cache. While a large response is sent, its memory
// counts as if it had been built for this request.
func (x *exchange) cachedResponse(cached *responsecache.Response) response {
	record := telemetry.RequestFrom(x.r.Context())
	record.Type, record.Operation, record.Cost = cached.Type, cached.Operation, cached.Cost
	resp := response{cached: cached}
	if len(cached.Body) < admission.MeterStep {
		return resp
	}
	resp.meter = x.Admission.NewMeter(math.MaxInt64, nil)
	if err := resp.meter.AddEncoded(x.r.Context(), len(cached.Body)); err != nil {
		return response{result: x.executor.unavailable(x.r.Context(), err)}
	}
	return resp
}

// execute decodes the request and executes its operation in a slot.
func (x *exchange) execute(ctx context.Context, viewer *db.User, fill *responsecache.Fill) response {
	ctx, cancel := context.WithDeadline(storage.WithBaseURL(auth.WithViewer(ctx, viewer), x.baseURL), x.deadline)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Acquire(ctx, x.Admission.Lookups); err != nil {
		return response{result: x.executor.unavailable(ctx, err)}
	}
	if reqErr := x.decode(); reqErr != nil {
		return reqErr.response()
	}
	res, err := x.executor.execute(ctx, x.session, x.request, &slot, func(kind ast.Operation) error {
		if kind != ast.Query {
			fill.Forbid()
		}
		return x.checkKind(kind)
	})
	if err != nil {
		return x.failureResponse(ctx, err)
	}
	resp := res.response()
	x.setCacheControl(&resp)
	x.share(ctx, resp, fill)
	return resp
}

// decode decodes the request from the body, or else from the query string.
func (x *exchange) decode() (reqErr *requestError) {
	switch {
	case x.request != nil:
	case x.r.Method != http.MethodPost:
		x.request, reqErr = parseQuery(x.r.URL.RawQuery, x.MaxValues)
	default:
		x.request, reqErr = parseJSON(x.body.content, x.MaxValues)
		if reqErr == nil {
			x.body.release()
			x.body = nil
		}
	}
	return reqErr
}

// checkKind returns an error if the method of the request does not allow operations of this
// kind, or if the client does not accept their results.
func (x *exchange) checkKind(kind ast.Operation) error {
	switch {
	case kind == ast.Subscription && (!x.accept.events || x.r.Method == http.MethodHead):
		return errNotEvents
	case kind != ast.Subscription && x.accept.events && x.accept.json == "":
		return errNotJSON
	case kind == ast.Mutation && x.r.Method != http.MethodPost:
		return methodNotAllowed("Only queries and subscriptions may be sent by GET.", http.MethodPost)
	}
	return nil
}

// setCacheControl lets caches store the result of a query that was sent by GET.
func (x *exchange) setCacheControl(resp *response) {
	if x.r.Method == http.MethodPost || len(resp.errors) > 0 || resp.data == nil {
		return
	}
	resp.cacheControl = "private, no-cache"
	if x.Documents.IsPublic(resp.operation.document) {
		resp.cacheControl = "public, no-cache"
	}
	hash := sha256.Sum256(resp.data)
	resp.etag = `W/"` + hex.EncodeToString(hash[:16]) + `"`
}

// share shares the response with other requests, unless it has errors or is private.
func (x *exchange) share(ctx context.Context, resp response, fill *responsecache.Fill) {
	if auth.IsPrivate(ctx) {
		fill.Forbid()
		return
	}
	if len(resp.errors) > 0 || resp.data == nil {
		return
	}
	fill.Share(func() *responsecache.Response {
		op := resp.operation
		entry := &responsecache.Response{
			Body: make([]byte, 0, len(dataPrefix)+len(resp.data)+len("}")),
			Type: string(op.kind()), Operation: strings.Clone(op.Operation.Name), Cost: op.cost.Fields,
		}
		entry.Body = append(append(append(entry.Body, dataPrefix...), resp.data...), '}')
		if resp.cacheControl != "" {
			entry.CacheControl, entry.ETag = []string{resp.cacheControl}, []string{resp.etag}
		}
		return entry
	})
}

const dataPrefix = `{"data":`
