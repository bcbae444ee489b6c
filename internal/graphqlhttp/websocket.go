package graphqlhttp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// subprotocol is that of the library graphql-ws.
const subprotocol = "graphql-transport-ws"

// maxID is the maximum length of the ID of an operation in bytes.
const maxID = 128

// maxFrame is the maximum size of a message that is copied into one frame.
const maxFrame = 16 << 10 // bytes

// socketError closes a WebSocket.
type socketError struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *socketError) Error() string { return c.reason }

// The errors of the subprotocol, and those of every WebSocket.
var (
	errSocketInvalid       = &socketError{4400, "Invalid message"}
	errSocketUnauthorized  = &socketError{4401, "Unauthorized"}
	errSocketForbidden     = &socketError{4403, "Forbidden"}
	errSocketNotAcceptable = &socketError{4406, "Subprotocol not acceptable"}
	errSocketInitTimeout   = &socketError{4408, "Connection initialisation timeout"}
	errSocketDuplicate     = &socketError{4409, "Subscriber already exists"}
	errSocketManyInits     = &socketError{4429, "Too many initialisation requests"}

	errSocketGoAway   = &socketError{websocket.StatusGoingAway, "Server is shutting down"}
	errSocketIdle     = &socketError{websocket.StatusGoingAway, "No subscriptions"}
	errSocketTooBig   = &socketError{websocket.StatusMessageTooBig, "Message too big"}
	errSocketInternal = &socketError{websocket.StatusInternalError, "Internal error"}
	errSocketBusy     = &socketError{websocket.StatusTryAgainLater, "Try again later"}
)

// message is a message of the subprotocol.
type message struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// parseMessage reads a message of a client.
func parseMessage(text []byte) (message, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return m, errSocketInvalid
	}
	switch m.Type {
	case "connection_init", "ping", "pong":
		return m, nil
	case "subscribe", "complete":
		if m.ID != "" && len(m.ID) <= maxID {
			return m, nil
		}
	}
	return m, errSocketInvalid
}

// socket is a WebSocket of the subprotocol. One goroutine reads one message after the
// other, and another one sends the events of the subscriptions.
type socket struct {
	*subscriber
	connection *websocket.Conn
	request    *http.Request
	limit      int64             // bytes of a message
	budget     *admission.Budget // of the memory of messages
	initiated  chan struct{}     // closed when the client is authenticated
	active     atomic.Bool       // since the last ping
}

func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveWebSocket begins to execute the operations that a client sends over a WebSocket,
// whose origin was checked. It returns at once, since what serves a request takes more
// memory than a WebSocket needs.
func (h *Handler) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	end := h.Topics.Begin()
	if end == nil {
		errorResponse(http.StatusServiceUnavailable, errStopping).write(w, r, jsonType)
		return
	}
	connection, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}, InsecureSkipVerify: true})
	if err != nil {
		end() // it has responded
		return
	}
	connection.SetReadLimit(-1) // read has another limit
	s := &socket{
		subscriber: h.newSubscriber(r.Header.Get("Authorization")), connection: connection, request: r,
		limit: maxAnonymousBody, budget: h.Admission.AnonymousBodies, initiated: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	var serving sync.WaitGroup
	serving.Go(func() {
		defer cancel()
		s.shut(s.guard(ctx, s.serve))
	})
	go func() {
		defer end()
		err := s.guard(ctx, s.sendEvents)
		s.shut(err)
		cancel()
		_ = connection.CloseNow()
		serving.Wait()
		s.close(err)
	}()
}

// guard calls a function and returns its error, or one that closes the connection if it
// panics.
func (s *socket) guard(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			s.handler.Log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
			err = errSocketInternal
		}
	}()
	return do(ctx)
}

// sendEvents sends events once the client is authenticated.
func (s *socket) sendEvents(ctx context.Context) error {
	select {
	case <-s.initiated:
		return s.run(ctx, s)
	case <-s.handler.Topics.Stopping():
		return errGoAway
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *socket) isInitiated() bool {
	select {
	case <-s.initiated:
		return true
	default:
		return false
	}
}

// shut closes the connection if the error says how.
func (s *socket) shut(err error) {
	why, ok := errors.AsType[*socketError](err)
	switch {
	case errors.Is(err, errGoAway):
		why = errSocketGoAway
	case errors.Is(err, errRevoked):
		why = errSocketForbidden
	case errors.Is(err, errIdle):
		why = errSocketIdle
	case !ok:
		return
	}
	_ = s.connection.Close(why.code, why.reason)
}

// serve reads messages until the connection is lost or must be closed.
func (s *socket) serve(ctx context.Context) error {
	if s.connection.Subprotocol() == "" {
		return errSocketNotAcceptable
	}
	init := time.AfterFunc(s.handler.InitTimeout, func() { s.shut(errSocketInitTimeout) })
	defer init.Stop()
	for {
		received, err := s.read(ctx)
		if err != nil {
			return err
		}
		if received.Type == "connection_init" {
			init.Stop()
		}
		if err := s.handle(ctx, received); err != nil {
			return err
		}
	}
}

// read reads a message. A client that has not responded to a ping is gone.
func (s *socket) read(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.handler.KeepAlive)
	defer cancel()
	kind, from, err := s.connection.Reader(ctx)
	switch {
	case err != nil:
		return message{}, err
	case kind != websocket.MessageText:
		return message{}, errSocketInvalid
	}
	received, refused := readBody(from, "The message", s.limit, s.budget)
	switch {
	case refused == nil:
	case refused.status == http.StatusRequestEntityTooLarge:
		return message{}, errSocketTooBig
	default:
		return message{}, errSocketBusy // or the connection is lost
	}
	defer received.release()
	return parseMessage(received.content)
}

func (s *socket) handle(ctx context.Context, received message) error {
	switch received.Type {
	case "ping":
		return s.send(ctx, frame("", "pong", received.Payload))
	case "pong":
		return nil
	case "connection_init":
		return s.initiate(ctx, received.Payload)
	case "complete":
		s.leave(received.ID)
		return nil
	}
	s.active.Store(true)
	switch {
	case !s.isInitiated():
		return errSocketUnauthorized
	case s.has(received.ID):
		return errSocketDuplicate
	}
	return s.execute(ctx, received)
}

// initiate authenticates the client, by the token of the payload or else by that of the
// request.
func (s *socket) initiate(ctx context.Context, payload json.RawMessage) error {
	if s.isInitiated() {
		return errSocketManyInits
	}
	var sent struct{ Authorization string }
	if len(payload) > 0 && json.Unmarshal(payload, &sent) != nil {
		return errSocketInvalid
	}
	s.authorization = cmp.Or(sent.Authorization, s.authorization)
	viewer, _, err := s.viewer(ctx)
	switch {
	case isRefused(err):
		return errSocketForbidden
	case err != nil:
		_ = s.handler.unauthenticated(ctx, err) // which logs it
		return errSocketBusy
	case viewer != nil:
		s.limit, s.budget = maxBody, s.handler.Admission.Bodies
	}
	if err := s.send(ctx, frame("", "connection_ack", nil)); err != nil {
		return err
	}
	close(s.initiated)
	return nil
}

// execute executes a query or mutation, or begins a subscription.
func (s *socket) execute(ctx context.Context, received message) error {
	ctx, end := s.observe(ctx)
	told := telemetry.RequestFrom(ctx)
	viewer, _, err := s.viewer(ctx)
	var r response
	switch {
	case s.handler.Allow != nil && !s.handler.Allow(ctx, s.authorization):
		r.errors = gqlerror.List{errRateLimited}
	case err != nil:
		r = s.handler.unauthenticated(ctx, err)
	default:
		if viewer != nil {
			told.UserID = viewer.ID
		}
		ctx = storage.WithBaseURL(auth.WithViewer(ctx, viewer), s.handler.MediaURL.For(ctx, s.request.Host))
		r = s.handler.executeMessage(ctx, received.Payload)
	}
	if r.subscription != nil {
		refused := s.subscribe(ctx, received.ID, r.subscription, end)
		if refused == nil {
			return nil
		}
		r.errors = gqlerror.List{refused}
	}
	defer end()
	defer r.release()
	if len(r.errors) > 0 {
		told.Code = codeOf(r.errors)
	}
	if r.data == nil {
		return s.fail(ctx, received.ID, r.errors)
	}
	if err := s.next(ctx, received.ID, slices.Concat(r.prefix(), r.data, []byte("}"))); err != nil {
		return err
	}
	return s.send(ctx, frame(received.ID, "complete", nil))
}

// frame encodes a message.
func frame(id, kind string, payload []byte) []byte {
	b := []byte("{")
	if id != "" {
		quoted, _ := json.Marshal(id) // a string can be encoded
		b = append(append(append(b, `"id":`...), quoted...), ',')
	}
	b = append(append(append(b, `"type":"`...), kind...), '"')
	if payload != nil {
		b = append(append(b, `,"payload":`...), payload...)
	}
	return append(b, '}')
}

func (s *socket) next(ctx context.Context, id string, payload []byte) error {
	telemetry.RequestFrom(ctx).Bytes += int64(len(payload))
	if len(payload) <= maxFrame {
		return s.send(ctx, frame(id, "next", payload))
	}
	empty := frame(id, "next", []byte{})
	return s.send(ctx, empty[:len(empty)-1], payload, []byte("}"))
}

func (s *socket) fail(ctx context.Context, id string, errs gqlerror.List) error {
	var encoded bytes.Buffer
	encodeErrors(&encoded, errs)
	return s.send(ctx, frame(id, "error", encoded.Bytes()))
}

func (s *socket) ping(ctx context.Context) error {
	if !s.active.Swap(false) && s.isIdle() {
		return errIdle
	}
	return s.send(ctx, frame("", "ping", nil))
}

// send sends a message in parts. Its client must read it within StallTimeout.
func (s *socket) send(ctx context.Context, parts ...[]byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.handler.StallTimeout)
	defer cancel()
	err := s.sendParts(ctx, parts)
	if ctx.Err() != nil {
		return errSlow
	}
	return err
}

func (s *socket) sendParts(ctx context.Context, parts [][]byte) error {
	if len(parts) == 1 {
		return s.connection.Write(ctx, websocket.MessageText, parts[0])
	}
	to, err := s.connection.Writer(ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := to.Write(part); err != nil {
			return err
		}
	}
	return to.Close()
}

// executeMessage executes the request in the payload of a message.
func (h *Handler) executeMessage(ctx context.Context, payload []byte) response {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Move(ctx, h.Admission.Lookups); err != nil {
		return h.unavailable(ctx, err)
	}
	request, err := h.fromJSON(payload)
	if err != nil {
		return err.response()
	}
	request.can = accepted{jsonType, true}
	return h.run(ctx, client{}, http.MethodPost, request, &slot, nil)
}

// observe makes an operation known to log, metrics and traces, as a request of its own,
// until end is called.
func (s *socket) observe(ctx context.Context) (_ context.Context, end func()) {
	h, connection, began := s.handler, telemetry.RequestFrom(ctx), time.Now()
	told := &telemetry.Request{ID: connection.ID, Method: connection.Method, Path: connection.Path, Client: connection.Client, API: telemetry.GraphQL}
	ctx = db.WithQueryCounter(h.Watch.Begin(telemetry.WithRequest(ctx, told), s.request, told), &told.Statements)
	return ctx, func() {
		told.Duration = time.Since(began)
		h.Watch.End(ctx, told)
		told.Log(ctx, h.Log.Handler())
	}
}
