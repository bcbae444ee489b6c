package system

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"portfolio/db/dbtest"
)

// client is one connection to a server.
type client struct {
	t          *testing.T
	connection net.Conn
	reader     *bufio.Reader
}

func (p *process) dial(t *testing.T) client {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return client{t, connection, bufio.NewReader(connection)}
}

// get sends a GET request and returns the status, the body, and whether the server
// closes the connection after it.
func (c client) get(path string) (status int, body string, closes bool) {
	c.t.Helper()
	if _, err := io.WriteString(c.connection, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.Close {
		if _, err := c.reader.ReadByte(); err != io.EOF {
			c.t.Errorf("%s: the connection stays open: %v", path, err)
		}
	}
	return response.StatusCode, string(content), response.Close
}

func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// TestShutdown_WaitsForBalancer checks that a server that is stopping is not ready at once
// and still serves, and that each response tells the client to connect anew.
func TestShutdown_WaitsForBalancer(t *testing.T) {
	t.Parallel()
	server := startProcess(t, dbtest.SQLite(t), "file:"+t.TempDir(), t.TempDir(), "SHUTDOWN_DELAY=1h")
	idle := server.dial(t)
	if status, body, closes := idle.get("/readyz"); status != http.StatusOK || closes {
		t.Errorf("before: %d %s closes %v", status, body, closes)
	}
	server.terminate(t)
	status, body, closes := server.dial(t).get("/readyz")
	for status == http.StatusOK { // the signal may still be on its way
		status, body, closes = server.dial(t).get("/readyz")
	}
	if status != http.StatusServiceUnavailable || body != "the server is shutting down\n" || !closes {
		t.Errorf("/readyz: %d %s closes %v", status, body, closes)
	}
	if status, _, closes := idle.get("/healthz"); status != http.StatusOK || !closes { // it is not cut: its client may just be sending
		t.Errorf("idle connection: %d closes %v", status, closes)
	}
	for path, want := range map[string]int{"/graphql?query={viewer{id}}": 200, "/api/portfolios/1/links/4": 401, "/media/none.png": 404, "/": 404} {
		if status, body, closes := server.dial(t).get(path); status != want || !closes {
			t.Errorf("%s: %d %s closes %v", path, status, body, closes)
		}
	}
	server.terminate(t) // the second signal ends it
	err := server.Wait()
	if status, ok := server.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", err)
	}
}

// TestShutdown_EndsAfterDelay checks that the server exits after the delay.
func TestShutdown_EndsAfterDelay(t *testing.T) {
	t.Parallel()
	server := startProcess(t, dbtest.SQLite(t), "file:"+t.TempDir(), t.TempDir(), "SHUTDOWN_DELAY=10ms")
	server.terminate(t)
	if err := server.Wait(); err != nil {
		t.Error(err)
	}
}

// TestShutdown_ServesLastRequest checks that a client that connected before the server
// closed its port gets a response.
func TestShutdown_ServesLastRequest(t *testing.T) {
	t.Parallel()
	server := startProcess(t, dbtest.SQLite(t), "file:"+t.TempDir(), t.TempDir(), "SHUTDOWN_DELAY=1ms")
	last := server.dial(t)
	server.terminate(t)
	var err error
	for !errors.Is(err, syscall.ECONNREFUSED) { // before, new clients are ignored
		var connection net.Conn
		if connection, err = net.DialTimeout("tcp", strings.TrimPrefix(server.URL, "http://"), 10*time.Millisecond); err == nil {
			_ = connection.Close()
		}
	}
	if status, body, closes := last.get("/healthz"); status != http.StatusOK || !closes {
		t.Errorf("%d %s closes %v", status, body, closes)
	}
	if err := server.Wait(); err != nil {
		t.Error(err)
	}
}
