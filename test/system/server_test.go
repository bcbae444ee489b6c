package system

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/compat/compattest"
	"portfolio/db/dbtest"
)

// documented is the response in the documentation of the legacy system.
const documented = `{"id":4,"name":"دمو پروژه","url":"https://moeinsoft.com/demo","image_data":{"id":6,"type":"image","name":"technology","size":5123,"human_readable_size":"5.00 KB","f":"HOST/media/core_media/2025/12/02/technology.png","width":225,"height":225,"mode":"P","thumbnails":[{"id":213,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_64x64.jpg","size":64},{"id":214,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_128x128.jpg","size":128},{"id":215,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_512x512.jpg","size":512},{"id":216,"f":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_1080x1080.jpg","size":1080}]},"description":"لینک مشاهده دمو","created_at":"2026-01-13T10:05:43.296270Z","updated_at":"2026-01-13T10:05:43.296310Z"}`

// TestDemo_ServesDocumentedExample runs the command that the server prints, on the first and on a later
// start.
func TestDemo_ServesDocumentedExample(t *testing.T) {
	t.Parallel()
	data := "--data-dir=" + filepath.Join(t.TempDir(), "data")
	for _, name := range []string{"first", "later"} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, data)
			line := regexp.MustCompile(`(?m)^Try: +(curl .*)$`).FindStringSubmatch(server.Output)
			if line == nil {
				t.Fatalf("no curl line in %s", server.Output)
			}
			output, err := exec.Command("sh", "-c", "exec "+strings.Replace(line[1], "curl ", "curl -sS ", 1)).Output()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(documented, strings.ReplaceAll(string(output), server.URL, "HOST")); diff != "" {
				t.Error(diff)
			}
			if _, page := server.get("/", "Accept: text/html"); !strings.Contains(page, "GraphiQL") {
				t.Errorf("the playground is %s", page)
			}
			if code := server.stop(); code != 0 {
				t.Errorf("exit code %d: %s", code, server.logs)
			}
		})
	}
}

// TestDemo_DescribesItsFiles compares the documented fields with the files.
func TestDemo_DescribesItsFiles(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	var link struct {
		ImageData struct {
			Size, Width, Height int
			F                   string
			Thumbnails          []struct {
				F    string
				Size int
			}
		} `json:"image_data"`
	}
	if err := json.Unmarshal([]byte(documented), &link); err != nil {
		t.Fatal(err)
	}
	decode := func(address string) (image.Config, string, int) {
		_, body := server.get(strings.TrimPrefix(address, "HOST"))
		config, format, err := image.DecodeConfig(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return config, format, len(body)
	}
	config, format, size := decode(link.ImageData.F)
	if _, paletted := config.ColorModel.(color.Palette); !paletted {
		t.Error("the image is not of mode P")
	}
	if format != "png" || size != link.ImageData.Size || config.Width != link.ImageData.Width || config.Height != link.ImageData.Height {
		t.Errorf("the image is %s of %d bytes, %dx%d", format, size, config.Width, config.Height)
	}
	for _, thumbnail := range link.ImageData.Thumbnails {
		if config, format, _ := decode(thumbnail.F); format != "jpeg" || max(config.Width, config.Height) != thumbnail.Size {
			t.Errorf("%s is %s, %dx%d", thumbnail.F, format, config.Width, config.Height)
		}
	}
}

// TestDemo_KeyCanBeRevoked checks that the server prints no command that would fail.
func TestDemo_KeyCanBeRevoked(t *testing.T) {
	t.Parallel()
	data := "--data-dir=" + filepath.Join(t.TempDir(), "data")
	startServer(t, data).stop()
	runCommand(t, 0, "token", "revoke", "1", data)
	if server := startServer(t, data); strings.Contains(server.Output, "curl") {
		t.Errorf("printed %s", server.Output)
	}
}

// TestRoutes_AreExact requests every path except /graphql.
func TestRoutes_AreExact(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--database-url="+dbtest.EmptySQLite(t))
	quiet := startServer(t, "--database-url="+dbtest.EmptySQLite(t), "--playground=off", "--introspection=off", "--log-level=debug")
	for _, c := range []struct {
		server *testServer
		path   string
		status int
		want   string
	}{
		{server, "/", 200, "GraphiQL"},
		{server, "/playground/none.js", 404, "404 page not found"},
		{quiet, "/", 404, "Not Found"},
		{quiet, "/playground/none.js", 404, "Not Found"},
		{server, "/healthz", 200, "ok\n"},
		{server, "/readyz", 200, "ok\n"},
		{server, "/api/openapi.json", 200, `"openapi": "3.1.0"`},
		{server, "/graphql?query={viewer{id}}", 200, `{"data":{"viewer":null}}`},
		{server, "/graphql/schema.graphql", 200, "type Query {"},
		{quiet, "/graphql/schema.graphql", 404, "Not Found"},
		{server, "//graphql", 404, "Not Found"},
		{server, "/graphql/", 404, "Not Found"},
		{server, "/media/none.png", 404, "not found"},
		{server, "/api/portfolios/1/links/4", 401, "Authentication credentials were not provided."},
		{server, "/debug/pprof/", 404, "Not Found"},
	} {
		if status, body := c.server.get(c.path, "Accept: */*"); status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", c.path, status, body)
		}
	}
	quiet.get("/healthz", "Authorization: Token secret")
	quiet.stop()
	if logs := quiet.logs.String(); !strings.Contains(logs, `"path":"/healthz","status":200`) || !strings.Contains(logs, `"request_id":"`) || strings.Contains(logs, "secret") {
		t.Errorf("logged %s", logs)
	}
}

// TestServer_RespondsAsRecorded checks that no middleware changes the responses of the legacy
// endpoint.
func TestServer_RespondsAsRecorded(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		cases := compattest.Cases(t, projectFile("compat/testdata/golden.jsonl"))
		server := startServer(t, "--database-url="+dsn)
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) { compattest.Replay(t, strings.TrimPrefix(server.URL, "http://"), c) })
		}
	})
}

// TestReadiness_FailsWithoutDatabase checks that a server without its database is healthy
// but not ready.
func TestReadiness_FailsWithoutDatabase(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	server := startServer(t, "--database-url="+dsn)
	dbtest.Exec(t, dsn, "DELETE FROM bun_migrations")
	if status, body := server.get("/readyz"); status != http.StatusServiceUnavailable || body != "the database's schema is behind\n" {
		t.Errorf("%d %s", status, body)
	}
	dbtest.Exec(t, dsn, "DROP TABLE bun_migrations")
	if status, body := server.get("/readyz"); status != http.StatusServiceUnavailable || body != "the database's schema is behind\n" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := server.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
}

// TestServer_RecoversWithDatabase checks the responses while the database is gone, and that
// the server recovers without a restart.
func TestServer_RecoversWithDatabase(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, recorded)
	line, through := dbtest.NewProxy(t, dsn)
	server := startServer(t, "--database-url="+through)
	const (
		known   = "Authorization: Token be995b582c8bf952546d3819251020d1ad1b2eb1"
		unknown = "Authorization: Token unknown"
		rest    = "/api/portfolios/1/links/4"
		graphql = "/graphql?query={portfolioLink(id:4){name}}"
		gone    = `"message":"The database is unavailable. Try again later."`
	)
	requests := []struct {
		path, authorization string
		well, away          int
		wellBody, awayBody  string
	}{
		{rest, known, 200, 503, documented, `{"detail":"Service temporarily unavailable, try again later."}`},
		{rest, unknown, 401, 503, `{"detail":"Invalid token."}`, `{"detail":"Service temporarily unavailable, try again later."}`},
		{graphql, known, 200, 503, `{"data":{"portfolioLink":{"name":"دمو پروژه"}}}`, `{"errors":[{` + gone + `,"path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"UNAVAILABLE"}}],"data":{"portfolioLink":null}}`},
		{graphql, unknown, 401, 503, `{"errors":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}`, `{"errors":[{` + gone + `,"extensions":{"code":"UNAVAILABLE"}}]}`},
		{"/readyz", known, 200, 503, "ok\n", "the database is unavailable\n"},
		{"/healthz", known, 200, 200, "ok\n", "ok\n"},
	}
	for _, away := range []bool{false, true, false} {
		if away {
			line.Disconnect()
		} else {
			line.Reconnect()
		}
		for _, r := range requests {
			wantStatus, want := r.well, r.wellBody
			if away {
				wantStatus, want = r.away, r.awayBody
			}
			status, body := server.get(r.path, r.authorization)
			for r.path == "/readyz" && status != wantStatus { // the last check counts for a second
				status, body = server.get(r.path, r.authorization)
			}
			if away && r.path == graphql && body == requests[3].awayBody { // the viewer's second in memory was over
				want = body
			}
			if status != wantStatus || body != want {
				t.Errorf("away %v: %s: %d %s", away, r.path, status, body)
			}
		}
	}
	if logs := server.logs.String(); !strings.Contains(logs, "request failed") || strings.Contains(logs, "be995b58") {
		t.Errorf("logged %s", logs)
	}
}

// TestServer_RespondsWhileDatabaseIsReadOnly checks the responses while PostgreSQL accepts no changes.
func TestServer_RespondsWhileDatabaseIsReadOnly(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, recorded)
	server, key := startRecorded(t, dsn)
	const portfolio = `{portfolio(id:1){name updatedAt}}`
	_, _, before := server.post(key, portfolio, nil)
	readOnly := startServer(t, "--database-url="+dsn+"&default_transaction_read_only=on")
	for range 3 {
		status, _, body := readOnly.post(key, `mutation{updatePortfolio(input:{id:1,name:"new"}){portfolio{id}}}`, nil)
		const want = `{"errors":[{"message":"The database is unavailable. Try again later.","path":["updatePortfolio"],"locations":[{"line":1,"column":10}],"extensions":{"code":"UNAVAILABLE"}}],"data":{"updatePortfolio":null}}`
		if status != http.StatusServiceUnavailable || body != want {
			t.Errorf("change: %d %s", status, body)
		}
		if status, body := readOnly.get("/api/portfolios/1/links/4", "Authorization: Token "+key); status != http.StatusOK || body != documented {
			t.Errorf("lookup: %d %s", status, body)
		}
	}
	if status, body := readOnly.get("/readyz"); status != http.StatusServiceUnavailable || body != "the database cannot be written\n" {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if _, _, after := server.post(key, portfolio, nil); after != before {
		t.Errorf("changed from %s to %s", before, after)
	}
}

// TestShutdown_DrainsRequests checks that a request in progress gets its response after SIGTERM.
func TestShutdown_DrainsRequests(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--database-url="+dbtest.EmptySQLite(t))
	connection, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
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
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(reader)
	if err != nil || !strings.Contains(string(rest), `{"data":{"viewer":null}}`) {
		t.Errorf("%v %s", err, rest)
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d: %s", code, server.logs)
	}
}
