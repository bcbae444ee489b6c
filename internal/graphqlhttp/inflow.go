package graphqlhttp

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
)

const (
	// maxOverhead is how many bytes a client may send for a message besides its content:
	// headers of frames, control frames, and the beginning of the next message.
	maxOverhead = 64 << 10
	// maxDrain is how many bytes are read from a client after a WebSocket is closed, until
	// it agrees.
	maxDrain = 64 << 10
)

// inflow is a connection from which only as many bytes are read as are allowed.
type inflow struct {
	net.Conn
	left    atomic.Int64 // bytes
	closing atomic.Bool
}

var errInflow = errors.New("the client sends more than it may")

// Read implements io.Reader. The error is errInflow if no bytes are left.
func (c *inflow) Read(b []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		return 0, errInflow
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), left)])
	c.left.Add(-int64(n))
	return n, err
}

// allow sets how many bytes may be read, unless the WebSocket is being closed, which it
// reports.
func (c *inflow) allow(n int64) bool {
	c.left.Store(n)
	if c.closing.Load() {
		c.left.Store(maxDrain)
		return false
	}
	return true
}

// drain allows to read the agreement of the client to close the WebSocket.
func (c *inflow) drain() {
	c.closing.Store(true)
	c.left.Store(maxDrain)
}

// inflowWriter makes the connection that is taken over an inflow.
type inflowWriter struct {
	http.ResponseWriter
	connection *inflow // nil until it is taken over
}

// Hijack implements http.Hijacker.
func (w *inflowWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.connection = &inflow{Conn: connection}
	w.connection.left.Store(maxOverhead)
	return w.connection, buffered, nil
}
