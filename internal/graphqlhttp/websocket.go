package graphqlhttp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"golang.org/x/time/rate"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// socket is a WebSocket of the subprotocol. One goroutine reads the messages in order, and a second
// goroutine sends the events of the subscriptions.
type socket struct {
	*subscriber
	connection *websocket.Conn
	inflow     *inflow           // the network connection below
	limit      int64             // bytes of a message
	budget     *admission.Budget // of the memory of messages
	control    *rate.Limiter     // of control messages: all messages but operations
	initiated  chan struct{}     // closed when the client is authenticated
	active     atomic.Bool       // whether an operation has arrived since the last ping
	awaitsPong atomic.Bool
}

func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveWebSocket upgrades a connection to a WebSocket, and starts to serve it. The caller has
// checked the origin. serveWebSocket returns immediately, so that the server can free the
// buffers of the request.
func (h *Handler) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	done := h.Hub.Register()
	if done == nil {
		errorResponse(http.StatusServiceUnavailable, errShutdown).write(w, r, jsonType)
		return
	}
	subscriber, reqErr := h.newSubscriber(r)
	if reqErr != nil {
		done()
		reqErr.response().write(w, r, jsonType)
		return
	}
	s := &socket{
		subscriber: subscriber, limit: maxAnonymousBody, budget: h.Admission.AnonymousBodies,
		control: rate.NewLimiter(controlRate, controlBurst), initiated: make(chan struct{}),
	}
	ctx, cancel := telemetry.Detach(r.Context())
	ctx = auth.WithAddress(ctx, subscriber.owner.Address)
	if !s.accept(ctx, w, r, cancel) {
		cancel()
		done()
		return
	}
	s.start(ctx, cancel, done)
}

// accept upgrades the connection to a WebSocket. If it fails, it responds and returns false.
// It calls cancel when the client sends too many control frames.
func (s *socket) accept(ctx context.Context, w http.ResponseWriter, r *http.Request, cancel func()) bool {
	r.Header.Set("Sec-WebSocket-Protocol", offeredProtocol(r.Header)) // the connection keeps it
	allowFrame := func() bool {
		allowed := s.allowControl(ctx)
		if !allowed {
			cancel()
		}
		return allowed
	}
	hijacker := &inflowWriter{ResponseWriter: w}
	connection, err := websocket.Accept(hijacker, r, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol}, InsecureSkipVerify: true,
		OnPingReceived: func(context.Context, []byte) bool { return allowFrame() },
		OnPongReceived: func(context.Context, []byte) { allowFrame() },
	})
	if err != nil {
		return false
	}
	connection.SetReadLimit(-1) // inflow limits the reads
	s.connection, s.inflow = connection, hijacker.connection
	return true
}

// start begins to read messages and to send events. It calls done when both have ended.
func (s *socket) start(ctx context.Context, cancel, done func()) {
	var reader sync.WaitGroup
	reader.Go(func() {
		defer cancel()
		s.closeConnection(s.guard(ctx, s.serve))
	})
	go func() {
		defer done()
		err := s.guard(ctx, s.sendEvents)
		s.closeConnection(err)
		cancel()
		_ = s.connection.CloseNow()
		reader.Wait()
		s.unsubscribeAll(err)
	}()
}

// allowControl counts a control message or control frame, and reports whether the client may
// send it.
func (s *socket) allowControl(ctx context.Context) bool {
	return s.control.Allow() && s.allowMessage(ctx)
}

// allowMessage counts a message for the rate limit of the client, and reports whether the
// client may send it.
func (s *socket) allowMessage(ctx context.Context) bool {
	return s.Allow == nil || s.Allow(ctx, s.authorization)
}

// guard calls f and returns its error. If f panics, guard returns an error that closes the
// connection.
func (s *socket) guard(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			s.Log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
			err = errSocketInternal
		}
	}()
	return f(ctx)
}

// sendEvents sends events once the client is authenticated.
func (s *socket) sendEvents(ctx context.Context) error {
	select {
	case <-s.initiated:
		return s.run(ctx, s)
	case <-s.Hub.Done():
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

// closeConnection closes the connection with the close code of the error, if it has one.
func (s *socket) closeConnection(err error) {
	reason, ok := errors.AsType[*socketError](err)
	switch {
	case errors.Is(err, errGoAway):
		reason = errSocketGoAway
	case errors.Is(err, errRevoked):
		reason = errSocketForbidden
	case errors.Is(err, errIdle):
		reason = errSocketIdle
	case !ok:
		return
	}
	s.inflow.drain()
	_ = s.connection.Close(reason.code, reason.reason)
}

// serve reads messages until the connection is lost or must be closed.
func (s *socket) serve(ctx context.Context) error {
	if s.connection.Subprotocol() == "" {
		return errSocketNotAcceptable
	}
	init := time.AfterFunc(s.InitTimeout, func() { s.closeConnection(errSocketInitTimeout) })
	defer init.Stop()
	for {
		msg, err := s.read(ctx)
		if err != nil {
			return err
		}
		if msg.Type == "connection_init" {
			init.Stop()
		}
		err = s.handle(ctx, &msg)
		msg.release()
		if err != nil {
			return err
		}
	}
}

// read reads a message. It fails if the client does not respond to a ping.
func (s *socket) read(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*s.KeepAlive)
	defer cancel()
	if !s.inflow.allow(s.limit + maxOverhead) {
		return message{}, errInflow
	}
	kind, reader, err := s.connection.Reader(ctx)
	switch {
	case err != nil:
		return message{}, err
	case kind != websocket.MessageText:
		return message{}, errSocketInvalid
	}
	text, reqErr := readBody(reader, "The message", s.limit, s.budget)
	switch {
	case reqErr == nil:
	case reqErr.status == http.StatusRequestEntityTooLarge:
		return message{}, errSocketTooBig
	default:
		return message{}, errSocketBusy // or the connection is lost
	}
	msg, err := parseMessage(text.content)
	if err != nil {
		text.release()
		return message{}, err
	}
	text.shrink(msg.Payload)
	msg.body = text
	return msg, nil
}

// handle handles a message. It returns an error if the connection must be closed.
func (s *socket) handle(ctx context.Context, msg *message) error {
	if msg.Type != "subscribe" {
		return s.handleControl(ctx, msg)
	}
	s.active.Store(true)
	switch {
	case !s.isInitiated():
		return errSocketUnauthorized
	case s.has(msg.ID):
		return errSocketDuplicate
	}
	return s.execute(ctx, msg)
}

// handleControl handles a control message. The response to a ping and the end of a
// subscription do not count for the rate limit.
func (s *socket) handleControl(ctx context.Context, msg *message) error {
	switch {
	case msg.Type == "pong" && s.awaitsPong.Swap(false):
		return nil
	case msg.Type == "complete" && s.has(msg.ID):
		s.unsubscribe(msg.ID)
		return nil
	case !s.allowControl(ctx):
		return errSocketFlood
	}
	switch msg.Type {
	case "ping":
		pong := encodeMessage("", "pong", msg.Payload)
		msg.release()
		return s.send(ctx, pong)
	case "connection_init":
		return s.initiate(ctx, msg)
	}
	return nil
}

// initiate authenticates the client, by the token in the payload or else by the token of the
// upgrade request.
func (s *socket) initiate(ctx context.Context, msg *message) error {
	if s.isInitiated() {
		return errSocketManyInits
	}
	var payload struct{ Authorization string }
	if len(msg.Payload) > 0 && json.Unmarshal(msg.Payload, &payload) != nil {
		return errSocketInvalid
	}
	msg.release()
	s.authorization = cmp.Or(compactAuthorization(payload.Authorization), s.authorization)
	viewer, _, err := s.viewer(ctx)
	switch {
	case auth.IsRefusal(err):
		return errSocketForbidden
	case err != nil:
		_ = s.PresentError(ctx, err) // logs it
		return errSocketBusy
	case viewer != nil:
		s.limit, s.budget = maxBody, s.Admission.Bodies
	}
	s.setOwner(viewer)
	if err := s.send(ctx, encodeMessage("", "connection_ack", nil)); err != nil {
		return err
	}
	close(s.initiated)
	return nil
}

// execute executes a query or mutation, or begins a subscription. An operation above the rate
// limit counts as a control message, so that a flood of operations ends the connection.
func (s *socket) execute(ctx context.Context, msg *message) error {
	id, allowed := msg.ID, s.allowMessage(ctx)
	if !allowed && !s.control.Allow() {
		return errSocketFlood
	}
	ctx, done := s.observe(ctx)
	res, viewer := result{errors: gqlerror.List{errRateLimited}}, (*db.User)(nil)
	if allowed {
		res, viewer = s.executeMessage(ctx, msg)
	}
	msg.release()
	if res.subscription != "" {
		err := s.subscribe(ctx, viewer, id, res.subscription, len(id), done)
		if err == nil {
			return nil
		}
		res.errors = gqlerror.List{err}
	}
	defer done()
	defer res.release()
	return s.sendResult(ctx, id, res)
}

// sendResult sends the result of a query or mutation.
func (s *socket) sendResult(ctx context.Context, id string, r result) error {
	record := telemetry.RequestFrom(ctx)
	if len(r.errors) > 0 {
		record.Code = codeOf(r.errors)
	}
	if r.data == nil {
		return s.fail(ctx, id, r.errors)
	}
	if err := s.nextParts(ctx, record, id, r.prefix(), r.data, []byte("}")); err != nil {
		return err
	}
	return s.send(ctx, encodeMessage(id, "complete", nil))
}

// executeMessage executes the request in the payload of a message. It returns the result, and
// the user for whom it executed the request. It releases the payload once it is decoded.
func (s *socket) executeMessage(ctx context.Context, msg *message) (res result, viewer *db.User) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	session, err := s.authenticate(ctx, s.authorization)
	if err == nil {
		err = session.Do(ctx, func(current *db.User) {
			res.release()
			viewer = current
			res = s.executeFor(ctx, session, viewer, msg)
		})
	}
	if err != nil {
		res.release()
		return s.unauthenticated(ctx, err), nil
	}
	return res, viewer
}

// executeFor executes the request of a message for a viewer.
func (s *socket) executeFor(ctx context.Context, session *auth.Session, viewer *db.User, msg *message) result {
	if viewer != nil {
		telemetry.RequestFrom(ctx).UserID = viewer.ID
	}
	ctx = storage.WithBaseURL(auth.WithViewer(ctx, viewer), s.baseURL)
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Acquire(ctx, s.Admission.Lookups); err != nil {
		return s.unavailable(ctx, err)
	}
	request, reqErr := msg.decode(s.MaxValues)
	if reqErr != nil {
		return result{errors: gqlerror.List{reqErr.err}}
	}
	res, err := s.executor.execute(ctx, session, request, &slot, func(ast.Operation) error { return nil })
	if err != nil {
		return s.unauthenticated(ctx, err)
	}
	return res
}

// observe logs, measures and traces an operation like a request, until done is called.
func (s *socket) observe(ctx context.Context) (_ context.Context, done func()) {
	connection, start := telemetry.RequestFrom(ctx), time.Now()
	record := &telemetry.Request{ID: connection.ID, Method: connection.Method, Path: connection.Path, Client: connection.Client, API: telemetry.GraphQL}
	ctx = db.WithQueryCounter(s.Instruments.Begin(telemetry.WithRequest(ctx, record), nil, record), &record.Statements)
	return ctx, func() {
		record.Duration = time.Since(start)
		s.Instruments.End(ctx, record)
		record.Log(ctx, s.Log.Handler())
	}
}
