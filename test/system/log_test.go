package system

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// requestLines returns the lines of the request log without time, duration and
// address. Whether the viewer was cached decides the number of statements, so it
// is 0 or 1.
func requestLines(logs string) string {
	var lines strings.Builder
	for line := range strings.Lines(logs) {
		if strings.Contains(line, `"msg":"request"`) {
			lines.WriteString(line)
		}
	}
	text := regexp.MustCompile(`"time":"[^"]+",`).ReplaceAllString(lines.String(), "")
	text = regexp.MustCompile(`"duration_ms":[0-9.]+,`).ReplaceAllString(text, "")
	return regexp.MustCompile(`"statements":[1-9]\d*`).ReplaceAllString(text, `"statements":1`)
}

// TestRequestLog_HasFields checks the whole line of each request: neither variables nor
// tokens, bodies or query strings are in it.
func TestRequestLog_HasFields(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, key := startRecorded(t, dsn)
		token := http.Header{"Authorization": {"Token " + key}}
		json := http.Header{"Authorization": {"Token " + key}, "Content-Type": {"application/json"}}
		for _, c := range []struct {
			name, method, target string
			header               http.Header
			body                 string
		}{
			{"rest", "GET", "/api/portfolios/1/links/4?format=json&secret", token, ""},
			{"rest-anonymous", "GET", "/api/portfolios/1/links/4", nil, ""},
			{"rest-forbidden", "GET", "/api/portfolios/1/links/4", http.Header{"Authorization": {"Token " + graphtest.Staff}}, ""},
			{"rest-missing", "GET", "/api/portfolios/links/987654", token, ""},
			{"rest-head", "HEAD", "/api/portfolios/1/links/4", token, ""},
			{"graphql", "POST", "/graphql", json, `{"query":"query Link($i: ID!) { portfolioLink(id: $i) { name } }","operationName":"Link","variables":{"i":"4"}}`},
			{"graphql-anonymous", "POST", "/graphql", http.Header{"Content-Type": {"application/json"}}, `{"query":"{viewer{id}}"}`},
			{"graphql-get", "GET", "/graphql?query=query%20Secret{viewer{id}}", nil, ""},
			{"graphql-syntax", "POST", "/graphql", json, `{"query":"query Secret {"}`},
			{"graphql-unknown-operation", "POST", "/graphql", json, `{"query":"query Secret { viewer { id } }","operationName":"\u001b[31m"}`},
			{"graphql-variables", "POST", "/graphql", json, `{"query":"query Link($i: ID!) { portfolioLink(id: $i) { name } }","variables":{"i":{"secret":1}}}`},
			{"graphql-mutation", "POST", "/graphql", json, `{"query":"mutation Create($n: String!) { createPortfolio(input: {name: $n}) { portfolio { name } } }","variables":{"n":"secret"}}`},
			{"graphql-stale", "POST", "/graphql", json, `{"query":"mutation { updatePortfolio(input: {id: 1, name: \"secret\", expectedUpdatedAt: \"2001-01-01T00:00:00Z\"}) { portfolio { name } } }"}`},
			{"media", "GET", "/media/none.png", nil, ""},
			{"playground", "GET", "/", http.Header{"Accept": {"text/html"}}, ""},
			{"escaped", "GET", "/%0A%22%1b%5b31m?secret", nil, ""},
			{"health", "GET", "/healthz", nil, ""},
		} {
			header := c.header.Clone()
			if header == nil {
				header = http.Header{}
			}
			header.Set("X-Request-Id", c.name)
			if _, got, _ := server.send(c.method, c.target, header, strings.NewReader(c.body)); got.Get("X-Request-Id") != c.name {
				t.Errorf("%s has the id %s", c.name, got.Get("X-Request-Id"))
			}
		}
		server.stop()
		golden.CheckText(t, "log", regexp.MustCompile(`("path":"/","status":200,.*"bytes":)\d+`).ReplaceAllString(requestLines(server.logs.String()), "${1}0"))
	})
}

// TestLog_HasFormatAndLevel checks LOG_FORMAT, and that levels above info silence the request
// log.
func TestLog_HasFormatAndLevel(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptySQLite(t)
	for _, c := range []struct{ args, want string }{
		{"--log-format=text", `level=INFO msg=request api=other method=GET path=/none status=404 code=NOT_FOUND duration_ms=0 bytes=90 statements=0 client=127.0.0.1 request_id=sent`},
		{"--log-format=json", `"level":"INFO","msg":"request","api":"other","method":"GET","path":"/none","status":404,"code":"NOT_FOUND","duration_ms":0,"bytes":90,"statements":0,"client":"127.0.0.1","request_id":"sent"}`},
		{"--log-level=warn", ""},
	} {
		server := startServer(t, "--database-url="+dsn, c.args)
		server.get("/none", "X-Request-Id: sent")
		server.stop()
		logs := regexp.MustCompile(`(duration_ms"?[:=])[0-9.]+`).ReplaceAllString(server.logs.String(), "${1}0")
		line := regexp.MustCompile(`(?m)^.*/none.*$`).FindString(logs)
		if !strings.HasSuffix(line, c.want) || c.want == "" && line != "" {
			t.Errorf("%s logged %s", c.args, logs)
		}
	}
}
