package graphqlhttp

import (
	"bytes"
	"context"
	"slices"

	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/telemetry"
)

// next implements eventWriter.
func (s *socket) next(ctx context.Context, record *telemetry.Request, id string, payload []byte) error {
	return s.nextParts(ctx, record, id, payload)
}

// nextParts is like next for a payload in parts. It copies only small payloads.
func (s *socket) nextParts(ctx context.Context, record *telemetry.Request, id string, payload ...[]byte) error {
	size := 0
	for _, part := range payload {
		size += len(part)
	}
	record.Bytes += int64(size)
	if size <= maxFrame {
		return s.send(ctx, encodeMessage(id, "next", slices.Concat(payload...)))
	}
	empty := encodeMessage(id, "next", []byte{})
	return s.send(ctx, slices.Concat([][]byte{empty[:len(empty)-1]}, payload, [][]byte{[]byte("}")})...)
}

// fail implements eventWriter.
func (s *socket) fail(ctx context.Context, id string, errs gqlerror.List) error {
	var encoded bytes.Buffer
	encodeErrors(&encoded, errs)
	return s.send(ctx, encodeMessage(id, "error", encoded.Bytes()))
}

// ping implements eventWriter. It returns errIdle if the client has neither subscriptions nor sent
// an operation since the last ping.
func (s *socket) ping(ctx context.Context) error {
	if !s.active.Swap(false) && s.isIdle() {
		return errIdle
	}
	s.awaitsPong.Store(true)
	return s.send(ctx, encodeMessage("", "ping", nil))
}

// send sends a message in parts. Its client must read it within StallTimeout.
func (s *socket) send(ctx context.Context, parts ...[]byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.StallTimeout)
	defer cancel()
	err := s.sendParts(ctx, parts)
	if ctx.Err() != nil {
		return errSlow
	}
	return err
}

// sendParts writes a message in parts.
func (s *socket) sendParts(ctx context.Context, parts [][]byte) error {
	if len(parts) == 1 {
		return s.connection.Write(ctx, websocket.MessageText, parts[0])
	}
	w, err := s.connection.Writer(ctx, websocket.MessageText)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return w.Close()
}
