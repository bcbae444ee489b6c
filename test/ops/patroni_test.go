//go:build ops

package ops

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"portfolio/db/dbtest"
)

// node is a PostgreSQL server under Patroni.
type node struct {
	name          string
	directory     string // of the data
	port, api     int
	configuration string
	*program
}

// patroni is a cluster of nodes with an etcd.
type patroni struct {
	t          *testing.T
	directory  string
	attributes *syscall.SysProcAttr
	etcd       func() *program // starts it
	store      *program
	nodes      []*node
}

// configuration of a node. Patroni requires ttl >= loop_wait + 2 * retry_timeout.
const configuration = `
scope: portfolio
name: %[1]s
restapi: {listen: "%[2]s", connect_address: "%[2]s"}
etcd3: {host: "%[3]s"}
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 2
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    failsafe_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {max_connections: 50, fsync: "off", wal_keep_size: 64MB}
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, no-sync]
postgresql:
  listen: "%[4]s"
  connect_address: "%[4]s"
  data_dir: %[5]s
  bin_dir: %[6]s
  pgpass: %[5]s.pgpass
  parameters: {unix_socket_directories: %[7]s}
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  authentication:
    superuser: {username: postgres}
    replication: {username: replicator}
`

// startPatroni starts a cluster and waits until it has a primary and a synchronous
// standby.
func startPatroni(t *testing.T, nodes int) *patroni {
	t.Helper()
	requireProgram(t, "patroni", "patroni")
	etcd := requireProgram(t, "etcd", "etcd-server")
	p := &patroni{t: t}
	p.directory, p.attributes = owned(t)
	t.Cleanup(p.killPostgres)
	client, peer := "http://"+address(freePort(t)), "http://"+address(freePort(t))
	p.etcd = func() *program {
		command := newCommand(t, filepath.Join(p.directory, "etcd.log"), etcd, "--data-dir=etcd", "--unsafe-no-fsync", "--listen-client-urls="+client, "--advertise-client-urls="+client,
			"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer)
		command.SysProcAttr = p.attributes
		return start(t, command)
	}
	p.store = p.etcd()
	programs, err := dbtest.Programs()
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		n := &node{name: "node" + strconv.Itoa(i), port: freePort(t), api: freePort(t)}
		n.directory, n.configuration = filepath.Join(p.directory, n.name), filepath.Join(p.directory, n.name+".yml")
		text := fmt.Sprintf(configuration, n.name, address(n.api), strings.TrimPrefix(client, "http://"), address(n.port), n.directory, programs, p.directory)
		if err := os.WriteFile(n.configuration, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p.nodes = append(p.nodes, n)
		p.start(n)
	}
	p.awaitStandbys()
	return p
}

// start starts Patroni for a node, which starts PostgreSQL.
func (p *patroni) start(n *node) {
	p.t.Helper()
	command := newCommand(p.t, n.directory+".log", "patroni", n.configuration)
	command.SysProcAttr = p.attributes
	n.program = start(p.t, command)
}

// postgres returns the ID of the process of a node's PostgreSQL server, or 0.
func (n *node) postgres() int {
	content, _ := os.ReadFile(filepath.Join(n.directory, "postmaster.pid"))
	first, _, _ := strings.Cut(string(content), "\n")
	pid, _ := strconv.Atoi(first)
	return pid
}

// killPostgres kills every PostgreSQL server that Patroni has left.
func (p *patroni) killPostgres() {
	for _, n := range p.nodes {
		n.kill()
		if pid := n.postgres(); pid > 0 {
			signalFamily(pid, syscall.SIGKILL)
		}
	}
}

// dsn returns the URL that names every node.
func (p *patroni) dsn() string {
	var hosts []string
	for _, n := range p.nodes {
		hosts = append(hosts, address(n.port))
	}
	return "postgres://postgres@" + strings.Join(hosts, ",") + "/postgres?sslmode=disable&target_session_attrs=read-write&connect_timeout=2"
}

// member is a node as Patroni sees it.
type member struct{ Name, Role, State string }

// members asks the nodes for what they know of the cluster.
func (p *patroni) members() []member {
	for _, n := range p.nodes {
		request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+address(n.api)+"/cluster", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue // this one is down
		}
		var cluster struct{ Members []member }
		err = json.NewDecoder(response.Body).Decode(&cluster)
		_ = response.Body.Close()
		if err == nil {
			return cluster.Members
		}
	}
	return nil
}

// byRole returns the running nodes of a role.
func (p *patroni) byRole(role string) (found []*node) {
	for _, m := range p.members() {
		if m.Role == role && m.State == "running" {
			found = append(found, p.nodes[slices.IndexFunc(p.nodes, func(n *node) bool { return n.name == m.Name })])
		}
	}
	return found
}

// awaitStandbys waits until all nodes run and one standby is synchronous.
func (p *patroni) awaitStandbys() {
	p.t.Helper()
	waitFor(p.t, "primary with all standbys", func() bool {
		return len(p.byRole("leader")) == 1 && len(p.byRole("sync_standby")) == 1 && len(p.byRole("replica")) == len(p.nodes)-2
	})
}

// switchover makes the synchronous standby the primary, by Patroni's own command.
func (p *patroni) switchover(from, to *node) {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "patronictl", "-c", from.configuration, "switchover", "portfolio",
		"--master", from.name, "--candidate", to.name, "--force")
	if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "Successfully switched over") {
		p.t.Fatalf("%v\n%s", err, output)
	}
}
