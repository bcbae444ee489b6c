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
	"portfolio/internal/auth"
	"portfolio/internal/storage"
)

// events sends one subscription as server-sent events, by the protocol GraphQL over SSE
// in the mode of distinct connections.
type events struct {
	w          http.ResponseWriter
	r          *http.Request
	connection *http.ResponseController
	timeout    time.Duration // for the client to read an event
	begun      bool
}

// serveEvents sends a subscription until it ends or its client goes away. Its frames on
// the stack are small, since there may be many.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request, text []byte) {
	if subscriber, to := h.beginEvents(w, r, text); subscriber != nil {
		subscriber.close(subscriber.run(r.Context(), to))
	}
}

// beginEvents returns a subscriber with one subscription, or nil if it was refused.
func (h *Handler) beginEvents(w http.ResponseWriter, r *http.Request, text []byte) (*subscriber, *events) {
	to := &events{w: w, r: r, connection: http.NewResponseController(w), timeout: h.StallTimeout}
	_ = to.connection.SetReadDeadline(time.Time{}) // nothing more is read, and the deadline would cancel the context
	subscriber := h.newSubscriber(r.Header.Get("Authorization"))
	ctx := r.Context()
	viewer, _, err := subscriber.viewer(ctx)
	if err != nil {
		h.unauthenticated(r.Context(), err).write(w, r, jsonType)
		return nil, nil
	}
	ctx = storage.WithBaseURL(auth.WithViewer(ctx, viewer), h.MediaURL.For(ctx, r.Host))
	if err := subscriber.subscribe(ctx, "", text, nil); err != nil {
		_ = to.fail(ctx, "", gqlerror.List{err})
		return nil, nil
	}
	return subscriber, to
}

// writeRefusal writes why an operation is not executed to a client that accepts events
// only.
func (h *Handler) writeRefusal(w http.ResponseWriter, r *http.Request, errs gqlerror.List) {
	_ = (&events{w: w, r: r, connection: http.NewResponseController(w), timeout: h.StallTimeout}).fail(r.Context(), "", errs)
}

func (e *events) next(_ context.Context, _ string, payload []byte) error {
	return e.write("event: next\ndata: ", payload, "\n\n")
}

// errEnded ends the loop after the only subscription.
var errEnded = errors.New("the subscription has ended")

// fail sends the errors as the last result. A server that is not available says so by
// its status, if nothing was sent yet, so that clients try again.
func (e *events) fail(_ context.Context, _ string, errs gqlerror.List) error {
	if !e.begun && apierror.Is(errs[0], apierror.Unavailable) {
		errorResponse(http.StatusServiceUnavailable, errs[0]).write(e.w, e.r, jsonType)
		return errEnded
	}
	var encoded bytes.Buffer
	encodeErrors(&encoded, errs)
	if err := e.write(`event: next`+"\n"+`data: {"errors":`, encoded.Bytes(), "}\n\nevent: complete\ndata:\n\n"); err != nil {
		return err
	}
	return errEnded
}

// ping sends a comment, so that proxies keep the connection open.
func (e *events) ping(context.Context) error { return e.write(":", nil, "\n\n") }

func (e *events) write(before string, payload []byte, after string) error {
	if !e.begun {
		e.begun = true
		header := e.w.Header()
		header.Set("Content-Type", eventsType+"; charset=utf-8")
		header.Set("X-Accel-Buffering", "no") // proxies such as nginx must not wait for more
	}
	_ = e.connection.SetWriteDeadline(time.Now().Add(e.timeout)) // a recorder in a test has none
	_, err := e.w.Write([]byte(before))
	if err == nil {
		_, err = e.w.Write(payload)
	}
	if err == nil {
		_, err = e.w.Write([]byte(after))
	}
	if err == nil {
		err = e.connection.Flush()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	return err
}
