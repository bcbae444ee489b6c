package graphqlhttp

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
)

const (
	// maxOverhead is the maximum number of bytes that a client sends besides the content of a
	// message. They are frame headers, control frames, and the beginning of the next message.
	maxOverhead = 64 << 10
	// maxDrain is the maximum number of bytes that are read during the closing handshake.
	maxDrain = 64 << 10
)

// inflow is a connection that limits how many bytes are read from it.
type inflow struct {
	net.Conn
	remaining atomic.Int64 // bytes that may be read
	closing   atomic.Bool  // whether the closing handshake has begun
}

var errInflow = errors.New("the client sends too many bytes")

// Read implements io.Reader. The error is errInflow if no byte may be read.
func (c *inflow) Read(b []byte) (int, error) {
	remaining := c.remaining.Load()
	if remaining <= 0 {
		return 0, errInflow
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), remaining)])
	c.remaining.Add(-int64(n))
	return n, err
}

// allow sets how many bytes may be read. It returns false if the WebSocket is being closed.
func (c *inflow) allow(n int64) bool {
	c.remaining.Store(n)
	if c.closing.Load() {
		c.remaining.Store(maxDrain)
		return false
	}
	return true
}

// drain allows reading the rest of the closing handshake.
func (c *inflow) drain() {
	c.closing.Store(true)
	c.remaining.Store(maxDrain)
}

// inflowWriter is a ResponseWriter whose hijacked connection is an inflow.
type inflowWriter struct {
	http.ResponseWriter
	connection *inflow // nil until it is hijacked
}

// Hijack implements http.Hijacker.
func (w *inflowWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.connection = &inflow{Conn: connection}
	w.connection.remaining.Store(maxOverhead)
	return w.connection, buffered, nil
}
