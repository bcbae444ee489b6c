package graphqlhttp

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
	"portfolio/internal/telemetry"
)

// events sends one subscription as server-sent events, by the protocol GraphQL over SSE
// in the mode of distinct connections.
type events struct {
	w          http.ResponseWriter
	r          *http.Request
	connection *http.ResponseController
	timeout    time.Duration // for the client to read an event
	hasStarted bool
}

// serveEvents sends a subscription until it ends or its client disconnects. It keeps its
// stack frame small, because thousands may be open.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request, text string) {
	if subscriber, events := h.openEvents(w, r, text); subscriber != nil {
		subscriber.unsubscribeAll(subscriber.run(r.Context(), events))
	}
}

// openEvents returns a subscriber with one subscription. If it fails, it responds with the
// error and returns nil. The memory that the request still takes is charged to the
// subscription.
func (h *Handler) openEvents(w http.ResponseWriter, r *http.Request, text string) (*subscriber, *events) {
	stream := &events{w: w, r: r, connection: http.NewResponseController(w), timeout: h.StallTimeout}
	_ = stream.connection.SetReadDeadline(time.Time{}) // nothing more is read, and the deadline would cancel the context
	subscriber, reqErr := h.newSubscriber(r)
	if reqErr != nil {
		reqErr.response().write(w, r, jsonType)
		return nil, nil
	}
	viewer, _, err := subscriber.viewer(r.Context())
	if err != nil {
		h.failureResponse(r.Context(), err).write(w, r, jsonType)
		return nil, nil
	}
	subscriber.setOwner(viewer)
	if err := subscriber.subscribe(r.Context(), viewer, "", text, dropHeader(r), nil); err != nil {
		_ = stream.fail(r.Context(), "", gqlerror.List{err})
		return nil, nil
	}
	return subscriber, stream
}

// fieldSize is the approximate memory in bytes of a removed header field.
const fieldSize = 96

// dropHeader removes the header fields of a request. It returns the approximate memory in
// bytes that the request still takes: its line, and the tables of the fields.
func dropHeader(r *http.Request) int {
	size := len(r.RequestURI) + fieldSize*(len(r.Header)+len(r.Trailer))
	clear(r.Header)
	clear(r.Trailer)
	return size
}

// writeRejection writes the errors of an operation that was not executed, to a client that
// accepts only events.
func (h *Handler) writeRejection(w http.ResponseWriter, r *http.Request, errs gqlerror.List) {
	_ = (&events{w: w, r: r, connection: http.NewResponseController(w), timeout: h.StallTimeout}).fail(r.Context(), "", errs)
}

// next implements eventWriter.
func (e *events) next(_ context.Context, _ *telemetry.Request, _ string, payload []byte) error {
	return e.write("event: next\ndata: ", payload, "\n\n")
}

// errEnded ends subscriber.run after the only subscription.
var errEnded = errors.New("the subscription has ended")

// fail sends the errors as the last result. If nothing has been sent and clients may try
// again, it responds with the status of the error instead.
func (e *events) fail(_ context.Context, _ string, errs gqlerror.List) error {
	if status := retryStatus(errs[0]); !e.hasStarted && status != 0 {
		errorResponse(status, errs[0]).write(e.w, e.r, jsonType)
		return errEnded
	}
	var encoded bytes.Buffer
	encodeErrors(&encoded, errs)
	if err := e.write(`event: next`+"\n"+`data: {"errors":`, encoded.Bytes(), "}\n\nevent: complete\ndata:\n\n"); err != nil {
		return err
	}
	return errEnded
}

// retryStatus returns the status of an error after which clients try again, or 0.
func retryStatus(err *gqlerror.Error) int {
	switch {
	case apierror.Is(err, apierror.Unavailable):
		return http.StatusServiceUnavailable
	case apierror.Is(err, apierror.RateLimited):
		return http.StatusTooManyRequests
	}
	return 0
}

// ping sends a comment, so that proxies keep the connection open.
func (e *events) ping(context.Context) error { return e.write(":", nil, "\n\n") }

// write writes and flushes an event. The error is errSlow if the client does not read it in time.
func (e *events) write(prefix string, payload []byte, suffix string) error {
	if !e.hasStarted {
		e.hasStarted = true
		header := e.w.Header()
		header.Set("Content-Type", eventsType+"; charset=utf-8")
		header.Set("X-Accel-Buffering", "no") // proxies such as nginx must not wait for more
	}
	_ = e.connection.SetWriteDeadline(time.Now().Add(e.timeout)) // a recorder in a test has none
	_, err := e.w.Write([]byte(prefix))
	if err == nil {
		_, err = e.w.Write(payload)
	}
	if err == nil {
		_, err = e.w.Write([]byte(suffix))
	}
	if err == nil {
		err = e.connection.Flush()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	return err
}
