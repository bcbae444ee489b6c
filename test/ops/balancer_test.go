//go:build ops

package ops

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"

	"portfolio/db/dbtest"
)

// startPair starts two servers that share a database and files, with the settings
// that the configurations of proxies name.
func startPair(t *testing.T, settings ...string) (servers [2]*server, dsn, media, key string) {
	t.Helper()
	dsn, media = dbtest.Postgres(t), newMedia(t)
	key = prepare(t, dsn)
	settings = append(settings, "MEDIA_STORE=file:"+media, "TRUSTED_PROXIES=127.0.0.1", "SHUTDOWN_DELAY=3s")
	for i := range servers {
		servers[i] = newServer(t, dsn, settings...)
	}
	return servers, dsn, media, key
}

// TestProxy checks what servers and their clients see through a proxy.
func TestProxy(t *testing.T) {
	for name, startProxy := range proxies {
		t.Run(name, func(t *testing.T) {
			servers, _, _, key := startPair(t, "LOG_LEVEL=info")
			proxy := startProxy(t, [2]string{servers[0].address, servers[1].address})
			c := &client{"https://example.org", key, proxy}
			checkURLs(t, c)
			checkForged(t, c, servers)
			checkRedirect(t, proxy)
			if _, err := c.upload(photograph(t)); err != nil {
				t.Error(err)
			}
			const large = 203 << 20
			if status, body := sendZeros(t, c, large); status != http.StatusRequestEntityTooLarge || !strings.Contains(body, `"extensions":{"code":"BAD_USER_INPUT"}`) {
				t.Errorf("large body: %d %s", status, body)
			}
			for _, s := range servers {
				s.kill()
			}
			if err := c.graphql(readLink, map[string]any{"id": 7}, nil); !errors.Is(err, errUnavailable) {
				t.Errorf("GraphQL without a server: %v", err)
			}
			if _, err := c.rest(fixedPortfolio, "7"); !errors.Is(err, errUnavailable) {
				t.Errorf("REST without a server: %v", err)
			}
			if status, body, err := c.send(http.MethodGet, "/media/one.png", "", nil, slowest); name == "nginx" && (status != http.StatusOK || string(body) != "one.png") {
				t.Errorf("file without a server: %d %s %v", status, body, err)
			}
		})
	}
}

// checkURLs checks that images have URLs that clients reach.
func checkURLs(t *testing.T, c *client) {
	t.Helper()
	const want = "https://example.org/media/one.png"
	var data struct {
		PortfolioLink struct{ ImageData struct{ URL string } }
	}
	if err := c.graphql(`{ portfolioLink(id: 7) { imageData { url } } }`, nil, &data); err != nil || data.PortfolioLink.ImageData.URL != want {
		t.Errorf("GraphQL: %q, %v", data.PortfolioLink.ImageData.URL, err)
	}
	body, err := c.rest(fixedPortfolio, "7")
	if err != nil || !strings.Contains(string(body), `"`+want+`"`) {
		t.Errorf("REST: %s %v", body, err)
	}
	if status, body, err := c.send(http.MethodGet, strings.TrimPrefix(want, c.base), "", nil, slowest); status != http.StatusOK || string(body) != "one.png" {
		t.Errorf("file: %d %s %v", status, body, err)
	}
}

// checkForged checks that a client cannot choose its address, nor the URLs of images.
func checkForged(t *testing.T, c *client, servers [2]*server) {
	t.Helper()
	request := newRequest(t, c.base+"/api/portfolios/1/links/7")
	request.Header = http.Header{
		"Authorization": {"Token " + c.key}, "X-Request-Id": {"forged"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"forged.example"},
		"Forwarded": {"for=192.0.2.1;proto=http;host=forged.example"},
	}
	response, body := do(t, c.http, request)
	if response.StatusCode != http.StatusOK || !strings.Contains(body, `"https://example.org/media/one.png"`) {
		t.Errorf("forged headers: %d %s", response.StatusCode, body)
	}
	if age := response.Header.Get("Strict-Transport-Security"); age != "max-age=31536000" {
		t.Errorf("Strict-Transport-Security: %q", age)
	}
	logged := ""
	waitFor(t, "record of the request", func() bool {
		logged = servers[0].record(t, "forged") + servers[1].record(t, "forged")
		return logged != ""
	})
	var record struct{ Client string }
	if err := json.Unmarshal([]byte(logged), &record); err != nil || record.Client != proxyClient {
		t.Errorf("client %q, %v", record.Client, err)
	}
}

// record returns the record of a request in the log of the server, or "".
func (s *server) record(t *testing.T, requestID string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.directory, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, `"request_id":"`+requestID+`"`) && strings.HasSuffix(line, "\n") {
			return line
		}
	}
	return ""
}

func checkRedirect(t *testing.T, proxy *http.Client) {
	t.Helper()
	response, _ := do(t, proxy, newRequest(t, "http://example.org/graphql?query={viewer{id}}"))
	if to := response.Header.Get("Location"); response.StatusCode != http.StatusPermanentRedirect || to != "https://example.org/graphql?query={viewer{id}}" {
		t.Errorf("redirect: %d to %q", response.StatusCode, to)
	}
}

func newRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// do sends a request and returns the response with its body.
func do(t *testing.T, client *http.Client, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sendZeros sends a body of a size to the GraphQL API.
func sendZeros(t *testing.T, c *client, size int64) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/graphql", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/json")
	response, body := do(t, c.http, request)
	return response.StatusCode, body
}

// TestProxySubscriptions subscribes to a link over WebSocket and server-sent events. Both
// must get a change at once, through either proxy.
func TestProxySubscriptions(t *testing.T) {
	for name, startProxy := range proxies {
		t.Run(name, func(t *testing.T) {
			servers, dsn, _, key := startPair(t)
			proxy := startProxy(t, [2]string{servers[0].address, servers[1].address})
			ctx, cancel := context.WithTimeout(t.Context(), slowest)
			defer cancel()
			subscribers := []func(event string){
				subscribeByEvents(ctx, t, proxy, key),
				subscribeByWebSocket(ctx, t, proxy, key),
			}
			for _, name := range []string{"fixed 7", "changed"} {
				if _, err := openSQL(t, dsn).ExecContext(ctx, "UPDATE portfolio_links SET name = $1 WHERE id = 7", name); err != nil {
					t.Fatal(err)
				}
				for _, receive := range subscribers {
					receive(`{"data":{"portfolioLinkChanged":{"name":"` + name + `"}}}`)
				}
			}
		})
	}
}

const subscription = `{"query":"subscription { portfolioLinkChanged(id: 7) { name } }"}`

// subscribeByEvents returns a function that checks the next event.
func subscribeByEvents(ctx context.Context, t *testing.T, proxy *http.Client, key string) (receive func(event string)) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://example.org/graphql", strings.NewReader(subscription))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + key}, "Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	response, err := proxy.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewReader(response.Body)
	return func(event string) {
		t.Helper()
		for _, want := range []string{"event: next\n", "data: " + event + "\n", "\n"} {
			if line, err := lines.ReadString('\n'); line != want {
				t.Fatalf("%q, want %q, %v", line, want, err)
			}
		}
	}
}

// subscribeByWebSocket returns a function that checks the next event.
func subscribeByWebSocket(ctx context.Context, t *testing.T, proxy *http.Client, key string) (receive func(event string)) {
	t.Helper()
	connection, _, err := websocket.Dial(ctx, "wss://example.org/graphql", &websocket.DialOptions{HTTPClient: proxy, Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	for _, message := range []string{`{"type":"connection_init","payload":{"Authorization":"Bearer ` + key + `"}}`, `{"id":"1","type":"subscribe","payload":` + subscription + `}`} {
		if err := connection.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(want string) {
		t.Helper()
		if _, message, err := connection.Read(ctx); string(message) != want {
			t.Fatalf("%q, want %q, %v", message, want, err)
		}
	}
	read(`{"type":"connection_ack"}`)
	return func(event string) { read(`{"id":"1","type":"next","payload":` + event + `}`) }
}

// rollingRequests returns how many requests a rolling restart must survive.
func rollingRequests() int {
	if testing.Short() {
		return 2_000
	}
	return 20_000
}

// TestRollingRestart restarts two servers in turn behind a proxy, under load. No
// request may fail.
func TestRollingRestart(t *testing.T) {
	for name, startProxy := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers, dsn, media, key := startPair(t)
			proxy := startProxy(t, [2]string{servers[0].address, servers[1].address})
			l := startLoad(t, []*client{{"https://example.org", key, proxy}}, 8, 0)
			l.startUploads(1)
			restarts, requests := 0, 0
			for ; requests < rollingRequests() || restarts < 2; restarts++ {
				s := servers[restarts%2]
				s.stop(syscall.SIGTERM)
				if code := s.ProcessState.ExitCode(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				s.start()
				waitFor(t, "requests to the new process", func() bool { return s.requests() > 0 })
				requests, _ = l.counts()
			}
			l.stop()
			lost := l.ledger.check(t, dsn)
			uploads := l.ledger.checkImages(t, dsn)
			checkFiles(t, dsn, media)
			requests, failed := l.counts()
			t.Logf("%d restarts: %d requests, %d failed; %d acknowledged writes and %d uploads, %d lost",
				restarts, requests, failed, l.ledger.writes(), uploads, lost)
		})
	}
}
