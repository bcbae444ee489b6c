// Bench measures the server and a baseline, called limit, in one run and on the same rows. The
// limit is the maximum that Go and PostgreSQL reach for the same work. Only ratios of one run
// are meaningful. Bench needs the programs of PostgreSQL, and wrk.
package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
)

var (
	//go:embed data.sql
	data string
	//go:embed load.lua
	load string
)

type options struct {
	links, connections, rounds int
	warmUp, duration           time.Duration
	tenfold, attack, search    bool
	instruments, capacity      bool
	postgres                   string
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "limit" {
		log.Fatal(serveLimit(os.Args[2], os.Args[3]))
	}
	if len(os.Args) == 4 && os.Args[1] == "attack" {
		attackFor(os.Args[2], os.Args[3])
		return
	}
	var o options
	flag.IntVar(&o.links, "links", 100_000, "rows to draw from, 100 a portfolio")
	flag.IntVar(&o.connections, "connections", 16, "connections of the load generator")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds, whose median is printed")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "how long each shape is requested in a round")
	flag.DurationVar(&o.warmUp, "warmup", 2*time.Second, "how long each shape is requested before the first round")
	flag.BoolVar(&o.tenfold, "tenfold", false, "compare the server with ten times the rows to the server")
	flag.BoolVar(&o.attack, "attack", false, "measure honest clients beside hostile ones, and nothing else")
	flag.BoolVar(&o.search, "search", false, "measure searches over ten times the rows, and nothing else")
	flag.BoolVar(&o.instruments, "instruments", false, "measure the cost of metrics, traces and the request log, and nothing else")
	flag.BoolVar(&o.capacity, "capacity", false, "measure the cost of requests and connections, and nothing else")
	flag.StringVar(&o.postgres, "postgres", "", "options of PostgreSQL, such as '-c shared_buffers=4GB'")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal(err)
	}
}

// system is a server under load, with the shapes of its requests.
type system struct {
	name     string
	base     *system // of the ratios
	database string
	links    int
	command  []string
	env      []string
	log      string // file of standard error, "" to discard it
	shapes   []string

	address  string
	process  *exec.Cmd
	readings map[string][]reading // by shape
}

// reading is one round of one shape.
type reading struct {
	perSecond float64
	p99       time.Duration
	requests  int
	cpu       time.Duration // of the server
	bytes     float64       // of all responses
	errors    int
}

func run(o options) error {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server, lua := filepath.Join(folder, "portfolio"), filepath.Join(folder, "load.lua")
	if output, err := exec.Command("go", "build", "-C", "..", "-o", server, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, output)
	}
	if err := os.WriteFile(lua, []byte(load), 0o600); err != nil {
		return err
	}
	postgres, stop, err := startPostgres(o.postgres)
	if err != nil {
		return err
	}
	defer stop()

	if o.attack {
		return attackAll(o, server, folder, postgres)
	}
	if o.search {
		return searchAll(o, server, folder, postgres)
	}
	if o.instruments {
		return measureInstruments(o, server, folder, postgres, lua)
	}
	if o.capacity {
		return capacity(o, server, postgres, lua)
	}
	ours := []string{"rest", "gql", "gql-many"}
	limit := &system{name: "limit", database: postgres + "&dbname=once", links: o.links, shapes: []string{"floor", "rest", "many"}}
	portfolio := &system{name: "portfolio", base: limit, database: limit.database, links: o.links, shapes: ours}
	systems := []*system{limit, portfolio}
	if o.tenfold {
		systems = append(systems, &system{name: "portfolio, tenfold", base: portfolio, database: postgres + "&dbname=tenfold", links: 10 * o.links, shapes: ours})
	}
	limitSQLite := &system{name: "limit, SQLite", database: "sqlite:" + filepath.Join(folder, "bench.db"), links: o.links, shapes: []string{"rest", "many"}}
	systems = append(systems, limitSQLite,
		&system{name: "portfolio, SQLite", base: limitSQLite, database: limitSQLite.database, links: o.links, shapes: ours})
	hasRows := map[string]bool{}
	for i, s := range systems {
		s.address, s.readings = "127.0.0.1:"+strconv.Itoa(8100+i), map[string][]reading{}
		s.command = []string{server, "serve", "--playground", "off", "--addr", s.address}
		if s.base == nil {
			s.command = []string{self, "limit", s.address, s.database}
		}
		if !hasRows[s.database] {
			hasRows[s.database] = true
			if err := s.fill(server, postgres); err != nil {
				return fmt.Errorf("%s: fill: %w", s.name, err)
			}
		}
	}
	return measure(o, systems, lua)
}

// measure loads all systems in turn, so that other work of the machine affects all of
// them.
func measure(o options, systems []*system, lua string) error {
	for _, s := range systems {
		if err := s.start(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer s.stop()
	}
	for round := range 1 + o.rounds {
		for _, s := range systems {
			for _, shape := range s.shapes {
				duration := o.duration
				if round == 0 {
					duration = o.warmUp
				}
				r, err := s.load(o, lua, shape, round, duration)
				if err != nil {
					return err
				}
				if round > 0 {
					s.readings[shape] = append(s.readings[shape], r)
				}
			}
		}
	}
	report(systems)
	return nil
}

func (s *system) start() error {
	s.process = exec.Command(s.command[0], s.command[1:]...)
	s.process.Env = append(append(os.Environ(), "DATABASE_URL="+s.database), s.env...)
	if s.log != "" {
		file, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		s.process.Stderr = file
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	if err := awaitListening(s.address); err != nil {
		s.stop()
		return err
	}
	return nil
}

func awaitListening(address string) error {
	for range 200 {
		if connection, err := net.Dial("tcp", address); err == nil {
			return connection.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("nothing listens on " + address)
}

func (s *system) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait() // reports the signal
}

var (
	totalLine    = regexp.MustCompile(`(\d+) requests in \S+ ([0-9.]+)([KMG]?)B read`)
	requestsLine = regexp.MustCompile(`Requests/sec: +([0-9.]+)`)
	p99Line      = regexp.MustCompile(` 99% +([0-9.]+)(us|ms|s)`)
	errorsLine   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	socketLine   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// load runs the load generator, and returns its results.
func (s *system) load(o options, lua, shape string, seed int, duration time.Duration) (reading, error) {
	command := exec.Command("wrk", "-t1", "-c"+strconv.Itoa(o.connections), "-d"+duration.String(), "--latency", "-s", lua, "http://"+s.address)
	command.Env = append(os.Environ(), "MODE="+shape, "SEED="+strconv.Itoa(seed), "LINKS="+strconv.Itoa(s.links))
	start := cpuTime(s.process.Process.Pid)
	output, err := command.Output()
	if err != nil {
		return reading{}, fmt.Errorf("wrk: %w", err)
	}
	r := reading{cpu: cpuTime(s.process.Process.Pid) - start}
	if match := totalLine.FindSubmatch(output); match != nil {
		r.requests, _ = strconv.Atoi(string(match[1]))
		r.bytes, _ = strconv.ParseFloat(string(match[2]), 64)
		r.bytes *= map[string]float64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[string(match[3])]
	}
	if match := requestsLine.FindSubmatch(output); match != nil {
		r.perSecond, _ = strconv.ParseFloat(string(match[1]), 64)
	}
	if match := p99Line.FindSubmatch(output); match != nil {
		r.p99, _ = time.ParseDuration(string(match[1]) + string(match[2]))
	}
	for _, line := range []*regexp.Regexp{errorsLine, socketLine} {
		for _, count := range line.FindSubmatch(output) {
			n, _ := strconv.Atoi(string(count))
			r.errors += n
		}
	}
	return r, nil
}

// peakMemory returns the peak memory of a process in MiB.
func peakMemory(pid int) int { return kilobytes(pid, "status", "VmHWM") / 1024 }

// kilobytes returns the sum of some lines of a file about a process.
func kilobytes(pid int, file string, names ...string) (sum int) {
	content, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file) // empty if the process has ended
	for _, name := range names {
		_, rest, _ := strings.Cut(string(content), "\n"+name+":")
		n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
		sum += n
	}
	return sum
}

// cpuTime returns the time that the threads of a process have run.
func cpuTime(pid int) (total time.Duration) {
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/schedstat")
	for _, thread := range threads {
		stat, _ := os.ReadFile(thread) // empty if the thread has ended
		nanoseconds, _, _ := strings.Cut(string(stat), " ")
		n, _ := strconv.ParseInt(nanoseconds, 10, 64)
		total += time.Duration(n)
	}
	return total
}

func report(systems []*system) {
	fmt.Printf("%-20s%-10s%9s%9s%8s  %s\n", "system", "shape", "req/s", "p99 ms", "errors", "ratio")
	for _, s := range systems {
		for _, shape := range s.shapes {
			readings, errors := s.readings[shape], 0
			for _, r := range readings {
				errors += r.errors
			}
			perSecond := median(readings, func(_ int, r reading) float64 { return r.perSecond })
			p99 := median(readings, func(_ int, r reading) float64 { return float64(r.p99) / float64(time.Millisecond) })
			fmt.Printf("%-20s%-10s%9.0f%9.1f%8d", s.name, shape, perSecond, p99, errors)
			if base := s.baseReadings(shape); base != nil {
				ratio := median(readings, func(round int, r reading) float64 { return r.perSecond / base[round].perSecond })
				fmt.Printf("  %.2f of %s", ratio, s.base.name)
			}
			fmt.Println()
		}
		fmt.Printf("%-20speak memory %d MiB\n", s.name, peakMemory(s.process.Process.Pid))
	}
}

// baseReadings returns the readings of the base for the work of a shape.
func (s *system) baseReadings(shape string) []reading {
	switch {
	case s.base == nil:
		return nil
	case s.base.base != nil:
		return s.base.readings[shape]
	case strings.HasSuffix(shape, "many"):
		return s.base.readings["many"]
	}
	return s.base.readings["rest"]
}

func median[R any](readings []R, value func(round int, r R) float64) float64 {
	values := make([]float64, len(readings))
	for i, r := range readings {
		values[i] = value(i, r)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}

const token = "0123456789abcdef0123456789abcdef01234567" // as in load.lua
