package dbtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Pooler is a PgBouncer in transaction mode with two connections.
type Pooler struct {
	t                      *testing.T
	program, file, address string
	attributes             *syscall.SysProcAttr
	process                *exec.Cmd
}

// PgBouncer starts a pooler for the database and returns the URL through it. Without
// PgBouncer the test is skipped; in CI it fails.
func PgBouncer(t *testing.T, dsn string) (*Pooler, string) {
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
	port := freePort(t)
	p := &Pooler{t: t, program: program, file: filepath.Join(directory, "pgbouncer.ini"), address: "127.0.0.1:" + strconv.Itoa(port)}
	p.configure(database)
	if p.attributes, err = unprivileged(directory); err != nil {
		t.Fatal(err)
	}
	p.Start()
	t.Cleanup(p.Kill)
	return p, "postgres://postgres@" + p.address + database.Path + "?sslmode=disable"
}

// configure writes the settings, which name the server of a database.
func (p *Pooler) configure(database *url.URL) {
	p.t.Helper()
	host := database.Query().Get("host")
	if host == "" {
		host = database.Hostname()
	}
	_, port, _ := net.SplitHostPort(p.address)
	settings := fmt.Sprintf(`[databases]
* = host=%s user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`, host, port)
	if err := os.WriteFile(p.file, []byte(settings), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// Retarget makes the pooler use the server of dsn, also for clients that are connected.
func (p *Pooler) Retarget(dsn string) {
	p.t.Helper()
	server, err := url.Parse(dsn)
	if err != nil {
		p.t.Fatal(err)
	}
	p.configure(server)
	if err := p.process.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
}

// Start starts the pooler and waits until it listens.
func (p *Pooler) Start() {
	p.t.Helper()
	p.process = exec.Command(p.program, "-q", p.file)
	p.process.SysProcAttr = p.attributes
	if err := p.process.Start(); err != nil {
		p.t.Fatal(err)
	}
	for p.t.Context().Err() == nil {
		if connection, err := net.Dial("tcp", p.address); err == nil {
			_ = connection.Close()
			return
		}
	}
}

// Kill ends the pooler as a crash does.
func (p *Pooler) Kill() { _, _ = p.process.Process.Kill(), p.process.Wait() }

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
