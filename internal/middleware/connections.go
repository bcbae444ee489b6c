package middleware

import (
	"net"
	"net/http"
)

// Connections bounds how many connections are open at once. Further clients
// wait in the listener's queue until one closes.
type Connections struct{ slots chan struct{} }

// NewConnections lets so many be open.
func NewConnections(limit int) *Connections {
	return &Connections{make(chan struct{}, limit)}
}

// Listen accepts from the listener while fewer connections are open.
func (c *Connections) Listen(listener net.Listener) net.Listener {
	return boundedListener{listener, c}
}

type boundedListener struct {
	net.Listener
	connections *Connections
}

func (l boundedListener) Accept() (net.Conn, error) {
	l.connections.slots <- struct{}{}
	accepted, err := l.Listener.Accept()
	if err != nil {
		<-l.connections.slots
	}
	return accepted, err
}

// Changed is the ConnState of the server that serves the listener.
func (c *Connections) Changed(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		<-c.slots
	}
}
