package middleware

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// serve starts a server with a limit of connections, which responds 404. It checks that
// connections release their memory before others take it.
func serve(t *testing.T, limit int) (*ConnectionLimiter, *Listener, *http.Server) {
	t.Helper()
	var held atomic.Int64
	limiter := NewConnectionLimiter(limit, func(delta int64) {
		if now := held.Add(delta); now < 0 || now > int64(limit)*connectionMemory {
			t.Errorf("%d connections hold %d bytes", limit, now)
		}
	})
	listener, err := limiter.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: limiter.ConnState}
	go func() { _ = server.Serve(listener) }()
	return limiter, listener, server
}

// TestConnectionLimiter_ServesClientAboveLimitLater checks that a client above the limit is served once
// another connection closes.
func TestConnectionLimiter_ServesClientAboveLimitLater(t *testing.T) {
	t.Parallel()
	limiter, listener, server := serve(t, 2)
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
		t.Errorf("got %d open connections, want 2", len(limiter.slots))
	}
	_ = first.Close()
	if !served(third) {
		t.Error("the third client is not served")
	}
}

// TestListener_DrainLosesNoRequest checks that a server which shuts down under load responds to every
// client that has connected. The clients open a connection for each request.
func TestListener_DrainLosesNoRequest(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can ignore new clients")
	}
	for range 5 {
		_, listener, server := serve(t, 1000)
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() { requestUntilRefused(t, listener.Addr().String()) })
		}
		listener.Drain()
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		running.Wait()
	}
}

// requestUntilRefused sends requests, each over a connection of its own, until none
// can be made.
func requestUntilRefused(t *testing.T, address string) {
	for {
		connection, err := net.DialTimeout("tcp", address, 10*time.Millisecond)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		} else if err != nil {
			continue // the client is ignored
		}
		_, _ = io.WriteString(connection, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if response, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(response), "HTTP/1.1 404 ") {
			t.Errorf("a client that had connected got %q, %v", response, err)
		}
		_ = connection.Close()
	}
}

// TestListener_DrainsAtLimit checks that a server at the limit of connections, each of them
// idle, shuts down without waiting for its clients.
func TestListener_DrainsAtLimit(t *testing.T) {
	t.Parallel()
	_, listener, server := serve(t, 1)
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := client.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	listener.Drain()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := io.Copy(io.Discard, client); err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
}

// TestConnectionLimiter_CountsHijackedConnections checks that a connection that a handler has taken
// over counts until it is closed.
func TestConnectionLimiter_CountsHijackedConnections(t *testing.T) {
	t.Parallel()
	limiter, listener, server := serve(t, 2)
	taken := make(chan net.Conn)
	server.Handler = limiter.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = connection.Close() })
		taken <- connection
	}))
	t.Cleanup(func() { _ = server.Close() })
	open := func() net.Conn {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		_, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		return <-taken
	}
	first := open()
	open()
	if limiter.Open() != 2 || len(limiter.slots) != 2 {
		t.Errorf("got %d open connections, want 2", limiter.Open())
	}
	_, _ = first.Close(), first.Close()
	open() // accepted only once the first one no longer counts
	if limiter.Open() != 2 {
		t.Errorf("got %d open connections, want 2", limiter.Open())
	}
}
