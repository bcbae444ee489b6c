package system

import (
	"net"
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

func TestHealthcheck_FailsUnlessReady(t *testing.T) {
	t.Parallel()
	dsn := dbtest.SQLite(t)
	server := startServer(t, "--database-url="+dsn)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	for _, argument := range []string{"--addr=:" + port, "--addr=0.0.0.0:" + port, "--addr=[::]:" + port, "--addr=localhost:" + port, "--url=" + server.URL + "/healthz"} {
		runCommand(t, 0, "healthcheck", argument)
	}
	checkFails(t, server.URL+"/none: 404 Not Found: <!doctype html> <html lang=\"en\"><title>404 Not Found</title><h1>404 Not Found</h1></html>", "healthcheck", "--url="+server.URL+"/none")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	address := silent.Addr().String()
	checkFails(t, "http://"+address+"/readyz: no response within 50ms", "healthcheck", "--addr="+address, "--timeout=50ms")

	other := startServer(t, "--database-url="+dsn) // which has not been asked, and so caches no answer
	dbtest.Exec(t, dsn, "DELETE FROM bun_migrations")
	checkFails(t, other.URL+"/readyz: 503 Service Unavailable: the database's schema is behind", "healthcheck", "--url="+other.URL+"/readyz")
	runCommand(t, 0, "healthcheck", "--addr="+strings.TrimPrefix(other.URL, "http://"), "--path=/healthz") // alive, though not ready
	other.stop()
	if _, stderr := runCommand(t, 1, "healthcheck", "--url="+other.URL); !strings.Contains(stderr, "connection refused") {
		t.Error(stderr)
	}
}
