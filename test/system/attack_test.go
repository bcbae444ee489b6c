package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// fan returns a chain of fragments, each of which spreads the next one often.
func fan(often, length int) string {
	var b strings.Builder
	b.WriteString("{...F0}")
	for i := range length {
		fmt.Fprintf(&b, " fragment F%d on Query{%s}", i, strings.Repeat(fmt.Sprintf("...F%d ", i+1), often))
	}
	return b.String() + fmt.Sprintf(" fragment F%d on Query{__typename}", length)
}

// TestDocuments_OfAttackersTakeLittle checks that no document makes the server allocate much or
// send a long response.
func TestDocuments_OfAttackersTakeLittle(t *testing.T) {
	repeat := strings.Repeat
	cases := []struct{ name, document, want string }{
		{"fragments that double 60 times", fan(2, 60), "more than 20 fields of one name in one object"},
		{"fragments that fan out 7 times 10", fan(10, 7), "more than 20 fields of one name in one object"},
		{"one fragment in 20 places", "{" + repeatNumbered(20, "a#:viewer{...F} ") + "} fragment F on User{" + repeatNumbered(60, "b# ") + "}", "more than 1000 fields"},
		{"a circle of fragments", "{...F0} fragment F0 on Query{...F1} fragment F1 on Query{...F0}", "spreads itself"},
		{"a chain of 240 fragments", fan(1, 240) + "{a}", "anonymous operation"},
		{"a circle of 240 fragments", strings.TrimSuffix(fan(1, 240), "fragment F240 on Query{__typename}") + "fragment F240 on Query{...F0}", "spreads itself"},
		{"a circle through a field that goes deeper", "{...F} fragment F on Query{__schema{types{...T}}} fragment T on __Type{ofType{...T}}", "more than 20 levels"},
		{"a circle through a field", "{...F} fragment F on Query{viewer{...V}} fragment V on User{id ...V}", "spreads itself"},
		{"10000 times one field", "{" + repeat("__typename ", 10_000) + "}", "more than"},
		{"900 times one field", "{" + repeat("__typename ", 900) + "}", "more than 20 fields of one name"},
		{"10000 unknown fields", "{" + repeatNumbered(10_000, "a# ") + "}", "token limit"},
		{"900 unknown fields", "{viewer{" + repeatNumbered(900, "a# ") + "}}", "Cannot query field"},
		{"10000 unknown directives", "{__typename " + repeat("@a ", 10_000) + "}", "token limit"},
		{"900 unknown directives", "{__typename " + repeat("@a ", 900) + "}", "more than 50 directives"},
		{"4000 inline fragments", "{" + repeat("...{viewer{permissions}} ", 4000) + "}", "more than"},
		{"500 introspections", "{" + repeatNumbered(500, "a#:__schema{types{fields{name}}} ") + "}", "token limit"},
		{"3 introspections", "{" + repeatNumbered(3, "a#:__schema{types{fields{name}}} ") + "}", "more than 2 introspections"},
		{"aliases in an introspection", "{__schema{types{fields{" + repeatNumbered(90, "a#:name ") + "}}}}", "an alias in an introspection"},
		{"an introspection in a circle", "{__schema{types{fields{type{fields{type{fields{name}}}}}}}}", "Maximum introspection depth exceeded"},
		{"1000 aliases", "{" + repeatNumbered(1000, "a#:portfolioLink(id:#){id} ") + "}", "token limit"},
		{"30 root fields", "{" + repeatNumbered(30, "a#:viewer{id} ") + "}", "more than 20 root fields"},
		{"150 aliases", "{viewer{" + repeatNumbered(150, "a#:id ") + "}}", "more than 100 aliases"},
		{"a long alias", "{" + repeat("a", 60_000) + ":__typename}", "an alias of more than 100 bytes"},
		{"a long name", "{" + repeat("a", 60_000) + "}", "Cannot query field"},
		{"a longer name", "{" + repeat("a", 100_000) + "}", "more than 65536 bytes"},
		{"the longest", "{" + repeat("a", 1_000_000) + "}", "may have at most 131072 bytes"},
		{"25 levels", repeat("{a", 25) + repeat("}", 25), "more than 20 levels of fields"},
		{"900 levels", repeat("{a", 900) + repeat("}", 900), "token limit"},
		{"30000 levels", repeat("{a", 30_000), "nesting depth"},
		{"30000 lists", "{a(b:" + repeat("[", 30_000), "nesting depth"},
		{"600 arguments", "{viewer(" + repeatNumbered(600, "a#:1 ") + "){id}}", "Unknown argument"},
		{"400 variables", "query(" + repeatNumbered(400, "$a#:Nothing ") + "){viewer{id}}", "Unknown type"},
		{"600 fields of a scalar", "{portfolioLink(id:{" + repeatNumbered(600, "a#:1 ") + "}){id}}", "Expected value of type"},
		{"600 input fields", "{portfolioLinks(filter:{" + repeatNumbered(600, "a#:1 ") + "}){totalCount}}", "is not defined by type"},
		{"300 operations", repeatNumbered(300, "query Q#{__typename} "), "operationName is required"},
		{"64 KB of comments", repeat("#\n", 32_000), "token limit"},
		{"60 KB of text", `{portfolioLink(id:"` + repeat("x", 60_000) + `"){id}}`, "id must be a 64-bit whole number"},
	}
	server := startServer(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"query": c.document})
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, answer := server.send(http.MethodPost, "/graphql", http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
			runtime.ReadMemStats(&after)
			allocated := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes in, %d bytes out, %d KB allocated: %.100s", len(body), len(answer), allocated>>10, answer)
			if !strings.Contains(answer, c.want) || !strings.HasPrefix(answer, `{"errors":[`) || len(answer) > 10_000 {
				t.Errorf("answered %.1000s", answer)
			}
			if allocated > 8<<20+5*uint64(len(body)) { // the client's own share is in it
				t.Errorf("allocated %d bytes", allocated)
			}
		})
	}
}

// TestRequests_OfAttackersAreRefused checks that malformed requests get a short error that does
// not repeat them.
func TestRequests_OfAttackersAreRefused(t *testing.T) {
	t.Parallel()
	const marker = "zzzzzzzzzz"
	garbage := strings.Repeat(marker, 100_000)
	post := func(contentType string, more ...string) http.Header {
		header := http.Header{"Content-Type": {contentType}}
		for i := 0; i < len(more); i += 2 {
			header.Set(more[i], more[i+1])
		}
		return header
	}
	json := post("application/json")
	cases := []struct {
		name, method, target string
		header               http.Header
		body                 io.Reader
		status               int
	}{
		{"garbage", "POST", "/graphql", json, strings.NewReader(garbage[:100_000]), 400},
		{"JSON garbage", "POST", "/graphql", json, strings.NewReader(`{"query":{"a":"` + garbage[:100_000] + `"}}`), 400},
		{"a megabyte of garbage", "POST", "/graphql", json, strings.NewReader(garbage), 413},
		{"two megabytes", "POST", "/graphql", json, strings.NewReader(`{"query":"{__typename}","variables":{"a":"` + garbage + garbage + `"}}`), 413},
		{"two megabytes in chunks", "POST", "/graphql", json, io.MultiReader(strings.NewReader(`{"query":"{__typename}","variables":{"a":"`), strings.NewReader(garbage+garbage+`"}}`)), 413},
		{"variables 50000 levels deep", "POST", "/graphql", json, strings.NewReader(`{"query":"{__typename}","variables":{"a":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}}`), 400},
		{"gzip", "POST", "/graphql", post("application/json", "Content-Encoding", "gzip"), strings.NewReader("\x1f\x8b" + garbage[:100_000]), 415},
		{"a batch", "POST", "/graphql", json, strings.NewReader(`[{"query":"{__typename}"}]`), 400},
		{"a form", "POST", "/graphql", post("application/x-www-form-urlencoded"), strings.NewReader("query=mutation{__typename}"), 415},
		{"text", "POST", "/graphql", post("text/plain"), strings.NewReader(`{"query":"mutation{__typename}"}`), 415},
		{"an unknown type", "POST", "/graphql", post(garbage[:30_000] + "/x"), strings.NewReader("{}"), 415},
		{"a long query string", "GET", "/graphql?query=" + garbage[:90_000], http.Header{}, nil, 431},
		{"a long header", "GET", "/graphql?query={__typename}", http.Header{"Accept": {garbage[:90_000]}}, nil, 431},
		{"a broken query string", "GET", "/graphql?query=%zz" + garbage[:1000], http.Header{}, nil, 400},
		{"a long token", "GET", "/graphql?query={__typename}", http.Header{"Authorization": {"Token " + garbage[:50_000]}}, nil, 401},
		{"a long scheme", "GET", "/graphql?query={__typename}", http.Header{"Authorization": {garbage[:50_000]}}, nil, 401},
		{"profiles", "GET", "/debug/pprof/", http.Header{}, nil, 404},
	}
	server := startServer(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			status, _, answer := server.send(c.method, c.target, c.header, c.body)
			if status != c.status || len(answer) > 1000 || strings.Contains(answer, marker) {
				t.Errorf("%d %.1000s", status, answer)
			}
		})
	}
}

// TestErrors_EchoNoLongNames checks that errors shorten the names of clients.
func TestErrors_EchoNoLongNames(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	long := strings.Repeat("z", 500_000)
	for _, body := range []string{
		`{"query":"query A{__typename} query B{__typename}","operationName":"` + long + `"}`,
		`{"query":"query($i:ID!){portfolioLink(id:$i){id}}","variables":{"i":{"` + long + `":1}}}`,
		`{"query":"query($i:ID!){portfolioLink(id:$i){id}}","variables":{"i":"` + long + `"}}`,
		`{"query":"query($f:PortfolioFilter){portfolios(filter:$f){totalCount}}","variables":{"f":{"` + long + `":1}}}`,
		`{"query":"{__type(name:\"` + long[:60_000] + `\"){name}}"}`,
		`{"documentId":"` + long + `"}`,
		`{"extensions":{"persistedQuery":{"sha256Hash":"` + long + `"}}}`,
	} {
		_, _, answer := server.send(http.MethodPost, "/graphql", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(body))
		if len(answer) > 1000 {
			t.Errorf("%.100s: %d bytes: %.300s", body, len(answer), answer)
		}
	}
}

// TestSlowClients_BlockNobody checks that slow clients are disconnected in time and that none
// keeps others waiting.
func TestSlowClients_BlockNobody(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--header-timeout=200ms", "--body-timeout=400ms", "--idle-timeout=300ms")
	idle := make([]net.Conn, 200)
	for i := range idle {
		idle[i] = server.dial()
	}
	const head = "POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
	for sent, want := range map[string]string{
		"":                              "",
		"GET /graphql HTTP/1.1\r\nHost": "HTTP/1.1 400 Bad Request",
		head + `{"query":`:              "HTTP/1.1 408 Request Timeout",
		"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n": "HTTP/1.1 200 OK",
	} {
		connection := server.dial()
		if _, err := io.WriteString(connection, sent); err != nil {
			t.Fatal(err)
		}
		if status, _ := server.get("/healthz"); status != http.StatusOK {
			t.Errorf("beside %q others got %d", sent, status)
		}
		answer, err := io.ReadAll(connection) // until the server closes
		if line, _, _ := strings.Cut(string(answer), "\r\n"); err != nil || line != want {
			t.Errorf("%q was answered %q, %v", sent, answer, err)
		}
	}
	for _, connection := range idle {
		if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("an idle connection: %v", err)
		}
	}
}

// TestRateLimit_IsPerClient checks the response of each API above the limit.
func TestRateLimit_IsPerClient(t *testing.T) {
	t.Parallel()
	const (
		graphql = `{"errors":[{"message":"Too many requests. Try again later.","extensions":{"code":"RATE_LIMITED"}}]}`
		legacy  = `{"detail":"Request was throttled. Expected available in 1000 seconds."}`
	)
	server := startServer(t, "--rate-limit=0.001", "--rate-burst=1", "--trusted-proxies=127.0.0.0/8")
	for i, c := range []struct {
		path, client string
		status       int
		body         string
	}{
		{"/graphql?query={__typename}", "192.0.2.1", 200, `{"data":{"__typename":"Query"}}`},
		{"/graphql?query={__typename}", "192.0.2.1", 429, graphql},
		{"/api/portfolios/1/links/4", "192.0.2.1", 429, legacy},
		{"/healthz", "192.0.2.1", 200, "ok\n"},
		{"/graphql?query={__typename}", "192.0.2.2", 200, `{"data":{"__typename":"Query"}}`},
	} {
		status, header, body := server.send(http.MethodGet, c.path, http.Header{"X-Forwarded-For": {c.client}}, nil)
		if status != c.status || body != c.body || status == 429 && (header.Get("Retry-After") != "1000" || header.Get("RateLimit-Remaining") != "0" || header.Get("RateLimit-Limit") != "1") {
			t.Errorf("%d: %d %s %v", i, status, body, header)
		}
	}
}

// TestFailedLogins_AreLimitedByAddress checks that failed logins of both APIs are counted together.
func TestFailedLogins_AreLimitedByAddress(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--failed-logins=3")
	good := "Authorization: Token " + server.demoKey()
	if status, body := server.get("/graphql?query={__typename}", good); status != http.StatusOK {
		t.Fatal(status, body)
	}
	for i := range 3 {
		path := []string{"/graphql?query={__typename}", "/api/portfolios/1/links/4"}[i%2]
		if status, body := server.get(path, "Authorization: Token"+[]string{" ", "\t"}[i%2]+"guess"+strconv.Itoa(i)); status != http.StatusUnauthorized {
			t.Errorf("guess %d: %d %s", i, status, body)
		}
	}
	for _, separator := range []string{" ", "\t", "  ", " \t "} {
		for _, path := range []string{"/graphql?query={__typename}", "/api/portfolios/1/links/4"} {
			if status, body := server.get(path, "Authorization: Token"+separator+"guess"); status != http.StatusTooManyRequests {
				t.Error(status, body)
			}
		}
	}
	if status, body := server.raw("GET /api/portfolios/1/links/4?% HTTP/1.1\r\nHost: h\r\nAuthorization: Token guess\r\n\r\n"); status != http.StatusTooManyRequests {
		t.Error(status, body)
	}
	dbtest.Exec(t, "sqlite:"+server.data+"/portfolio.db", "UPDATE users SET is_admin = true")
	for { // until the server knows
		if _, body := server.get("/graphql?query={viewer{isAdmin}}", good); strings.Contains(body, "true") {
			break
		}
	}
	// A change of users empties the memory of viewers, and of nothing else.
	if _, _, body := server.post(server.demoKey(), `mutation{createUser(input:{username:"a"}){user{id}} setUserPermissions(input:{username:"a",isStaff:true}){user{id}}}`, nil); strings.Contains(body, "errors") {
		t.Error(body)
	}
	if status, body := server.get("/api/portfolios/1/links/4", good); status != http.StatusOK {
		t.Error(status, body)
	}
}

func TestCORS_AllowsConfiguredOrigins(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--cors-origins=https://app.test")
	preflight := http.Header{"Origin": {"https://app.test"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type"}}
	status, header, body := server.send(http.MethodOptions, "/graphql", preflight, nil)
	got := map[string]string{}
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Allow-Credentials"} {
		got[name] = header.Get(name)
	}
	want := map[string]string{
		"Access-Control-Allow-Origin": "https://app.test", "Access-Control-Allow-Methods": "POST",
		"Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Allow-Credentials": "",
	}
	if diff := cmp.Diff(want, got); status != http.StatusNoContent || body != "" || diff != "" {
		t.Errorf("%d %s %s", status, body, diff)
	}
	_, header, _ = server.send(http.MethodGet, "/graphql?query="+url.QueryEscape("{__typename}"), http.Header{"Origin": {"https://app.test"}}, nil)
	if got := strings.Join(header.Values("Vary"), ", "); got != "Origin, Accept, Authorization" {
		t.Errorf("Vary: %s", got)
	}
	_, header, _ = server.send(http.MethodGet, "/api/portfolios/1/links/4", http.Header{"Origin": {"https://app.test"}}, nil)
	if header.Get("Access-Control-Allow-Origin") != "" || header.Get("Vary") != "" {
		t.Errorf("the legacy endpoint: %v", header)
	}
}

func TestPersistedDocuments_MayBeTheOnlyOnes(t *testing.T) {
	t.Parallel()
	manifest := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(manifest, []byte(`{"sha256:1":"{a:__typename}"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startServer(t, "--persisted-documents="+manifest, "--only-persisted")
	for path, want := range map[string]string{
		"/graphql?documentId=sha256:1":  `{"data":{"a":"Query"}}`,
		"/graphql?query={a:__typename}": `{"data":{"a":"Query"}}`,
		"/graphql?query={b:__typename}": `{"errors":[{"message":"Only persisted documents are accepted.","extensions":{"code":"FORBIDDEN"}}]}`,
	} {
		if _, body := server.get(path); body != want {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// TestSecurityHeaders_AreSent checks the headers of every response except responses of the
// legacy endpoint.
func TestSecurityHeaders_AreSent(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for path, policy := range map[string]string{
		"/":                           "default-src 'none'; script-src 'sha256-",
		"/graphql":                    "default-src 'none'; frame-ancestors 'none'; sandbox",
		"/media/none.png":             "default-src 'none'; frame-ancestors 'none'; sandbox",
		"/graphql?query={__typename}": "default-src 'none'; frame-ancestors 'none'; sandbox",
	} {
		_, header, _ := server.send(http.MethodGet, path, http.Header{"Accept": {"*/*"}}, nil)
		if !strings.HasPrefix(header.Get("Content-Security-Policy"), policy) || header.Get("X-Content-Type-Options") != "nosniff" ||
			header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %v", path, header)
		}
	}
}
