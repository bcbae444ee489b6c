package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fleet is one or several servers under load at the same time.
type fleet struct {
	name        string
	servers     []*system
	connections int     // of the load generator to each server
	pooler      *pooler // or nil
	costs       map[string][]cost
}

// cost is one round of one shape.
type cost struct {
	reading
	postgres, pooler time.Duration // CPU time
}

// costly are the shapes. The last one changes rows.
var costly = []string{"rest", "gql", "gql-many", "update"}

// capacity prints the CPU time of requests on servers and database, and the memory of
// connections. All share the machine with the load generator. So it computes the number of
// processors for a rate of requests.
func capacity(o options, server, postgres, lua string) error {
	_, socket, _ := strings.Cut(postgres, "host=")
	postmaster, err := postmasterOf(socket)
	if err != nil {
		return err
	}
	pooler, pooled, err := newPooler(socket)
	if err != nil {
		return err
	}
	defer pooler.stop()
	if err := pooler.restart(); err != nil {
		return err
	}
	database := postgres + "&dbname=capacity"
	var servers []*system
	for i, url := range []string{database, database, database, database, pooled} {
		s, err := newSystem(o, server, url)
		if err != nil {
			return err
		}
		if i == 0 {
			if err := s.fill(server, postgres); err != nil {
				return err
			}
		}
		if err := s.start(); err != nil {
			return err
		}
		defer s.stop()
		servers = append(servers, s)
	}
	fleets := []*fleet{
		{name: "1 server", servers: servers[:1], connections: o.connections},
		{name: "2 servers", servers: servers[:2], connections: o.connections},
		{name: "4 servers", servers: servers[:4], connections: o.connections},
		{name: "1 server, x 16", servers: servers[:1], connections: 16 * o.connections},
		{name: "1 server, PgBouncer", servers: servers[4:], connections: o.connections, pooler: pooler},
	}
	backend, err := measureFleets(o, fleets, postmaster, lua)
	if err != nil {
		return err
	}
	printCosts(fleets)
	printModel(fleets[:3])
	fmt.Printf("\nserver: peak memory %d MiB at %d connections\n", peakMemory(servers[1].process.Process.Pid), o.connections)
	fmt.Printf("PostgreSQL: at most %.1f MiB for a connection\n", float64(backend)/1024)
	return measureIdle(o, server, database)
}

func postmasterOf(socket string) (int, error) {
	content, err := os.ReadFile(filepath.Join(socket, "data", "postmaster.pid"))
	line, _, _ := strings.Cut(string(content), "\n")
	pid, convErr := strconv.Atoi(line)
	return pid, errors.Join(err, convErr)
}

func newSystem(o options, server, database string, env ...string) (*system, error) {
	address, err := freeAddress()
	return &system{
		database: database, links: o.links, address: address, env: append(env, "LOG_LEVEL=warn"),
		command: []string{server, "serve", "--playground", "off", "--addr", address},
	}, err
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// pooler is a PgBouncer with as many connections as a server has by default.
type pooler struct {
	address, file string
	*exec.Cmd
}

// newPooler returns a pooler that is not started, and the URL through it.
func newPooler(socket string) (p *pooler, database string, err error) {
	p = &pooler{file: filepath.Join(socket, "pgbouncer.ini")}
	if p.address, err = freeAddress(); err != nil {
		return nil, "", err
	}
	_, port, _ := net.SplitHostPort(p.address)
	settings := fmt.Sprintf("[databases]\n* = host=%s user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = any\npool_mode = transaction\ndefault_pool_size = 5\n", socket, port)
	database = "postgres://postgres@" + p.address + "/capacity?sslmode=disable&default_query_exec_mode=exec"
	return p, database, os.WriteFile(p.file, []byte(settings), 0o644)
}

// restart restarts the pooler. Version 1.18 may have crashed, because it does not
// survive canceled statements. wrk cancels statements when it disconnects.
func (p *pooler) restart() (err error) {
	p.stop()
	p.Cmd = exec.Command("pgbouncer", "-q", p.file)
	if p.SysProcAttr, err = unprivileged(filepath.Dir(p.file)); err != nil {
		return err
	}
	return errors.Join(p.Start(), awaitListening(p.address))
}

func (p *pooler) stop() {
	if p.Cmd != nil {
		_, _ = p.Process.Kill(), p.Wait()
	}
}

// measureFleets loads the fleets in turn, shape by shape. It returns the largest memory
// of a connection, in KiB.
func measureFleets(o options, fleets []*fleet, postmaster int, lua string) (backend int, err error) {
	for _, f := range fleets {
		f.costs = map[string][]cost{}
	}
	for _, shape := range costly {
		for round := range 1 + o.rounds {
			for _, f := range fleets {
				total, err := f.load(o, lua, shape, round, postmaster)
				if err != nil {
					return 0, err
				}
				if round > 0 { // the first one warms up
					f.costs[shape] = append(f.costs[shape], total)
				}
				backend = max(backend, largestBackend(postmaster))
			}
		}
	}
	return backend, nil
}

// largestBackend returns the largest memory of a connection in KiB: the memory that its
// process does not share, and its page tables.
func largestBackend(postmaster int) (largest int) {
	for _, pid := range children(postmaster) {
		title, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if strings.Contains(string(title), "[local]") {
			largest = max(largest, kilobytes(pid, "smaps_rollup", "Private_Clean", "Private_Dirty")+kilobytes(pid, "status", "VmPTE"))
		}
	}
	return largest
}

// load loads all servers of the fleet at the same time.
func (f *fleet) load(o options, lua, shape string, round, postmaster int) (total cost, err error) {
	o.connections = f.connections
	readings, errs := make([]reading, len(f.servers)), make([]error, len(f.servers))
	if f.pooler != nil {
		if err := f.pooler.restart(); err != nil {
			return cost{}, err
		}
	}
	start := familyTime(postmaster)
	var loading sync.WaitGroup
	for i, s := range f.servers {
		loading.Go(func() { readings[i], errs[i] = s.load(o, lua, shape, len(f.servers)*round+i, o.duration) })
	}
	loading.Wait()
	total.postgres = familyTime(postmaster) - start
	if f.pooler != nil {
		total.pooler = cpuTime(f.pooler.Process.Pid)
	}
	for _, r := range readings {
		total.perSecond += r.perSecond
		total.requests += r.requests
		total.errors += r.errors
		total.cpu += r.cpu
		total.bytes += r.bytes
	}
	return total, errors.Join(errs...)
}

// familyTime returns the CPU time of a process and its children, including children that
// have ended.
func familyTime(pid int) time.Duration {
	total := cpuTime(pid)
	for _, child := range children(pid) {
		total += cpuTime(child)
	}
	for _, ticks := range stat(pid)[13:15] { // of children that have ended, in hundredths of a second
		n, _ := strconv.Atoi(ticks)
		total += time.Duration(n) * 10 * time.Millisecond
	}
	return total
}

// children finds the children of a process by their parent. The list of the parent,
// /proc/PID/task/PID/children, lacks some children while children end.
func children(parent int) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range all {
		pid, _ := strconv.Atoi(filepath.Base(process))
		if stat(pid)[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the fields of /proc/PID/stat from the third on, empty if the process has
// ended.
func stat(pid int) []string {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(line), ") ") // after the name
	return append(strings.Fields(rest), make([]string, 15)...)
}

func (c cost) perServer() float64   { return c.perRequest(c.cpu) }
func (c cost) perPostgres() float64 { return c.perRequest(c.postgres) }

func printCosts(fleets []*fleet) {
	fmt.Printf("%-21s%-10s%9s%8s%12s%12s%12s%9s\n", "CPU us/request", "shape", "req/s", "errors", "server", "PostgreSQL", "PgBouncer", "bytes")
	for _, f := range fleets {
		for _, shape := range costly {
			costs, failed := f.costs[shape], 0
			for _, c := range costs {
				failed += c.errors
			}
			medianOf := func(value func(c cost) float64) float64 {
				return median(costs, func(_ int, c cost) float64 { return value(c) })
			}
			fmt.Printf("%-21s%-10s%9.0f%8d%12.1f%12.1f%12.1f%9.0f\n", f.name, shape, medianOf(func(c cost) float64 { return c.perSecond }), failed,
				medianOf(cost.perServer), medianOf(cost.perPostgres), medianOf(func(c cost) float64 { return c.perRequest(c.pooler) }),
				medianOf(func(c cost) float64 { return c.bytes / float64(max(1, c.requests)) }))
		}
	}
}

// maxUtilization is the share of processors that may be in use.
const maxUtilization = 0.6

// printModel prints the cost of each shape, for all fleets and for each fleet. It computes the
// number of processors that some rates take at maxUtilization.
func printModel(fleets []*fleet) {
	fmt.Printf("\n%-12s%-10s%12s%16s%14s%10s%10s%11s\n", "", "shape", "us/request", "of the fleets", "req/s a core", "1,000", "100,000", "1,000,000")
	for _, part := range []struct {
		name string
		cost func(c cost) float64
	}{{"server", cost.perServer}, {"PostgreSQL", cost.perPostgres}} {
		for _, shape := range costly {
			var all []cost
			var each []string
			for _, f := range fleets {
				all = append(all, f.costs[shape]...)
				each = append(each, fmt.Sprintf("%.0f", median(f.costs[shape], func(_ int, c cost) float64 { return part.cost(c) })))
			}
			us := median(all, func(_ int, c cost) float64 { return part.cost(c) })
			cores := us / 1e6 / maxUtilization
			fmt.Printf("%-12s%-10s%12.1f%16s%14.0f%10.2f%10.1f%11.0f\n", part.name, shape, us, strings.Join(each, " "), 1e6/us, 1e3*cores, 1e5*cores, 1e6*cores)
		}
	}
}

// measureIdle prints the memory of connections that stay open after a response.
func measureIdle(o options, server, database string) error {
	s, err := newSystem(o, server, database)
	if err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	defer s.stop()
	const few, many = 1000, 4000 // below MAX_CONNECTIONS
	var memory [2]int
	var open []net.Conn
	defer func() {
		for _, connection := range open {
			_ = connection.Close()
		}
	}()
	for i, number := range []int{few, many} {
		for len(open) < number {
			connection, err := net.Dial("tcp", s.address)
			if err != nil {
				return err
			}
			open = append(open, connection)
			if err := requestOnce(connection); err != nil {
				return err
			}
		}
		memory[i] = kilobytes(s.process.Process.Pid, "status", "VmRSS")
	}
	fmt.Printf("server: %.1f KiB for each idle connection (%d MiB with %d, %d MiB with %d)\n",
		float64(memory[1]-memory[0])/(many-few), memory[0]/1024, few, memory[1]/1024, many)
	return nil
}

func requestOnce(connection net.Conn) error {
	if _, err := fmt.Fprintf(connection, "GET /api/portfolios/1/links/4 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token %s\r\n\r\n", token); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return response.Body.Close()
}
