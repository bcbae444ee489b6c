// Bench measures the server beside the limit: what Go and PostgreSQL can do
// at most for the same work, in one run, on the same rows. Only ratios of one
// run mean anything. It needs PostgreSQL's programs and wrk.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const address = "127.0.0.1:8100"

var (
	//go:embed data.sql
	data string
	//go:embed load.lua
	load string
)

type options struct {
	links, connections, rounds int
	duration                   time.Duration
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "limit" {
		log.Fatal(serveLimit())
	}
	var o options
	flag.IntVar(&o.links, "links", 100_000, "rows to draw from, 100 a portfolio")
	flag.IntVar(&o.connections, "connections", 16, "connections of the load generator")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds, of which the median counts")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "how long each shape is asked for in a round")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

// system is a server under load, with the shapes of requests that it answers.
type system struct {
	name    string
	command []string
	shapes  []string
}

// reading is one round of one shape.
type reading struct {
	perSecond float64
	p99       time.Duration
	errors    int
}

func run(o options) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	server, lua := filepath.Join(folder, "portfolio"), filepath.Join(folder, "load.lua")
	if output, err := exec.Command("go", "build", "-C", "..", "-o", server, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, output)
	}
	if err := os.WriteFile(lua, []byte(load), 0o600); err != nil {
		return err
	}
	database, stop, err := startPostgres()
	if err != nil {
		return err
	}
	defer stop()
	if err := os.Setenv("DATABASE_URL", database); err != nil {
		return err
	}
	if output, err := exec.Command(server, "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, output)
	}
	if err := fill(database, o.links); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	systems := []system{
		{"limit", []string{self, "limit"}, []string{"floor", "rest", "many"}},
		{"portfolio", []string{server, "serve", "--addr", address, "--playground", "off"}, []string{"rest", "gql", "gql-many"}},
	}
	readings, memory := map[string][]reading{}, map[string]int{}
	for round := range o.rounds {
		for _, s := range systems {
			peak, err := s.measure(o, lua, round, readings)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			memory[s.name] = max(memory[s.name], peak)
		}
	}
	report(systems, readings, memory)
	return nil
}

// measure runs each shape of a system once and returns its peak memory in MiB.
func (s system) measure(o options, lua string, round int, readings map[string][]reading) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	process := exec.CommandContext(ctx, s.command[0], s.command[1:]...)
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	if err := process.Start(); err != nil {
		return 0, err
	}
	for range 200 {
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, shape := range s.shapes {
		for _, duration := range []time.Duration{time.Second, o.duration} { // the first warms up
			got, err := wrk(o, lua, shape, round, duration)
			if err != nil {
				return 0, err
			}
			if duration == o.duration {
				readings[s.name+" "+shape] = append(readings[s.name+" "+shape], got)
			}
		}
	}
	peak := peakMemory(process.Process.Pid)
	cancel()
	_ = process.Wait() // ended by the signal
	return peak, nil
}

var (
	requestsLine = regexp.MustCompile(`Requests/sec: +([0-9.]+)`)
	p99Line      = regexp.MustCompile(` 99% +([0-9.]+)(us|ms|s)`)
	errorsLine   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	socketLine   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

func wrk(o options, lua, shape string, round int, duration time.Duration) (reading, error) {
	command := exec.Command("wrk", "-t1", "-c"+strconv.Itoa(o.connections), "-d"+duration.String(), "--latency", "-s", lua, "http://"+address)
	command.Env = append(os.Environ(), "MODE="+shape, "SEED="+strconv.Itoa(round+1), "LINKS="+strconv.Itoa(o.links))
	output, err := command.Output()
	if err != nil {
		return reading{}, fmt.Errorf("wrk: %w", err)
	}
	var got reading
	if found := requestsLine.FindSubmatch(output); found != nil {
		got.perSecond, _ = strconv.ParseFloat(string(found[1]), 64)
	}
	if found := p99Line.FindSubmatch(output); found != nil {
		got.p99, _ = time.ParseDuration(string(found[1]) + string(found[2]))
	}
	for _, line := range []*regexp.Regexp{errorsLine, socketLine} {
		for _, count := range line.FindSubmatch(output) {
			n, _ := strconv.Atoi(string(count))
			got.errors += n
		}
	}
	return got, nil
}

func peakMemory(pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
	return kilobytes / 1024
}

func report(systems []system, readings map[string][]reading, memory map[string]int) {
	perSecond := func(name string) float64 {
		return median(readings[name], func(r reading) float64 { return r.perSecond })
	}
	fmt.Printf("%-11s%-10s%9s%9s%8s%10s\n", "system", "shape", "req/s", "p99 ms", "errors", "of limit")
	for _, s := range systems {
		for _, shape := range s.shapes {
			name, base := s.name+" "+shape, "limit rest"
			if strings.HasSuffix(shape, "many") {
				base = "limit many"
			}
			errors := 0
			for _, r := range readings[name] {
				errors += r.errors
			}
			p99 := median(readings[name], func(r reading) float64 { return float64(r.p99) / float64(time.Millisecond) })
			fmt.Printf("%-11s%-10s%9.0f%9.1f%8d%10.2f\n", s.name, shape, perSecond(name), p99, errors, perSecond(name)/perSecond(base))
		}
		fmt.Printf("%-11speak memory %d MiB\n", s.name, memory[s.name])
	}
}

func median(readings []reading, of func(reading) float64) float64 {
	values := make([]float64, len(readings))
	for i, r := range readings {
		values[i] = of(r)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}

func fill(database string, links int) error {
	connection, err := pgx.Connect(context.Background(), database+"&default_query_exec_mode=simple_protocol")
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(context.Background()) }()
	// The last two let PostgreSQL come to rest before anything is measured.
	for _, statement := range []string{strings.ReplaceAll(data, "$LINKS", strconv.Itoa(links)), "VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := connection.Exec(context.Background(), statement); err != nil {
			return err
		}
	}
	return nil
}

// startPostgres makes a cluster of its own, with PostgreSQL's defaults.
func startPostgres() (database string, stop func(), err error) {
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(programs) == 0 {
		return "", nil, fmt.Errorf("there is no PostgreSQL in /usr/lib/postgresql")
	}
	folder, err := os.MkdirTemp("", "benchpg")
	if err != nil {
		return "", nil, err
	}
	var attributes *syscall.SysProcAttr
	if os.Geteuid() == 0 { // it refuses to run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			return "", nil, err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(folder, uid, gid); err != nil {
			return "", nil, err
		}
		attributes = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	shell := func(script string) error {
		command := exec.Command("sh", "-c", script, "sh", programs[len(programs)-1], folder)
		command.Dir, command.SysProcAttr = folder, attributes
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, output)
		}
		return nil
	}
	stop = func() {
		_ = shell(`"$1/pg_ctl" -D "$2/data" -m fast stop`)
		_ = os.RemoveAll(folder)
	}
	err = shell(`"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 &&
		"$1/pg_ctl" -D "$2/data" -w -l "$2/log" -o "-k '$2' -c listen_addresses=" start`)
	if err != nil {
		stop()
		return "", nil, err
	}
	return "postgres:///postgres?user=postgres&host=" + folder, stop, nil
}
