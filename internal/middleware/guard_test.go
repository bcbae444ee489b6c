package middleware

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"portfolio/internal/admission"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClient(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"a stranger", "203.0.113.9:1", nil, "203.0.113.9"},
		{"a stranger that says otherwise", "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"a proxy", "10.1.2.3:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.1.2.3:1", []string{"198.51.100.1, 192.0.2.1"}, "198.51.100.1"},
		{"two headers", "10.1.2.3:1", []string{"198.51.100.1", "192.0.2.1"}, "198.51.100.1"},
		{"what the client made up before", "10.1.2.3:1", []string{"1.1.1.1, 198.51.100.1, 10.0.0.1"}, "198.51.100.1"},
		{"only proxies", "10.1.2.3:1", []string{"10.0.0.9, 10.0.0.1"}, "10.0.0.9"},
		{"a proxy that says nothing", "10.1.2.3:1", nil, "10.1.2.3"},
		{"nonsense", "10.1.2.3:1", []string{"198.51.100.1, nonsense"}, "10.1.2.3"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::"},
		{"IPv6 behind a proxy", "[fd00::1]:1", []string{"2001:db8:1:2:3::"}, "2001:db8:1:2::"},
	} {
		request := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := proxies.Client(request).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := ParseProxies([]string{"example.org"}); err == nil || err.Error() != `"example.org" is neither an address nor a network` {
		t.Error(err)
	}
}

// clocked serves behind rates at a time of the test's own. Its one good key is
// "good", from the second request on.
type clocked struct {
	url string
	now time.Time
}

func newClocked(t *testing.T, requests Rate) *clocked {
	c := &clocked{now: time.Unix(0, 0)}
	wasGood := false
	rates := NewRates(requests, func(key string) bool { return wasGood && key == "good" })
	rates.now = func() time.Time { return c.now }
	server := httptest.NewServer(rates.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		wasGood = wasGood || r.Header.Get("Authorization") == "Bearer good"
	}), func(w http.ResponseWriter, _ *http.Request, status int, retryAfter time.Duration) {
		w.Header().Set("Retry-After", admission.RetryAfter(retryAfter))
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// seen is what a client sees of an answer.
type seen struct {
	Status                   int
	Remaining, Reset, Return string
}

func (c *clocked) get(t *testing.T, key string) seen {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	h := response.Header
	return seen{response.StatusCode, h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"), h.Get("Retry-After")}
}

// step is a request after some time, and its answer.
type step struct {
	after time.Duration
	key   string
	want  seen
}

func (c *clocked) walk(t *testing.T, steps []step) {
	t.Helper()
	for i, step := range steps {
		c.now = c.now.Add(step.after)
		if diff := cmp.Diff(step.want, c.get(t, step.key)); diff != "" {
			t.Errorf("step %d: - wanted, + got:\n%s", i, diff)
		}
	}
}

func TestRates(t *testing.T) {
	newClocked(t, Rate{PerSecond: 0.5, Burst: 2}).walk(t, []step{
		{0, "", seen{200, "1", "2", ""}},
		{0, "good", seen{200, "0", "4", ""}}, // not yet known to be good: the address pays
		{0, "", seen{429, "0", "4", "2"}},
		{0, "good", seen{200, "1", "2", ""}}, // now the token pays
		{0, "made up", seen{429, "0", "4", "2"}},
		{time.Second, "", seen{429, "0", "3", "1"}},
		{time.Second, "", seen{200, "0", "4", ""}},
		{0, "good", seen{200, "1", "2", ""}},
		{0, "good", seen{200, "0", "4", ""}},
		{0, "good", seen{429, "0", "4", "2"}},
	})
}

// TestConnections: a client above the limit is served once another has gone.
func TestConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections := NewConnections(2)
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: connections.Changed}
	go func() { _ = server.Serve(connections.Listen(listener)) }()
	t.Cleanup(func() { _ = server.Close() })
	dial := func() net.Conn {
		connection, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		return connection
	}
	served := func(connection net.Conn) bool {
		n, _ := connection.Read(make([]byte, 1))
		return n == 1
	}
	first, second, third := dial(), dial(), dial()
	if !served(first) || !served(second) {
		t.Error("two clients are not served")
	}
	if len(connections.slots) != 2 {
		t.Errorf("%d connections are open", len(connections.slots))
	}
	_ = first.Close()
	if !served(third) {
		t.Error("the third is not served")
	}
}

func TestOrigins(t *testing.T) {
	server := httptest.NewServer(Origins([]string{"https://app.test"}, http.NotFoundHandler()))
	t.Cleanup(server.Close)
	for _, c := range []struct {
		method, origin, allowed string
		status                  int
	}{
		{http.MethodOptions, "https://app.test", "https://app.test", http.StatusNoContent},
		{http.MethodOptions, "https://evil.test", "", http.StatusNoContent},
		{http.MethodPost, "https://app.test", "https://app.test", http.StatusNotFound},
		{http.MethodPost, "https://evil.test", "", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", c.origin)
		request.Header.Set("Access-Control-Request-Method", http.MethodPost)
		request.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != c.allowed || response.StatusCode != c.status || response.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s from %s: %d %v", c.method, c.origin, response.StatusCode, response.Header)
		}
	}
}
