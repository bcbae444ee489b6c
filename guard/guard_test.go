package guard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
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
		if got := proxies.client(request).String(); got != c.want {
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

func newClocked(t *testing.T, requests, failures Rate) *clocked {
	c := &clocked{now: time.Unix(0, 0)}
	wasGood := false
	rates := NewRates(nil, requests, failures, func(key string) bool { return wasGood && key == "good" })
	rates.now = func() time.Time { return c.now }
	server := httptest.NewServer(rates.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch key(r) {
		case "", "good":
			wasGood = wasGood || key(r) == "good"
		default:
			w.Header().Set("WWW-Authenticate", "Token")
			w.WriteHeader(http.StatusUnauthorized)
		}
	}), func(w http.ResponseWriter, _ *http.Request, status int) { w.WriteHeader(status) }))
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
	newClocked(t, Rate{PerSecond: 0.5, Burst: 2}, Rate{}).walk(t, []step{
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

func TestFailedLogins(t *testing.T) {
	newClocked(t, Rate{}, Rate{PerSecond: 1.0 / 60, Burst: 2}).walk(t, []step{
		{0, "good", seen{Status: 200}},
		{0, "wrong", seen{Status: 401}},
		{0, "wronger", seen{Status: 401}},
		{0, "wrongest", seen{Status: 429, Return: "60"}},
		{0, "good", seen{Status: 200}},
		{0, "", seen{Status: 200}},
		{0, "wrong", seen{Status: 401}}, // as before: a client that repeats itself does not guess
		{59 * time.Second, "wrongest", seen{Status: 429, Return: "1"}},
		{time.Second, "wrongest", seen{Status: 401}},
		{0, "another", seen{Status: 429, Return: "60"}},
	})
}

func TestTurns(t *testing.T) {
	turns := NewTurns(1)
	leave, ok := turns.Enter(t.Context())
	if !ok {
		t.Fatal("the first was not let in")
	}
	gone, goAway := context.WithCancel(t.Context())
	waiting := make(chan bool)
	for range waitingPerTurn {
		go func() {
			_, ok := turns.Enter(gone)
			waiting <- ok
		}()
	}
	for turns.waiting.Load() < waitingPerTurn {
		runtime.Gosched() // they say nothing when they begin to wait
	}
	refused := httptest.NewRecorder()
	turns.Handler(http.NotFoundHandler(), func(w http.ResponseWriter, _ *http.Request, status int) {
		w.WriteHeader(status)
	}).ServeHTTP(refused, httptest.NewRequest(http.MethodGet, "/", nil))
	if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") != "1" {
		t.Errorf("one too many: %d, Retry-After %q", refused.Code, refused.Header().Get("Retry-After"))
	}
	goAway()
	for range waitingPerTurn {
		if <-waiting {
			t.Error("one that has gone was let in")
		}
	}
	leave()
	if _, ok := turns.Enter(t.Context()); !ok {
		t.Error("the turn was not given on")
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
