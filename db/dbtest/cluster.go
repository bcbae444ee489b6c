package dbtest

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// cluster is a running PostgreSQL server in a temporary directory. A shell stops the server
// and removes the directory when stdin is closed. The kernel closes stdin when this process
// ends, even by a crash.
type cluster struct {
	programs, directory string
	start               string // the script
	attributes          *syscall.SysProcAttr
	stdin               io.Closer     // of the shell
	removed             chan struct{} // closed when the directory is removed
}

// initCluster is a script that creates a cluster. In scripts, $1 is the directory of
// the programs, and $2 the directory of the cluster.
const initCluster = `"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync`

// startCluster creates a cluster with a script and starts the server.
func startCluster(create, options string) (*cluster, error) {
	programs, err := Programs()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp(memory(), "pg")
	if err != nil {
		return nil, err
	}
	c := &cluster{programs: programs, directory: directory}
	if c.attributes, err = unprivileged(directory); err != nil {
		return nil, err
	}
	if err := c.run(create); err != nil {
		return nil, err
	}
	c.start = `"$1/pg_ctl" -D "$2/data" -w -l "$2/log" start -o "-k '$2' -c listen_addresses= -c dynamic_shared_memory_type=mmap -c fsync=off -c full_page_writes=off -c max_wal_size=256MB ` + options + `"`
	if err := c.run(c.start); err != nil {
		return nil, err
	}
	cleaner := c.shell(`read -r _; "$1/pg_ctl" -D "$2/data" -m immediate stop; rm -rf "$2"`)
	if c.stdin, err = cleaner.StdinPipe(); err != nil { // never written to
		return nil, err
	}
	if err := cleaner.Start(); err != nil {
		return nil, err
	}
	c.removed = make(chan struct{})
	go func() { // which also keeps the pipe open
		_ = cleaner.Wait()
		close(c.removed)
	}()
	return c, nil
}

func (c *cluster) shell(script string) *exec.Cmd {
	command := exec.Command("sh", "-c", script, "sh", c.programs, c.directory)
	command.Dir, command.SysProcAttr = c.directory, c.attributes
	return command
}

func (c *cluster) run(script string) error {
	if output, err := c.shell(script).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, output)
	}
	return nil
}

// url returns the URL of a database of the cluster.
func (c *cluster) url(database string) string {
	return "postgres:///" + database + "?user=postgres&host=" + url.QueryEscape(c.directory)
}

// Cluster is a PostgreSQL server for one test.
type Cluster struct {
	t testing.TB
	*cluster
}

// NewCluster starts a server. Without PostgreSQL the test is skipped; in CI it
// fails.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	return newCluster(t, initCluster)
}

// NewStandby restarts the cluster, whose files it copies, and starts a standby of it.
// From then on the cluster acknowledges a commit when the standby has it.
func (c *Cluster) NewStandby() *Cluster {
	c.t.Helper()
	c.Stop()
	standby := newCluster(c.t, fmt.Sprintf(`cp -a '%[1]s/data' "$2" && touch "$2/data/standby.signal" &&
		echo "primary_conninfo = 'user=postgres host=%[1]s'" >> "$2/data/postgresql.auto.conf"`, c.directory))
	c.Start()
	c.Exec("ALTER SYSTEM SET synchronous_standby_names = '*'")
	c.Exec("SELECT pg_reload_conf()")
	return standby
}

// Clone stops the cluster, copies its files, and starts both servers. The clone has the
// same system identifier.
func (c *Cluster) Clone() *Cluster {
	c.t.Helper()
	c.Stop()
	clone := newCluster(c.t, fmt.Sprintf(`cp -a '%s/data' "$2"`, c.directory))
	c.Start()
	return clone
}

func newCluster(t testing.TB, create string) *Cluster {
	t.Helper()
	cluster, err := startCluster(create, "")
	if errors.Is(err, errNoPostgres) && os.Getenv("CI") == "" {
		t.Skip("skipped without the programs of PostgreSQL (Debian: apt-get install postgresql)")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cluster.stdin.Close()
		<-cluster.removed
	})
	return &Cluster{t, cluster}
}

// URL returns the URL of the database postgres.
func (c *Cluster) URL() string { return c.url("postgres") }

// Directory returns the directory of the server's socket.
func (c *Cluster) Directory() string { return c.directory }

// Exec runs a statement.
func (c *Cluster) Exec(statement string) {
	c.t.Helper()
	Exec(c.t, c.URL(), statement)
}

// SetReadOnly sets whether transactions are read-only, also on open connections.
func (c *Cluster) SetReadOnly(readOnly bool) {
	c.t.Helper()
	value := "off"
	if readOnly {
		value = "on"
	}
	c.Exec("ALTER SYSTEM SET default_transaction_read_only = " + value)
	c.Exec("SELECT pg_reload_conf()")
	for current := ""; current != value; { // the server signals open connections before it accepts new ones
		connections := connect(c.t, c.URL())
		if err := connections.QueryRowContext(c.t.Context(), "SHOW default_transaction_read_only").Scan(&current); err != nil {
			c.t.Fatal(err)
		}
		_ = connections.Close()
	}
}

// Kill ends the server as a crash does.
func (c *Cluster) Kill() {
	c.t.Helper()
	const script = `pid=$(head -1 "$2/data/postmaster.pid")
		processes="$pid $(cat /proc/$pid/task/$pid/children)"
		kill -9 $pid
		for process in $processes; do while kill -0 $process 2>/dev/null; do sleep 0.01; done; done`
	if err := c.run(script); err != nil {
		c.t.Fatal(err)
	}
}

// Promote makes a standby accept changes.
func (c *Cluster) Promote() {
	c.t.Helper()
	if err := c.run(`"$1/pg_ctl" -D "$2/data" -w promote`); err != nil {
		c.t.Fatal(err)
	}
}

// Stop ends the server.
func (c *Cluster) Stop() {
	c.t.Helper()
	if err := c.run(`"$1/pg_ctl" -D "$2/data" -w -m fast stop`); err != nil {
		c.t.Fatal(err)
	}
}

// Start starts the server unless it runs.
func (c *Cluster) Start() {
	c.t.Helper()
	if err := c.run(`"$1/pg_ctl" -D "$2/data" status >/dev/null || ` + c.start); err != nil {
		c.t.Fatal(err)
	}
}

// PID returns the ID of the server's process.
func (c *Cluster) PID() int {
	c.t.Helper()
	content, err := os.ReadFile(c.directory + "/data/postmaster.pid")
	line, _, _ := strings.Cut(string(content), "\n")
	pid, convErr := strconv.Atoi(line)
	if err := cmp.Or(err, convErr); err != nil {
		c.t.Fatal(err)
	}
	return pid
}
