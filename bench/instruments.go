package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// instruments are the combinations of log, metrics and traces. The first is the base of
// the ratios.
var instruments = []struct {
	name string
	env  []string
}{
	{"off", []string{"LOG_LEVEL=error"}},
	{"off again", []string{"LOG_LEVEL=error"}}, // for the difference of two equal servers
	{"log", []string{"LOG_LEVEL=info"}},
	{"metrics", []string{"LOG_LEVEL=error", "ADMIN_ADDR=127.0.0.1:0"}},
	{"traces of 1 %", []string{"LOG_LEVEL=error", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01"}},
	{"all three", []string{"LOG_LEVEL=info", "ADMIN_ADDR=127.0.0.1:0", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01"}},
}

// measureInstruments prints the cost of the instruments, on each database. The servers
// write their logs to files.
func measureInstruments(o options, server, directory, postgres, lua string) error {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	for i, database := range []string{postgres + "&dbname=instruments", "sqlite:" + filepath.Join(directory, "instruments.db")} {
		var systems []*system
		for k, instrument := range instruments {
			s := &system{
				name: []string{"PostgreSQL", "SQLite"}[i] + ", " + instrument.name, database: database, links: o.links,
				shapes: []string{"rest", "gql"}, address: "127.0.0.1:" + strconv.Itoa(8120+10*i+k), readings: map[string][]reading{},
				env: slices.Clone(instrument.env), log: filepath.Join(directory, fmt.Sprint("log", i, k)),
			}
			if k > 0 {
				s.base = systems[0]
			}
			if k >= 4 {
				s.env = append(s.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL)
			}
			s.command = []string{server, "serve", "--playground", "off", "--addr", s.address}
			systems = append(systems, s)
		}
		if err := systems[0].fill(server, postgres); err != nil {
			return err
		}
		if err := measureShapes(o, systems, lua); err != nil {
			return err
		}
	}
	return nil
}

// measureShapes loads the systems in turn, shape by shape, in short rounds. Each round
// starts with the next system.
func measureShapes(o options, systems []*system, lua string) error {
	for _, s := range systems {
		if err := s.start(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer s.stop()
	}
	for round := range 1 + o.rounds {
		for _, shape := range systems[0].shapes {
			readings := make([]reading, len(systems))
			for i := range systems {
				i = (i + round) % len(systems)
				r, err := systems[i].load(o, lua, shape, round, o.duration)
				if err != nil {
					return err
				}
				readings[i] = r
			}
			for i, s := range systems {
				if round > 0 { // the first one warms up
					s.readings[shape] = append(s.readings[shape], readings[i])
				}
			}
		}
		for _, s := range systems {
			if err := os.Truncate(s.log, 0); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%-28s%-6s%9s%9s%8s%9s%12s%9s\n", "system", "shape", "req/s", "p99 ms", "errors", "ratio", "CPU us/req", "ratio")
	for _, s := range systems {
		for _, shape := range s.shapes {
			s.printReadings(shape)
		}
	}
	return nil
}

// printReadings prints the throughput, and the CPU time of the server for a request. Other
// programs on the machine influence the latter less.
func (s *system) printReadings(shape string) {
	readings, failed := s.readings[shape], 0
	for _, r := range readings {
		failed += r.errors
	}
	perSecond := median(readings, func(_ int, r reading) float64 { return r.perSecond })
	p99 := median(readings, func(_ int, r reading) float64 { return float64(r.p99) / float64(time.Millisecond) })
	fmt.Printf("%-28s%-6s%9.0f%9.1f%8d", s.name, shape, perSecond, p99, failed)
	cpu := median(readings, func(_ int, r reading) float64 { return r.cpuPerRequest() })
	ratio, cpuRatio := 1.0, 1.0
	if s.base != nil {
		base := s.base.readings[shape]
		ratio = median(readings, func(round int, r reading) float64 { return r.perSecond / base[round].perSecond })
		cpuRatio = median(readings, func(round int, r reading) float64 { return r.cpuPerRequest() / base[round].cpuPerRequest() })
	}
	fmt.Printf("%9.3f%12.1f%9.3f\n", ratio, cpu, cpuRatio)
}

// cpuPerRequest returns the CPU time of the server for a request in microseconds.
func (r reading) cpuPerRequest() float64 { return r.perRequest(r.cpu) }

// perRequest divides a time by the number of requests. It returns microseconds.
func (r reading) perRequest(total time.Duration) float64 {
	return float64(total.Nanoseconds()) / 1000 / float64(max(1, r.requests))
}
