package middleware

import (
	"net/http"
	"testing"
)

func TestClientAddr(t *testing.T) {
	t.Parallel()
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"direct client", "203.0.113.9:1", nil, "203.0.113.9"},
		{"direct client with a forged header", "203.0.113.9:1", []string{"198.51.100.1"}, "203.0.113.9"},
		{"one proxy", "10.1.2.3:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.1.2.3:1", []string{"198.51.100.1, 192.0.2.1"}, "198.51.100.1"},
		{"two headers", "10.1.2.3:1", []string{"198.51.100.1", "192.0.2.1"}, "198.51.100.1"},
		{"forged header before the proxies'", "10.1.2.3:1", []string{"1.1.1.1, 198.51.100.1, 10.0.0.1"}, "198.51.100.1"},
		{"proxies only", "10.1.2.3:1", []string{"10.0.0.9, 10.0.0.1"}, "10.0.0.9"},
		{"proxy without the header", "10.1.2.3:1", nil, "10.1.2.3"},
		{"malformed header", "10.1.2.3:1", []string{"198.51.100.1, nonsense"}, "10.1.2.3"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::"},
		{"IPv6 behind a proxy", "[fd00::1]:1", []string{"2001:db8:1:2:3::"}, "2001:db8:1:2::"},
	} {
		request := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := proxies.ClientAddr(request).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := ParseProxies([]string{"example.org"}); err == nil || err.Error() != `"example.org" is neither an address nor a network` {
		t.Error(err)
	}
}
