package dbtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// PgBouncer returns the URL of the database through a pooler in transaction mode
// with two connections. Without PgBouncer the test is skipped; in CI it fails.
func PgBouncer(t *testing.T, dsn string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("skipped without PgBouncer: install it (Debian: apt-get install pgbouncer)")
	}
	if err != nil {
		t.Fatal(err)
	}
	database, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	directory, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	host := database.Query().Get("host")
	if host == "" {
		host = database.Hostname()
	}
	port := freePort(t)
	settings := fmt.Sprintf(`[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`, host, port)
	file := filepath.Join(directory, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	attributes, err := unprivileged(directory)
	if err != nil {
		t.Fatal(err)
	}
	pooler := exec.Command(program, "-q", file)
	pooler.SysProcAttr = attributes
	if err := pooler.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pooler.Process.Kill(); _ = pooler.Wait() })
	pooled := "127.0.0.1:" + strconv.Itoa(port)
	for t.Context().Err() == nil { // until it listens
		if connection, err := net.Dial("tcp", pooled); err == nil {
			_ = connection.Close()
			break
		}
	}
	return "postgres://postgres@" + pooled + database.Path + "?sslmode=disable"
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
