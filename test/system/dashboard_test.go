package system

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"portfolio/db/dbtest"
)

// dashboardQuery is a query of the dashboard and the legend of its series.
type dashboardQuery struct{ panel, expr, legend string }

// readDashboard returns the queries of the dashboard, with values for its
// variables.
func readDashboard(t *testing.T) (queries []dashboardQuery) {
	t.Helper()
	text, err := os.ReadFile(projectFile("docs/grafana/portfolio.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := []string{"$__rate_interval", "5s", "$instance", ".*"}
	for _, variable := range dashboard.Templating.List {
		if found := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(variable.Definition); found != nil {
			queries = append(queries, dashboardQuery{"variable " + variable.Name, "count by (" + found[2] + ") (" + found[1] + ")", "{{" + found[2] + "}}"})
		}
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := strings.NewReplacer(variables...).Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: unknown variable in %s", panel.Title, expr)
			}
			queries = append(queries, dashboardQuery{panel.Title, expr, target.LegendFormat})
		}
	}
	if len(queries) < 30 {
		t.Errorf("%d queries", len(queries))
	}
	return queries
}

var (
	selected = regexp.MustCompile(`\b((?:portfolio|go|process)_\w+)\{([^}]*)\}`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	legend   = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

// TestDashboard_NamesExistingMetrics checks that the metrics and labels in the queries exist, on
// each database.
func TestDashboard_NamesExistingMetrics(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, _ := startLoaded(t, dsn)
		labels := map[string][]string{} // by name of a metric
		for name, family := range server.scrape() {
			names := labelsOf(family)
			labels[name], labels[name+"_count"], labels[name+"_sum"] = names, names, names
			labels[name+"_bucket"] = append(names, "le")
		}
		for _, query := range readDashboard(t) {
			for _, metric := range selected.FindAllStringSubmatch(query.expr, -1) {
				if labels[metric[1]] == nil {
					t.Errorf("%s: the metric %s does not exist", query.panel, metric[1])
				}
				used := matcher.FindAllStringSubmatch(metric[2], -1)
				for _, list := range grouping.FindAllStringSubmatch(query.expr, -1) {
					used = append(used, regexp.MustCompile(`(\w+)`).FindAllStringSubmatch(list[1], -1)...)
				}
				for _, label := range used {
					if !slices.Contains(labels[metric[1]], label[1]) {
						t.Errorf("%s: the metric %s has no label %s", query.panel, metric[1], label[1])
					}
				}
			}
		}
	})
}

// labelsOf returns the labels of a metric, and those that Prometheus adds.
func labelsOf(family *dto.MetricFamily) []string {
	names := []string{"instance", "job"}
	for _, label := range family.GetMetric()[0].GetLabel() {
		names = append(names, label.GetName())
	}
	if family.GetType() == dto.MetricType_SUMMARY {
		names = append(names, "quantile")
	}
	return names
}

// TestDashboard_ShowsMetrics runs each query of the dashboard in Prometheus, which scrapes a
// server on each database while requests are sent.
func TestDashboard_ShowsMetrics(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes long")
	}
	if _, err := exec.LookPath("prometheus"); err != nil && os.Getenv("CI") == "" {
		t.Skip("the dashboard is not tested: install prometheus (Debian: apt-get install prometheus)")
	}
	var servers []*testServer
	var targets []string
	var key string
	for _, dsn := range []string{dbtest.LoadedSQLite(t, recorded), dbtest.LoadedPostgres(t, recorded)} {
		var server *testServer
		server, key = startLoaded(t, dsn)
		servers, targets = append(servers, server), append(targets, strings.TrimPrefix(server.Admin, "http://"))
	}
	prometheus := startPrometheus(t, targets)
	missing := readDashboard(t)
	var problem string
	for deadline := time.Now().Add(time.Minute); len(missing) > 0; { // series need several scrapes
		if time.Now().After(deadline) {
			t.Fatalf("%d queries have no result yet: %+v: %s", len(missing), missing[0], problem)
		}
		for _, server := range servers {
			server.sendAll(key)
		}
		missing = slices.DeleteFunc(missing, func(query dashboardQuery) bool {
			var ok bool
			problem, ok = prometheus.check(t, query)
			return ok
		})
	}
}

type prometheusServer struct{ url string }

func startPrometheus(t *testing.T, targets []string) prometheusServer {
	t.Helper()
	directory := t.TempDir()
	config, err := json.Marshal(map[string]any{ // JSON is YAML
		"global":         map[string]any{"scrape_interval": "500ms", "scrape_timeout": "500ms"},
		"scrape_configs": []any{map[string]any{"job_name": "portfolio", "static_configs": []any{map[string]any{"targets": targets}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "prometheus.yml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("prometheus", "--config.file="+path, "--storage.tsdb.path="+filepath.Join(directory, "data"), "--web.listen-address=127.0.0.1:0")
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // killed
	})
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if found := regexp.MustCompile(`msg="Listening on" address=(\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return prometheusServer{"http://" + found[1]}
		}
	}
	t.Fatal("Prometheus did not start")
	return prometheusServer{}
}

// check runs a query. It reports whether there are series, all labels of the legend
// in each, and a number in one; or else what is missing. An invalid query fails the
// test.
func (p prometheusServer) check(t *testing.T, query dashboardQuery) (problem string, ok bool) {
	t.Helper()
	response, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(query.expr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var body struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if body.Status != "success" && response.StatusCode != http.StatusServiceUnavailable { // it is starting
		t.Fatalf("%s: %s: %s", query.panel, query.expr, body.Error)
	}
	numbers := 0
	for _, series := range body.Data.Result {
		for _, label := range legend.FindAllStringSubmatch(query.legend, -1) {
			if _, ok := series.Metric[label[1]]; !ok && label[1] != "operation" && label[1] != "commit" { // which may be empty
				return fmt.Sprintf("no label %s in %v", label[1], slices.Sorted(maps.Keys(series.Metric))), false
			}
		}
		if series.Value[1] != "NaN" {
			numbers++
		}
	}
	return fmt.Sprintf("%d series", len(body.Data.Result)), numbers > 0
}
