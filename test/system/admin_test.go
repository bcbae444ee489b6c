package system

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/test/servertest"
)

// admin returns a server with the admin listener of s.
func (s *testServer) admin() *testServer {
	return &testServer{t: s.t, Ready: servertest.Ready{URL: s.Admin}}
}

// scrape returns the metrics by name.
func (s *testServer) scrape() map[string]*dto.MetricFamily {
	s.t.Helper()
	status, body := s.admin().get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if status != http.StatusOK || err != nil {
		s.t.Fatalf("%d %v\n%s", status, err, body)
	}
	return families
}

func TestAdmin_ServesProfilesAndVersion(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--database-url="+dbtest.EmptySQLite(t), "--admin-addr=127.0.0.1:0")
	admin := server.admin()
	for _, c := range []struct {
		server *testServer
		path   string
		status int
		want   string
	}{
		{admin, "/metrics", 200, "# TYPE portfolio_build_info gauge\n"},
		{admin, "/version", 200, `{"module":"portfolio","version":"`},
		{admin, "/version", 200, `"go":"` + runtime.Version() + `"}`},
		{admin, "/healthz", 200, "ok\n"},
		{admin, "/readyz", 200, "ok\n"},
		{admin, "/debug/pprof/", 200, "full goroutine stack dump"},
		{admin, "/debug/pprof/goroutine?debug=1", 200, "goroutine profile:"},
		{admin, "/debug/pprof/profile?seconds=1", 200, ""},
		{admin, "/", 404, ""},
		{admin, "/graphql", 404, ""},
		{server, "/metrics", 404, "Not Found"},
		{server, "/version", 404, "Not Found"},
		{server, "/debug/pprof/", 404, "Not Found"},
	} {
		if status, body := c.server.get(c.path); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
	}
	if status, _, _ := admin.send("POST", "/metrics", nil, nil); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	for _, name := range []string{"go_goroutines", "go_gc_duration_seconds", "process_open_fds", "process_resident_memory_bytes"} {
		if server.scrape()[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestAdmin_ServesUntilLastRequest checks that metrics can be read until the last request is over.
func TestAdmin_ServesUntilLastRequest(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--database-url="+dbtest.EmptySQLite(t), "--admin-addr=127.0.0.1:0")
	connection := server.dial()
	const body = `{"query":"{viewer{id}}"}`
	if _, err := fmt.Fprintf(connection, "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100") { // the handler reads the body
		t.Fatalf("%s %v", line, err)
	}
	stopped := make(chan int)
	go func() { stopped <- server.stop() }()
	for { // until it no longer listens
		other, err := net.Dial("tcp", connection.RemoteAddr().String())
		if err != nil {
			break
		}
		_ = other.Close()
	}
	server.scrape()
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(reader); err != nil || !strings.Contains(string(rest), `{"data":{"viewer":null}}`) {
		t.Errorf("%v %s", err, rest)
	}
	<-stopped
	if _, err := net.Dial("tcp", strings.TrimPrefix(server.Admin, "http://")); err == nil {
		t.Error("the admin listener is open")
	}
}

// counted are the metrics whose values the requests of loadEverything determine.
var counted = []string{
	"portfolio_request_duration_seconds", "portfolio_operation_cost", "portfolio_image_pixels_total",
	"portfolio_refused_requests_total", "portfolio_failed_logins_total", "portfolio_queue_waiting", "portfolio_queue_refused_total",
}

// formatFamilies returns name, type, help and labels of each of the metrics, and the
// values of those that are counted: the number of observations of a histogram.
func formatFamilies(families map[string]*dto.MetricFamily, include func(name string) bool) string {
	var text strings.Builder
	for _, family := range slices.SortedFunc(maps.Values(families), func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) }) {
		name := family.GetName()
		if !strings.HasPrefix(name, "portfolio_") || !include(name) {
			continue
		}
		fmt.Fprintf(&text, "%s %s: %s\n", name, strings.ToLower(family.GetType().String()), family.GetHelp())
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			line := "  " + strings.Join(labels, " ")
			if slices.Contains(counted, name) {
				line += fmt.Sprint(" ", metric.GetCounter().GetValue()+metric.GetGauge().GetValue()+float64(metric.GetHistogram().GetSampleCount()))
			}
			if line != "  " {
				text.WriteString(line + "\n")
			}
		}
	}
	return regexp.MustCompile(`(commit|version|go)="[^"]*"`).ReplaceAllString(text.String(), `$1=""`)
}

// startLoaded starts a server with metrics and sends requests of all kinds.
func startLoaded(t *testing.T, dsn string, args ...string) (server *testServer, key string) {
	t.Helper()
	documents := filepath.Join(t.TempDir(), "documents.json")
	if err := os.WriteFile(documents, []byte(`{"one":"query Persisted { viewer { id } }"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	server, key = startRecorded(t, dsn, append([]string{
		"--admin-addr=127.0.0.1:0", "--persisted-documents=" + documents, "--failed-logins=2", "--rate-limit=0.001", "--rate-burst=1000000",
	}, args...)...)
	server.sendAll(key)
	return server, key
}

// sendAll sends requests of all kinds.
func (s *testServer) sendAll(key string) {
	s.t.Helper()
	token := "Authorization: Token " + key
	for _, c := range []struct {
		path, token string
		times       int
	}{
		{"/api/portfolios/1/links/4", token, 3},
		{"/api/portfolios/links/987654", token, 1},
		{"/api/portfolios/1/links/4", "Authorization: Token " + graphtest.Staff, 1},
		{"/api/portfolios/1/links/4", "Authorization: Token invalid-1", 2},
		{"/api/portfolios/1/links/4", "Authorization: Token invalid-2", 1},
		{"/api/portfolios/1/links/4", "Authorization: Token invalid-3", 1}, // one too many
		{"/graphql?documentId=one", "", 2},
		{"/graphql?query=query+Anonymous{__typename}", "", 1},
		{"/graphql?query={__typename}", "", 2},
		{"/media/none.png", "", 1},
		{"/none", "", 1},
		{"/healthz", "", 1},
		{"/readyz", "", 1},
	} {
		for range c.times {
			s.get(c.path, cmp.Or(c.token, "Accept: */*"))
		}
	}
	for query, times := range map[string]int{
		`query Link { portfolioLink(id: 4) { name imageData { url } } }`:                         3,
		`query Lists { portfolioLinks(filter: {search: "demo"}) { totalCount nodes { name } } }`: 1,
		`query Portfolios { portfolios { nodes { links { nodes { portfolio { name } } } } } }`:   1,
		`query Failed { none }`:                                                                    1,
		`query Denied($a: ID!) { portfolio(id: $a) { id } }`:                                       1,
		`mutation Create { createPortfolio(input: {name: "x"}) { portfolio { id } } }`:             1,
		`mutation Update { updatePortfolio(input: {id: 987654, name: "x"}) { portfolio { id } } }`: 1,
		`mutation { updatePortfolio(input: {id: 1, name: "x"}) { portfolio { id } } }`:             1,
	} {
		for range times {
			s.post(key, query, nil)
		}
	}
	if status, body := s.upload(key, photograph(s.t, 300, 200)); status != http.StatusOK || strings.Contains(body, "errors") {
		s.t.Errorf("%d %s", status, body)
	}
	s.upload(key, []byte("not an image"))
}

// TestMetrics checks the name, type, help and labels of each metric of the server.
func TestMetrics(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, _ := startLoaded(t, dsn)
		families := server.scrape()
		ofDatabase := func(name string) bool {
			return strings.HasPrefix(name, "portfolio_database_") || strings.HasPrefix(name, "portfolio_statement_")
		}
		golden.CheckText(t, "both", formatFamilies(families, func(name string) bool { return !ofDatabase(name) }))
		scheme, _, _ := strings.Cut(dsn, ":")
		golden.CheckText(t, scheme, formatFamilies(families, ofDatabase))
	})
}

// TestMetrics_CountRefusedRequests checks that refused requests are counted, and by which API.
func TestMetrics_CountRefusedRequests(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--database-url="+dbtest.EmptySQLite(t), "--admin-addr=127.0.0.1:0", "--rate-limit=0.001", "--rate-burst=1")
	for _, path := range []string{"/graphql?query={__typename}", "/graphql?query={__typename}", "/api/portfolios/1/links/4", "/none"} {
		server.get(path)
	}
	got := formatFamilies(server.scrape(), func(string) bool { return true })
	for _, want := range []string{
		`  api="graphql" operation="" outcome="ok" 1`,
		`  api="graphql" operation="" outcome="RATE_LIMITED" 1`,
		`  api="rest" operation="" outcome="RATE_LIMITED" 1`,
		`  api="other" operation="" outcome="RATE_LIMITED" 1`,
		`  reason="rate_limit" 3`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

// TestMetrics_LimitOperationNames checks that clients choose at most 100 names of operations.
func TestMetrics_LimitOperationNames(t *testing.T) {
	t.Parallel()
	server, key := startRecorded(t, dbtest.LoadedSQLite(t, recorded), "--admin-addr=127.0.0.1:0")
	for i := range 103 {
		server.post(key, fmt.Sprintf("query Name%d { __typename }", i), nil)
	}
	server.post(key, "query "+strings.Repeat("n", 65)+" { __typename }", nil)
	server.post(key, "query Name0 { __typename }", nil)
	series := map[string]uint64{}
	for _, metric := range server.scrape()["portfolio_request_duration_seconds"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "operation" {
				series[label.GetValue()] = metric.GetHistogram().GetSampleCount()
			}
		}
	}
	if len(series) != 101 || series["Name0"] != 2 || series["Name99"] != 1 || series["other"] != 4 {
		t.Errorf("%d names: %v", len(series), series)
	}
}

// TestMetrics_CanBeScrapedUnderLoad scrapes while requests are served.
func TestMetrics_CanBeScrapedUnderLoad(t *testing.T) {
	t.Parallel()
	server, key := startRecorded(t, dbtest.LoadedSQLite(t, recorded), "--admin-addr=127.0.0.1:0")
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			for n := range 50 {
				if i == 0 {
					server.scrape()
				} else {
					server.post(key, fmt.Sprintf("query N%d { portfolioLink(id: 4) { name } }", n), nil)
				}
			}
		})
	}
	clients.Wait()
	total := uint64(0)
	for _, metric := range server.scrape()["portfolio_request_duration_seconds"].GetMetric() {
		total += metric.GetHistogram().GetSampleCount()
	}
	if total != 150 {
		t.Errorf("%d requests were counted", total)
	}
}
