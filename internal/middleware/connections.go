package middleware

import (
	"net"
	"net/http"
	"sync/atomic"
)

// ConnectionLimiter bounds the number of open connections. Further clients wait
// in the listener's backlog. Unlike netutil.LimitListener it does not wrap
// connections, so that files are still sent with sendfile.
type ConnectionLimiter struct {
	slots chan struct{}
	open  atomic.Int64
}

// NewConnectionLimiter returns a limiter that allows limit open connections.
func NewConnectionLimiter(limit int) *ConnectionLimiter {
	return &ConnectionLimiter{slots: make(chan struct{}, limit)}
}

// Listener returns a listener that accepts a connection only while fewer than
// the limit are open. The server must use ConnState.
func (l *ConnectionLimiter) Listener(listener net.Listener) net.Listener {
	return limitedListener{listener, l}
}

// ConnState is the http.Server.ConnState of the server that serves the
// listener.
func (l *ConnectionLimiter) ConnState(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		l.open.Add(-1)
		<-l.slots
	}
}

// Open returns the number of open connections.
func (l *ConnectionLimiter) Open() int { return int(l.open.Load()) }

type limitedListener struct {
	net.Listener
	limiter *ConnectionLimiter
}

func (l limitedListener) Accept() (net.Conn, error) {
	l.limiter.slots <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.limiter.slots
		return nil, err
	}
	l.limiter.open.Add(1)
	return conn, nil
}
