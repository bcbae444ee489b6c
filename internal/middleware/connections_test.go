package middleware

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// TestConnectionLimiter checks that a client above the limit is served once
// another connection closes.
func TestConnectionLimiter(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limiter := NewConnectionLimiter(2)
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: limiter.ConnState}
	go func() { _ = server.Serve(limiter.Listener(listener)) }()
	t.Cleanup(func() { _ = server.Close() })
	request := func() net.Conn {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		return connection
	}
	served := func(connection net.Conn) bool {
		n, _ := connection.Read(make([]byte, 1))
		return n == 1
	}
	first, second, third := request(), request(), request()
	if !served(first) || !served(second) {
		t.Error("two clients are not served")
	}
	if len(limiter.slots) != 2 {
		t.Errorf("%d connections are open", len(limiter.slots))
	}
	_ = first.Close()
	if !served(third) {
		t.Error("the third client is not served")
	}
}
