package middleware

import (
	"net/http"
	"strings"
	"testing"

	"portfolio/internal/storage"
)

func parseProxies(t testing.TB, texts ...string) Proxies {
	t.Helper()
	proxies := make(Proxies, len(texts))
	for i, text := range texts {
		if err := proxies[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return proxies
}

// requestOf returns a request with header fields, such as "X-Forwarded-For: a".
func requestOf(peer string, fields ...string) *http.Request {
	header := http.Header{}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		header.Add(name, value)
	}
	return &http.Request{RemoteAddr: peer, Host: "h", Header: header}
}

const (
	directPeer    = "203.0.113.9:1"
	proxyPeer     = "10.1.2.3:1"
	plainBase     = "http://h/media/"
	clientAddress = "198.51.100.1"
	publicBase    = "https://example.org/media/"
)

var identifyCases = []struct {
	name, peer string
	fields     []string
	address    string
	base       string
}{
	{"direct client", directPeer, nil, "203.0.113.9", plainBase},
	{"forged headers", directPeer, []string{"X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "Forwarded: for=1.1.1.1;proto=https;host=evil"}, "203.0.113.9", plainBase},
	{"no headers", proxyPeer, nil, "10.1.2.3", plainBase},

	{"one proxy", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1"}, clientAddress, plainBase},
	{"address with a port", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1:5000"}, clientAddress, plainBase},
	{"two proxies", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.1"}, clientAddress, plainBase},
	{"two header fields", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.1"}, clientAddress, plainBase},
	{"empty elements", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1,, ,", "X-Forwarded-For: "}, clientAddress, plainBase},
	{"forged before the proxies'", proxyPeer, []string{"X-Forwarded-For: 1.1.1.1, 198.51.100.1, 10.0.0.1"}, clientAddress, plainBase},
	{"proxies only", proxyPeer, []string{"X-Forwarded-For: 10.0.0.9, 10.0.0.1"}, "10.0.0.9", plainBase},
	{"malformed", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1, nonsense"}, "10.1.2.3", plainBase},
	{"IPv4 in IPv6", "[::ffff:10.1.2.3]:1", []string{"X-Forwarded-For: ::ffff:198.51.100.1"}, clientAddress, plainBase},
	{"IPv6", "[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::", plainBase},
	{"IPv6 behind a proxy", "[fd00::1]:1", []string{"X-Forwarded-For: 2001:db8:1:2:3::"}, "2001:db8:1:2::", plainBase},

	{"scheme and host", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org"}, clientAddress, publicBase},
	{"scheme only", proxyPeer, []string{"X-Forwarded-Proto: HTTPS"}, "10.1.2.3", "https://h/media/"},
	{"host only", proxyPeer, []string{"X-Forwarded-Host: example.org:8080"}, "10.1.2.3", "http://example.org:8080/media/"},
	{"IPv6 host", proxyPeer, []string{"X-Forwarded-Host: [2001:db8::1]:8080"}, "10.1.2.3", "http://[2001:db8::1]:8080/media/"},
	{"the last values count", proxyPeer, []string{"X-Forwarded-Proto: ftp, https", "X-Forwarded-Host: evil", "X-Forwarded-Host: evil, example.org"}, "10.1.2.3", publicBase},
	{"invalid values", proxyPeer, []string{"X-Forwarded-Proto: https:", "X-Forwarded-Host: example.org/path"}, "10.1.2.3", plainBase},
	{"invalid last values", proxyPeer, []string{"X-Forwarded-Proto: https, javascript", "X-Forwarded-Host: example.org, a b"}, "10.1.2.3", plainBase},

	{"Forwarded", proxyPeer, []string{"Forwarded: for=198.51.100.1;proto=https;host=example.org"}, clientAddress, publicBase},
	{"quoted, other case, spaces", proxyPeer, []string{`Forwarded: By="_\"a,b;" ; FOR="198.51.100.1:5000" ;Proto=Https; host="example.org"`}, clientAddress, publicBase},
	{"quoted IPv6", proxyPeer, []string{`Forwarded: for="[2001:db8:1:2::3]:5000";host="[2001:db8::1]:8080"`}, "2001:db8:1:2::", "http://[2001:db8::1]:8080/media/"},
	{"the first of two proxies saw the client", proxyPeer, []string{"Forwarded: for=198.51.100.1;proto=https;host=example.org, for=10.0.0.1;proto=http;host=inside"}, clientAddress, publicBase},
	{"the first proxy says only who", proxyPeer, []string{"Forwarded: for=198.51.100.1", "Forwarded: for=10.0.0.1;proto=https;host=example.org"}, clientAddress, publicBase},
	{"forged element", proxyPeer, []string{"Forwarded: for=1.1.1.1;proto=http;host=evil, for=198.51.100.1;proto=https;host=example.org"}, clientAddress, publicBase},
	{"forged open quote", proxyPeer, []string{`Forwarded: for=1.1.1.1;host="evil, for=198.51.100.1;proto=https;host=example.org`}, clientAddress, publicBase},
	{"forged open quote before a quoted address", proxyPeer, []string{`Forwarded: host="evil, for="198.51.100.1";proto=https;host=example.org`}, clientAddress, publicBase},
	{"hidden client", proxyPeer, []string{"Forwarded: for=1.1.1.1;host=evil, for=_hidden;proto=https;host=example.org"}, "10.1.2.3", publicBase},
	{"unknown client", proxyPeer, []string{"Forwarded: for=unknown;proto=https"}, "10.1.2.3", "https://h/media/"},
	{"invalid host", proxyPeer, []string{"Forwarded: for=198.51.100.1;proto=https;host=\"a/b\""}, clientAddress, "https://h/media/"},
	{"a parameter twice", proxyPeer, []string{"Forwarded: for=198.51.100.1;for=1.1.1.1;proto=https"}, "10.1.2.3", plainBase},
	{"malformed element", proxyPeer, []string{"Forwarded: for=198.51.100.1;proto"}, "10.1.2.3", plainBase},
	{"empty Forwarded", proxyPeer, []string{"Forwarded: ", "X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, clientAddress, "https://h/media/"},

	{"both agree", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Host: inside", "Forwarded: for=198.51.100.1;proto=https;host=example.org"}, clientAddress, publicBase},
	{"Forwarded wins without X-Forwarded-For", proxyPeer, []string{"X-Forwarded-Proto: http", "X-Forwarded-Host: inside", "Forwarded: for=198.51.100.1;proto=https;host=example.org"}, clientAddress, publicBase},
	{"Forwarded of the client", proxyPeer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org", "Forwarded: for=1.1.1.1;proto=http;host=evil"}, clientAddress, publicBase},
}

// TestProxies_IdentifyClient checks the address of the client, and the base URL of files that
// the client gets.
func TestProxies_IdentifyClient(t *testing.T) {
	t.Parallel()
	proxies := parseProxies(t, "10.0.0.0/8", "192.0.2.1", "fd00::/8")
	for _, c := range identifyCases {
		r := requestOf(c.peer, c.fields...)
		ctx, identified := proxies.identify(t.Context(), r)
		if got := proxies.sender(r).network().String(); got != c.address {
			t.Errorf("%s: got client %s, want %s", c.name, got, c.address)
		}
		if got := storage.MediaURL("").For(ctx, identified.Host); got != c.base {
			t.Errorf("%s: got files at %s, want %s", c.name, got, c.base)
		}
		if r.Host != "h" {
			t.Errorf("%s: the request was changed", c.name)
		}
	}
}

// TestProxies_AllocateNothing checks that the search for the sender takes no memory.
func TestProxies_AllocateNothing(t *testing.T) {
	proxies := parseProxies(t, "10.0.0.0/8")
	for _, r := range []*http.Request{
		requestOf("203.0.113.9:1"),
		requestOf("10.1.2.3:1", "X-Forwarded-For: 1.1.1.1, 198.51.100.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org"),
		requestOf("10.1.2.3:1", `Forwarded: for="198.51.100.1:5000";proto=https;host=example.org`),
	} {
		if count := testing.AllocsPerRun(100, func() { proxies.sender(r) }); count > 0 {
			t.Errorf("%v: got %v allocations, want 0", r.Header, count)
		}
	}
}

func TestNetwork_ParsesAddressesAndNetworks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.0/8":       "10.0.0.0/8",
		"192.0.2.1":        "192.0.2.1/32",
		"::ffff:192.0.2.1": "192.0.2.1/32",
		"fd00::1":          "fd00::1/128",
		"example.org":      `"example.org" is neither an address nor a network`,
		"10.0.0.0/33":      `"10.0.0.0/33" is neither an address nor a network`,
		"":                 `"" is neither an address nor a network`,
	} {
		var network Network
		err := network.UnmarshalText([]byte(text))
		got := network.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestValidHost_AcceptsNamesAndAddresses(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"example.org": true, "Example.ORG:8080": true, "xn--bcher-kva.example": true, "localhost": true, "192.0.2.1:1": true, "[::1]": true, "[2001:db8::1]:65535": true, "a.": true,
		"": false, ".": false, "-": false, ":80": false, "a:": false, "a:0": false, "a:65536": false, "a:+1": false, "a:b": false, "a:1:2": false, "a_b": false, "a b": false,
		"a/b": false, "user@a": false, "a?b": false, "a#b": false, "a\\b": false, "a\"b": false, "bücher.example": false, "a\x00": false, "[::1": false, "::1": false, "[::1]a": false,
		"[192.0.2.1]": false, "[fe80::1%eth0]": false, "[]": false, strings.Repeat("a", 254): false,
	} {
		if got := validHost(host); got != want {
			t.Errorf("%q: got %t, want %t", host, got, want)
		}
	}
}

// FuzzForwarded checks that no header of a client changes the meaning of the element that the
// proxy appends.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "for=1.1.1.1", `for="`, `host="a\"`, `by="\\";proto=http,`, ",,;=", `"\`} {
		f.Add(seed)
	}
	proxies := parseProxies(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, written string) {
		const added = `for="198.51.100.1:5000";by="_\"a,";proto=https;host="example.org"`
		for _, header := range []http.Header{
			{"Forwarded": {written + ", " + added}},
			{"Forwarded": {written, added}},
		} {
			client := proxies.sender(&http.Request{RemoteAddr: "10.1.2.3:1", Host: "h", Header: header})
			if client.address.String() != "198.51.100.1" || !client.https || client.host != "example.org" {
				t.Fatalf("%q: %+v", written, client)
			}
		}
		client := proxies.sender(&http.Request{RemoteAddr: "10.1.2.3:1", Host: "h", Header: http.Header{"Forwarded": {written}}})
		if client.host != "h" && !validHost(client.host) || !client.address.IsValid() {
			t.Fatalf("%q: %+v", written, client)
		}
	})
}
