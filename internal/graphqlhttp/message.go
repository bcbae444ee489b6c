package graphqlhttp

import (
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// subprotocol is the subprotocol of the library graphql-ws.
const subprotocol = "graphql-transport-ws"

// maxID is the maximum length of the ID of an operation in bytes.
const maxID = 128

const (
	// maxFrame is the maximum size of a message that is copied into one frame.
	maxFrame = 4 << 10 // bytes
	// maxControl is the maximum size of a ping, pong or complete.
	maxControl = 1 << 10 // bytes
	// controlRate and controlBurst limit the control messages and control frames of a
	// client.
	controlRate  = 10 // per second
	controlBurst = 100
)

// socketError closes a WebSocket.
type socketError struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *socketError) Error() string { return c.reason }

// Errors of the subprotocol, and errors of WebSockets in general.
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
	errSocketFlood    = &socketError{websocket.StatusTryAgainLater, "Too many messages"}
)

// offeredProtocol returns a copy of the name of the subprotocol, as the client writes it, or
// "" if the client does not offer it.
func offeredProtocol(header http.Header) string {
	for _, line := range header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); strings.EqualFold(name, subprotocol) {
				return strings.Clone(name)
			}
		}
	}
	return ""
}

// message is a message of the subprotocol.
type message struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`

	body    *body    // counts the memory of the payload
	request *request // nil until it is decoded
}

// decode returns the request in the payload, and releases the payload.
func (m *message) decode(maxValues int) (*request, *requestError) {
	if m.request == nil {
		parsed, reqErr := parseJSON(m.Payload, maxValues)
		if reqErr != nil {
			return nil, reqErr
		}
		m.request = parsed
		m.release()
	}
	return m.request, nil
}

// release drops the payload and returns its memory to the budget.
func (m *message) release() {
	m.body.release()
	m.Payload, m.body = nil, nil
}

// parseMessage reads a message of a client.
func parseMessage(text []byte) (message, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil || !utf8.Valid(text) {
		return m, errSocketInvalid
	}
	if m.isControl() && len(text) > maxControl {
		return m, errSocketTooBig
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

func (m *message) isControl() bool {
	return m.Type == "ping" || m.Type == "pong" || m.Type == "complete"
}

// encodeMessage encodes a message.
func encodeMessage(id, kind string, payload []byte) []byte {
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
