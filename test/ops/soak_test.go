//go:build ops

package ops

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
)

// soakTime returns how long TestSoak runs: the environment variable SOAK.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	if testing.Short() {
		return 15 * time.Second
	}
	duration, err := time.ParseDuration(cmp.Or(os.Getenv("SOAK"), "20m"))
	if err != nil {
		t.Fatalf("SOAK: %v", err)
	}
	return duration
}

// A soak takes samples, an equal number in each quarter. Faults last for one sample,
// the same ones in each quarter.
const (
	samples    = 80
	faultEvery = 10
)

// grown reports whether a server uses more of a resource in the last quarter of the
// time than in the second, by the medians: a quarter more, and five more.
func grown(second, last float64) bool { return last > 1.25*second+5 }

// resources are what a server must not use more and more of.
var resources = []struct {
	name    string
	metrics []string
	unit    float64
}{
	{"memory (MiB)", []string{"process_resident_memory_bytes"}, 1 << 20},
	{"goroutines", []string{"go_goroutines"}, 1},
	{"descriptors", []string{"process_open_fds"}, 1},
	{"database connections", []string{"portfolio_database_connections_in_use", "portfolio_database_connections_idle"}, 1},
}

// TestSoak runs two servers, on PostgreSQL and on SQLite, under load of every kind and
// with faults in between. What they use must not grow.
func TestSoak(t *testing.T) {
	duration := soakTime(t)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		cluster := dbtest.NewCluster(t)
		soak(t, duration, cluster.URL(), func() (undo func()) {
			cluster.Stop()
			return cluster.Start
		})
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		soak(t, duration, dbtest.SQLite(t))
	})
}

// soak runs a server and its load, with faults besides a locked table.
func soak(t *testing.T, duration time.Duration, dsn string, faults ...func() (undo func())) {
	faults = append(faults, func() func() { return dbtest.Lock(t, dsn, "portfolio_links") })
	key, media := prepare(t, dsn), newMedia(t)
	s := newServer(t, dsn, "MEDIA_STORE=file:"+media, "REQUEST_TIMEOUT=1s", "HEADER_TIMEOUT=1s", "BODY_TIMEOUT=2s", "STALL_TIMEOUT=1s")
	l := startLoad(t, clients(key, s), 2, 20*time.Millisecond, errUnavailable)
	l.startVisits()
	l.startSlowClients(s.address)
	l.awaitWrites(20)
	var values [samples][]float64
	for i := range values {
		undo := func() {}
		if i%faultEvery == faultEvery/2 {
			undo = faults[i/faultEvery%len(faults)]()
		}
		time.Sleep(duration / samples)
		values[i] = s.sample()
		undo()
	}
	l.awaitWrites(20)
	l.stop()
	s.checkRunning()
	l.ledger.check(t, dsn)
	checkFiles(t, dsn, media)
	requests, failed := l.counts()
	t.Logf("%s: %d requests, %d of them UNAVAILABLE; %d acknowledged writes", duration, requests, failed, l.ledger.writes())
	checkFlat(t, values[:])
}

// sample returns what the server uses of each resource.
func (s *server) sample() (values []float64) {
	sum := s.metrics()
	for _, r := range resources {
		value := 0.0
		for _, metric := range r.metrics {
			value += sum(metric)
		}
		values = append(values, value/r.unit)
	}
	return values
}

// checkFlat checks that no resource is used more and more, and prints the figures.
func checkFlat(t *testing.T, values [][]float64) {
	t.Helper()
	t.Logf("%-20s %14s %14s %14s", "", "second quarter", "last quarter", "maximum")
	for r, resource := range resources {
		var all []float64
		for _, sample := range values {
			all = append(all, sample[r])
		}
		second, last := median(all[samples/4:samples/2]), median(all[samples*3/4:])
		t.Logf("%-20s %14.1f %14.1f %14.1f", resource.name, second, last, slices.Max(all))
		if second == 0 || grown(second, last) {
			t.Errorf("%s: %.1f, then %.1f", resource.name, second, last)
		}
	}
}

func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }

// visit is a request of a kind of its own.
type visit struct {
	name, method, path, body string
	status                   int
}

func query(text string) string {
	body, _ := json.Marshal(map[string]string{"query": text})
	return string(body)
}

var visits = []visit{
	{"neighbours", "POST", "/graphql", query(`{ portfolioLinks(portfolioId: 2, last: 20) { pageInfo { hasPreviousPage } nodes { name previous { id } next { id } portfolio { name } } } }`), 200},
	{"order", "POST", "/graphql", query(`{ portfolioLinks(orderBy: [{field: NAME, direction: DESC}], first: 50) { nodes { name updatedAt } } }`), 200},
	{"search", "POST", "/graphql", query(`{ portfolioLinks(filter: {search: "fixed 1"}) { totalCount nodes { id } } }`), 200},
	{"images", "POST", "/graphql", query(`{ images(last: 10) { nodes { id srcset thumbnails { size } } } }`), 200},
	{"tokens", "POST", "/graphql", query(`{ viewer { username permissions } users { nodes { username } } tokens { nodes { label } } }`), 200},
	{"introspection", "POST", "/graphql", query(`{ __schema { types { name fields { name } } } }`), 200},
	{"query by GET", "GET", "/graphql?query={viewer{id}}", "", 200},
	{"playground", "GET", "/", "", 200},
	{"schema", "GET", "/graphql/schema.graphql", "", 200},
	{"file", "GET", "/media/one.png", "", 200},
	{"ready", "GET", "/readyz", "", 200},
	{"REST", "GET", "/api/portfolios/1/links/7", "", 200},
	{"unknown file", "GET", "/media/none.png", "", 404},
	{"unknown link", "GET", "/api/portfolios/1/links/987654", "", 404},
	{"method", "DELETE", "/api/portfolios/1/links/7", "", 405},
	{"no JSON", "POST", "/graphql", `{"query":`, 400},
	{"syntax error", "POST", "/graphql", query(`{ viewer {`), 400},
	{"unknown field", "POST", "/graphql", query(`{ viewer { nothing } }`), 400},
	{"deep document", "POST", "/graphql", query(strings.Repeat("{a", 100)), 400},
	{"too expensive", "POST", "/graphql", query(`{ portfolios(first: 100) { nodes { links(first: 100) { nodes { previous { id } next { id } } } } } }`), 400},
	{"oversize body", "POST", "/graphql", query(strings.Repeat("a", 2<<20)), 413},
}

// startVisits starts a client that makes all visits in turn, uploads and deletes an
// image, and disconnects without waiting for a response.
func (l *load) startVisits() {
	picture := photograph(l.t)
	l.running.Go(func() {
		for !l.stopped.Load() {
			for _, v := range visits {
				l.do(0, false, v.name, v.send)
			}
			l.do(0, true, "upload and deletion", func(c *client) error {
				id, err := c.upload(picture)
				if err != nil {
					return err
				}
				return c.graphql(`mutation($id: ID!) { deleteImage(input: {id: $id}) { deletedNodeId } }`, map[string]any{"id": id}, new(any))
			})
			abort(strings.TrimPrefix(l.clients[0].base, "http://"))
		}
	})
}

// send makes the visit, and again with If-None-Match if the response has an ETag.
func (v visit) send(c *client) error {
	tag, err := v.sendWith(c, "", v.status)
	if err == nil && tag != "" {
		_, err = v.sendWith(c, tag, http.StatusNotModified)
	}
	return err
}

func (v visit) sendWith(c *client, ifNoneMatch string, want int) (tag string, err error) {
	request, err := http.NewRequest(v.method, c.base+v.path, strings.NewReader(v.body))
	if err != nil {
		return "", err
	}
	request.Header = http.Header{"Authorization": {"Token " + c.key}, "Accept": {"application/graphql-response+json, */*"}, "Content-Type": {"application/json"}}
	if ifNoneMatch != "" {
		request.Header.Set("If-None-Match", ifNoneMatch)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	unavailable := string(body) == restUnavailable || v.path == "/readyz" || bytes.Contains(body, []byte(`"code":"UNAVAILABLE"`))
	if response.StatusCode == http.StatusServiceUnavailable && unavailable {
		return "", errUnavailable
	}
	if response.StatusCode != want {
		return "", fmt.Errorf("%d %.300s", response.StatusCode, body)
	}
	return response.Header.Get("ETag"), nil
}

const unfinished = "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"

// abort sends a part of a request and closes the connection, and then a whole request
// without waiting for its response.
func abort(address string) {
	for _, text := range []string{unfinished, "GET /graphql?query={portfolioLinks{totalCount}} HTTP/1.1\r\nHost: h\r\n\r\n"} {
		if connection, err := net.Dial("tcp", address); err == nil {
			_, _ = io.WriteString(connection, text)
			_ = connection.Close()
		}
	}
}

// startSlowClients starts clients that do not finish a header, or a body. The server
// must close their connections.
func (l *load) startSlowClients(address string) {
	for _, text := range []string{"GET / HTTP/1.1\r\nHost:", unfinished} {
		l.running.Go(func() {
			for !l.stopped.Load() {
				connection, err := net.Dial("tcp", address)
				if err != nil {
					l.fail("slow client: %v", err)
					return
				}
				_, _ = io.WriteString(connection, text)
				_ = connection.SetReadDeadline(time.Now().Add(slowest))
				if _, err := io.Copy(io.Discard, connection); errors.Is(err, os.ErrDeadlineExceeded) {
					l.fail("the connection of a slow client is still open after %s", slowest)
				}
				_ = connection.Close()
			}
		})
	}
}
