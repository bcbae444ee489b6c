package graphqlhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/responsecache"
	"portfolio/internal/telemetry"
)

// response is a response before it is written.
type response struct {
	result
	status       int                     // 0 for the result of an operation
	allow        string                  // methods, for http.StatusMethodNotAllowed
	retryAfter   time.Duration           // for statuses 429 and 503
	cacheControl string                  // "" if caches must not store the response
	etag         string                  // set if cacheControl is set
	cached       *responsecache.Response // if set, all fields but the meter and stallTimeout are unset
	stallTimeout time.Duration           // for a client to read the next chunk
}

// response returns the response that carries a result.
func (r result) response() response {
	resp := response{result: r}
	if r.hasEffect {
		resp.status = http.StatusOK // so that clients do not repeat the mutation
	}
	return resp
}

// errorResponse returns the response to a request that was not executed.
func errorResponse(status int, err *gqlerror.Error) response {
	return response{result: result{errors: gqlerror.List{err}}, status: status, retryAfter: time.Second}
}

func (e *requestError) response() response {
	r := errorResponse(e.status, e.err)
	r.allow = e.allow
	return r
}

// failureResponse returns the response to a request that its transport has rejected, or whose
// token is invalid or could not be looked up.
func (h *Handler) failureResponse(ctx context.Context, err error) response {
	if reqErr, ok := errors.AsType[*requestError](err); ok {
		return reqErr.response()
	}
	resp := response{result: h.executor.unauthenticated(ctx, err), status: http.StatusInternalServerError, retryAfter: time.Second}
	if limitErr, ok := errors.AsType[*auth.RateLimitError](err); ok {
		resp.retryAfter = limitErr.RetryAfter
	}
	switch codeOf(resp.errors) {
	case apierror.RateLimited:
		resp.status = http.StatusTooManyRequests
	case apierror.Unauthenticated:
		resp.status = http.StatusUnauthorized
	case apierror.Unavailable:
		resp.status = http.StatusServiceUnavailable
	}
	return resp
}

func codeOf(errs gqlerror.List) apierror.Code {
	code, _ := errs[0].Extensions["code"].(apierror.Code)
	return code
}

// write writes a response of the media type that was negotiated.
func (r response) write(w http.ResponseWriter, request *http.Request, mediaType string) {
	if r.cached != nil {
		r.writeCached(w, request, mediaType)
		return
	}
	if len(r.errors) > 0 {
		telemetry.RequestFrom(request.Context()).Code = codeOf(r.errors)
	}
	header := w.Header()
	status := r.status
	if status == 0 {
		status = http.StatusOK
		switch {
		case slices.ContainsFunc(r.errors, isUnavailable):
			status, r.retryAfter = http.StatusServiceUnavailable, time.Second
		case r.data == nil && mediaType == responseJSONType: // clients of application/json take any other status for a network failure
			status = http.StatusBadRequest
		}
	}
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Token")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", admission.RetryAfter(r.retryAfter))
	}
	if r.allow != "" {
		header.Set("Allow", r.allow)
	}
	if r.notModified(header, request) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	prefix := r.prefix()
	header.Set("Content-Type", mediaType+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(prefix)+len(r.data)+len("}")))
	w.WriteHeader(status)
	_, _ = w.Write(prefix) //nolint:gosec // JSON, with a media type that no browser runs
	writeChunks(w, r.data, r.stallTimeout)
	_, _ = io.WriteString(w, "}")
}

// notModified sets the ETag of a response that caches may store, and reports
// whether the client has it.
func (r response) notModified(header http.Header, request *http.Request) bool {
	if r.cacheControl == "" {
		return false
	}
	header.Set("Cache-Control", r.cacheControl)
	header.Set("ETag", r.etag)
	return etagMatches(request.Header.Values("If-None-Match"), r.etag)
}

var contentTypes = map[string][]string{
	jsonType:         {jsonType + "; charset=utf-8"},
	responseJSONType: {responseJSONType + "; charset=utf-8"},
}

// writeCached writes a response of the cache.
func (r response) writeCached(w http.ResponseWriter, request *http.Request, mediaType string) {
	header := w.Header()
	if r.cached.ETag != nil {
		header["Cache-Control"], header["Etag"] = r.cached.CacheControl, r.cached.ETag
		if etagMatches(request.Header.Values("If-None-Match"), r.cached.ETag[0]) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header["Content-Type"], header["Content-Length"] = contentTypes[mediaType], r.cached.ContentLength
	w.WriteHeader(http.StatusOK)
	writeChunks(w, r.cached.Body, r.stallTimeout)
}

// prefix returns the JSON before the data, which may be large.
func (r result) prefix() []byte {
	var prefix bytes.Buffer
	prefix.WriteByte('{')
	if len(r.errors) > 0 {
		prefix.WriteString(`"errors":`)
		encodeErrors(&prefix, r.errors)
		if r.data != nil {
			prefix.WriteByte(',')
		}
	}
	if r.data != nil {
		prefix.WriteString(`"data":`)
	}
	return prefix.Bytes()
}

// encodeErrors writes errors as JSON.
func encodeErrors(buffer *bytes.Buffer, errs gqlerror.List) {
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(apierror.Limit(errs, apierror.MaxErrors)); err != nil {
		panic(err) // a path or extension that has no JSON form
	}
	buffer.Truncate(buffer.Len() - len("\n"))
}

const chunk = 64 << 10 // bytes

// writeChunks writes data in chunks. The client must read each chunk within timeout. Otherwise
// the write fails, and the server closes the connection.
func writeChunks(w http.ResponseWriter, data []byte, timeout time.Duration) {
	for connection := http.NewResponseController(w); len(data) > chunk; data = data[chunk:] {
		_ = connection.SetWriteDeadline(time.Now().Add(timeout)) // a recorder in a test has none
		if _, err := w.Write(data[:chunk]); err != nil {
			return
		}
	}
	_, _ = w.Write(data)
}

// etagMatches compares tag weakly with an If-None-Match header (RFC 9110, section
// 13.1.2).
func etagMatches(header []string, tag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(header, ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
