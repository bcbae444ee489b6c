package middleware

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ConnectionLimiter bounds the number of open connections. Further clients wait
// in the listener's backlog. Unlike netutil.LimitListener it does not wrap
// connections, so that files are still sent with sendfile.
type ConnectionLimiter struct {
	slots chan struct{}
	open  atomic.Int64

	onMemoryChange func(delta int64)
}

// connectionMemory is the memory in bytes of a connection that has a subscription: its stacks,
// its buffers and its subscription. Other connections take less.
const connectionMemory = 32 << 10

// NewConnectionLimiter returns a limiter that allows limit open connections. It calls
// onMemoryChange with each change of the memory of connections, in bytes.
func NewConnectionLimiter(limit int, onMemoryChange func(delta int64)) *ConnectionLimiter {
	return &ConnectionLimiter{slots: make(chan struct{}, limit), onMemoryChange: onMemoryChange}
}

// Listen returns a listener on a TCP address that accepts a connection only while
// fewer than the limit are open. The server must use ConnState.
func (l *ConnectionLimiter) Listen(ctx context.Context, address string) (*Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // its sockets have no filters, which Drain needs
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, closed := listener.(*net.TCPListener), make(chan struct{})
	return &Listener{tcp, l, closed, sync.OnceValue(func() error {
		close(closed)
		return tcp.Close()
	})}, nil
}

// ConnState is the http.Server.ConnState of the server that serves the
// listener.
func (l *ConnectionLimiter) ConnState(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		l.release()
	}
}

func (l *ConnectionLimiter) release() {
	l.open.Add(-1)
	l.onMemoryChange(-connectionMemory)
	<-l.slots
}

// Handler returns a handler that calls next. The server must use it if next takes over
// connections, so that they count until they are closed.
func (l *ConnectionLimiter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w = hijackCounter{w, l}
		}
		next.ServeHTTP(w, r)
	})
}

// hijackCounter counts a hijacked connection until it is closed. The server does not know when
// that happens, so the connection releases its slot itself.
type hijackCounter struct {
	http.ResponseWriter
	limiter *ConnectionLimiter
}

// hijackedBuffer is small, since there may be many connections, which mostly wait.
const hijackedBuffer = 512 // bytes

// Hijack implements http.Hijacker.
func (w hijackCounter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	connection = hijacked{connection, sync.OnceFunc(w.limiter.release)}
	return connection, bufio.NewReadWriter(buffered.Reader, bufio.NewWriterSize(connection, hijackedBuffer)), nil
}

// Unwrap lets http.ResponseController reach the connection.
func (w hijackCounter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// hijacked is a connection that a handler has taken over.
type hijacked struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c hijacked) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// Open returns the number of open connections.
func (l *ConnectionLimiter) Open() int { return int(l.open.Load()) }

// Listener accepts connections up to the limit of a ConnectionLimiter.
type Listener struct {
	*net.TCPListener
	limiter *ConnectionLimiter
	closed  chan struct{}
	close   func() error
}

// Close implements net.Listener.
func (l *Listener) Close() error { return l.close() }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.limiter.slots <- struct{}{}:
	case <-l.closed: // at the limit
		return nil, net.ErrClosed
	}
	conn, err := l.TCPListener.Accept()
	if err != nil {
		<-l.limiter.slots
		return nil, err
	}
	l.limiter.open.Add(1)
	l.limiter.onMemoryChange(connectionMemory)
	return conn, nil
}

const (
	acceptDelay = 100 * time.Millisecond // for clients to connect, and for their connections to be accepted
	sendTimeout = time.Second            // for connected clients to send their requests
)

// Drain closes the listener without losing a request, while the server still serves it. When a
// listener is closed, the system resets the connections that are not accepted yet. Then
// http.Server.Shutdown drops the requests that are not read yet. Their clients cannot know
// whether the server executed the requests, so balancers do not repeat a POST. Therefore Drain
// first makes the system ignore new clients (on Linux). Those clients retry a second later, when
// the system refuses them.
func (l *Listener) Drain() {
	if socket, err := l.SyscallConn(); err == nil {
		ignoreNewClients(socket)
		time.Sleep(acceptDelay)
	}
	_ = l.Close()
	for deadline := time.Now().Add(sendTimeout); l.limiter.Open() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}
