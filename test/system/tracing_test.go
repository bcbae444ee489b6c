package system

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// receiver is a collector that keeps spans.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	resource string
	spans    []*trace.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var sent collector.ExportTraceServiceRequest
		if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("%s: %v", request.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, resource := range sent.GetResourceSpans() {
			r.resource = formatAttributes(resource.GetResource().GetAttributes())
			for _, scope := range resource.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(r.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	return r
}

func formatAttributes(attributes []*common.KeyValue) string {
	var texts []string
	for _, attribute := range attributes {
		texts = append(texts, attribute.GetKey()+"="+strings.Trim(strings.SplitN(attribute.GetValue().String(), ":", 2)[1], `"`))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// tree returns the spans below a parent, in the order in which they began. Whether
// the viewer was cached decides if there is a statement for it, so there is none.
func (r *receiver) tree(traceID, parent, indent string) string {
	var text strings.Builder
	children := slices.DeleteFunc(slices.Clone(r.spans), func(span *trace.Span) bool {
		return hex.EncodeToString(span.GetTraceId()) != traceID || hex.EncodeToString(span.GetParentSpanId()) != parent || span.GetName() == "SELECT users by token"
	})
	slices.SortStableFunc(children, func(a, b *trace.Span) int { return cmp.Compare(a.GetStartTimeUnixNano(), b.GetStartTimeUnixNano()) })
	for _, span := range children {
		kind := strings.ToLower(strings.TrimPrefix(span.GetKind().String(), "SPAN_KIND_"))
		fmt.Fprintf(&text, "%s%s (%s", indent, span.GetName(), kind)
		if span.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR {
			text.WriteString(", error")
		}
		text.WriteString(") " + formatAttributes(span.GetAttributes()) + "\n")
		text.WriteString(r.tree(traceID, hex.EncodeToString(span.GetSpanId()), indent+"  "))
	}
	return text.String()
}

const sentSpan = "00f067aa0ba902b7"

// TestTraces_HaveSpans checks the tree of spans of requests of all kinds, which continue the
// trace of their client.
func TestTraces_HaveSpans(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		received := newReceiver(t)
		server, key := startRecorded(t, dsn)
		system := "sqlite"
		if strings.HasPrefix(dsn, "postgres") {
			system = "postgresql"
		}
		requests := []struct{ name, method, target, body string }{
			{"rest", "GET", "/api/portfolios/1/links/4?secret", ""},
			{"query", "POST", "/graphql", `{"query":"query Lists($s: String) { portfolioLinks(first: 1, filter: {search: $s}) { totalCount nodes { name portfolio { name } } } }","variables":{"s":"پروژه"}}`},
			{"mutation", "POST", "/graphql", `{"query":"mutation { updatePortfolio(input: {id: 1, name: \"secret\"}) { portfolio { name } } }"}`},
			{"refused", "POST", "/graphql", `{"query":"query Secret($s: ID!) { portfolio(id: $s) { name } }","variables":{"s":"secret"}}`},
			{"missing", "POST", "/graphql", `{"query":"mutation Missing { deletePortfolio(input: {id: 987654}) { deletedNodeId } }"}`},
			{"media", "GET", "/media/none.png", ""},
			{"other", "SECRET", "/none", ""},
		}
		for i, c := range requests {
			header := http.Header{"Authorization": {"Token " + key}, "Content-Type": {"application/json"}, "X-Request-Id": {"sent"}}
			header.Set("Traceparent", fmt.Sprintf("00-%032x-%s-01", i+1, sentSpan))
			server.send(c.method, c.target, header, strings.NewReader(c.body))
		}
		if code := server.stop(); code != 0 {
			t.Errorf("exit code %d: %s", code, server.logs)
		}
		for i, c := range requests {
			golden.CheckText(t, c.name, strings.ReplaceAll(received.tree(fmt.Sprintf("%032x", i+1), sentSpan, ""), "="+system, "=SYSTEM"))
		}
		if !slices.ContainsFunc(received.spans, func(span *trace.Span) bool { return span.GetName() == "SELECT users by token" }) {
			t.Error("the statement for the viewer is in no trace")
		}
		if want := `"trace_id":"` + fmt.Sprintf("%032x", 1) + `"`; !strings.Contains(server.logs.String(), want) {
			t.Errorf("%s is not logged", want)
		}
		if !strings.Contains(received.resource, "service.name=portfolio ") {
			t.Errorf("resource %s", received.resource)
		}
	})
}

// TestTraces_ShowUploadSteps checks the spans of the steps of an upload.
func TestTraces_ShowUploadSteps(t *testing.T) {
	received := newReceiver(t)
	server, key := startRecorded(t, dbtest.LoadedSQLite(t, recorded))
	if status, body := server.upload(key, photograph(t, 30, 20)); status != http.StatusOK || strings.Contains(body, "errors") {
		t.Errorf("%d %s", status, body)
	}
	server.stop()
	var got []string
	for _, span := range received.spans {
		if span.GetName() != "SELECT users by token" {
			got = append(got, span.GetName())
		}
	}
	if want := "image read, image wait, image render, image store, BEGIN"; !strings.HasPrefix(strings.Join(got, ", "), want) {
		t.Errorf("spans %q, want %s", got, want)
	}
	if end := got[len(got)-4:]; !slices.Equal(end, []string{"COMMIT", "image insert", "mutation", "POST /graphql"}) {
		t.Errorf("spans %q", got)
	}
}

// TestTraces_AreSampled checks which requests the variables and traceparent select.
func TestTraces_AreSampled(t *testing.T) {
	dsn := dbtest.EmptySQLite(t)
	const sampled, unsampled = "00-00000000000000000000000000000001-00f067aa0ba902b7-01", "00-00000000000000000000000000000001-00f067aa0ba902b7-00"
	for _, c := range []struct {
		variables   string
		traceparent string
		spans       int
	}{
		{"", "", 1},
		{"", sampled, 1},
		{"", unsampled, 0},
		{"", "nonsense", 1},
		{"OTEL_TRACES_SAMPLER=always_on", unsampled, 1},
		{"OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=0", sampled, 0},
		{"OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0", "", 0},
		{"OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0", sampled, 1},
		{"OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0", "nonsense", 0},
		{"OTEL_TRACES_SAMPLER=traceidratio", "", 1},
		{"OTEL_TRACES_SAMPLER=always_off", "", 0},
		{"OTEL_TRACES_SAMPLER=always_off", sampled, 0},
		{"OTEL_SDK_DISABLED=true", sampled, 0},
		{"OTEL_TRACES_EXPORTER=none", sampled, 0},
		{"OTEL_TRACES_EXPORTER=otlp", sampled, 1},
	} {
		t.Run(c.variables+" "+c.traceparent, func(t *testing.T) {
			received := newReceiver(t)
			for variable := range strings.FieldsSeq(c.variables) {
				name, value, _ := strings.Cut(variable, "=")
				t.Setenv(name, value)
			}
			server := startServer(t, "--database-url="+dsn)
			header := http.Header{}
			if c.traceparent != "" {
				header.Set("Traceparent", c.traceparent)
			}
			server.send("GET", "/none", header, nil)
			server.stop()
			if len(received.spans) != c.spans {
				t.Errorf("%d spans, want %d", len(received.spans), c.spans)
			}
		})
	}
}

// TestTraces_NeedNoCollector checks that requests are served, and that the server stops, if no
// collector listens, if it refuses spans, and if it does not respond.
func TestTraces_NeedNoCollector(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptySQLite(t)
	closed := httptest.NewServer(nil)
	closed.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "full", http.StatusForbidden) }))
	defer refusing.Close()
	leave := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
	defer hanging.Close()
	defer close(leave)
	for name, url := range map[string]string{"closed": closed.URL, "refusing": refusing.URL, "hanging": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			process := startProcess(t, dsn, "file:"+t.TempDir(), t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT="+url)
			server := &testServer{t: t, Ready: process.Ready}
			if status, body := server.get("/graphql?query={viewer{id}}"); status != http.StatusOK {
				t.Errorf("%d %s", status, body)
			}
			process.terminate(t)
			if err := process.Wait(); err != nil || !strings.Contains(process.logs.String(), `"msg":"spans were not exported"`) {
				t.Errorf("%v: %s", err, process.logs)
			}
		})
	}
}

// TestTraces_RefuseInvalidSettings checks that variables which the SDK would ignore end the
// server.
func TestTraces_RefuseInvalidSettings(t *testing.T) {
	dsn := dbtest.EmptySQLite(t)
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "must be an http or https URL"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://127.0.0.1:4317", "must be an http or https URL"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf or http/json"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "must be http/protobuf or http/json"},
		{"OTEL_TRACES_EXPORTER", "zipkin", "must be otlp or none"},
		{"OTEL_TRACES_SAMPLER", "sometimes", "must be always_on, always_off or traceidratio, or one of them after parentbased_"},
		{"OTEL_TRACES_SAMPLER_ARG", "1%", "must be a number from 0 to 1"},
		{"OTEL_TRACES_SAMPLER_ARG", "2", "must be a number from 0 to 1"},
		{"OTEL_TRACES_SAMPLER_ARG", "NaN", "must be a number from 0 to 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
			t.Setenv("OTEL_TRACES_SAMPLER", "traceidratio")
			t.Setenv(c.name, c.value)
			checkFails(t, c.name+": "+c.want, "serve", "--addr=127.0.0.1:0", "--database-url="+dsn)
		})
	}
}
