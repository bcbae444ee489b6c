package middleware

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"portfolio/internal/auth"
	"portfolio/internal/storage"
)

// Network is the network of a reverse proxy, or its address.
type Network struct{ netip.Prefix }

// UnmarshalText implements encoding.TextUnmarshaler. It parses an address or a
// network such as 10.0.0.0/8.
func (n *Network) UnmarshalText(text []byte) error {
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil {
		address, err := netip.ParseAddr(string(text))
		if err != nil {
			return fmt.Errorf("%q is neither an address nor a network", text)
		}
		prefix = netip.PrefixFrom(address.Unmap().WithZone(""), address.Unmap().BitLen())
	}
	n.Prefix = prefix
	return nil
}

// Proxies are the reverse proxies whose headers are trusted: Forwarded of RFC
// 7239, or else X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host.
type Proxies []Network

func (p Proxies) contains(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(network Network) bool { return network.Contains(address) })
}

// sender describes the client of a request, by the headers of proxies or else the connection.
type sender struct {
	address netip.Addr
	https   bool
	host    string // host that the client named
}

// identify returns a copy of a request with the host that the client named. The returned context
// carries the client's address and scheme.
func (p Proxies) identify(ctx context.Context, r *http.Request) (context.Context, *http.Request) {
	client := p.sender(r)
	ctx = auth.WithAddress(ctx, client.network())
	if client.https {
		ctx = storage.WithTLS(ctx)
	}
	r = r.WithContext(ctx)
	r.Host = client.host
	return ctx, r
}

// network returns an IPv4 address, or the /64 network of an IPv6 address, which
// providers assign to a single customer.
func (s sender) network() netip.Addr {
	if s.address.Is6() {
		network, _ := s.address.Prefix(64)
		return network.Addr()
	}
	return s.address
}

// sender returns the client that sent a request to its first trusted proxy. Forwarded counts
// unless X-Forwarded-For names another client: most proxies write X-Forwarded-For, and pass on
// the Forwarded of the client.
func (p Proxies) sender(r *http.Request) sender {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	direct := sender{address: peer.Addr().Unmap(), host: r.Host}
	if !p.contains(direct.address) {
		return direct
	}
	client, addresses := direct, r.Header["X-Forwarded-For"]
	p.followAddresses(&client, addresses)
	client.setForwarded(r.Header)
	if lines := r.Header["Forwarded"]; len(lines) > 0 {
		forwarded := client
		forwarded.address = direct.address
		p.followForwarded(&forwarded, lines)
		if len(addresses) == 0 || forwarded.address == client.address {
			return forwarded
		}
	}
	return client
}

// followAddresses sets the address of the client by the addresses that trusted proxies added.
func (p Proxies) followAddresses(client *sender, lines []string) {
	list := headerList{lines: lines}
	for p.contains(client.address) {
		hop, ok := list.last()
		if !ok || !client.setAddress(hop) {
			return
		}
	}
}

// setForwarded sets the scheme and the host that the last proxy added. Unlike Forwarded, these lists
// may lack a hop, so the client may have written the earlier elements.
func (s *sender) setForwarded(header http.Header) {
	list := headerList{lines: header["X-Forwarded-Proto"]}
	if scheme, ok := list.last(); ok {
		s.setScheme(scheme)
	}
	list = headerList{lines: header["X-Forwarded-Host"]}
	if host, ok := list.last(); ok {
		s.setHost(host)
	}
}

// followForwarded sets the client by the elements that trusted proxies added. Each element
// describes one hop, so the scheme and the host of the first hop count.
func (p Proxies) followForwarded(client *sender, lines []string) {
	list := headerList{lines: lines}
	for p.contains(client.address) {
		element, ok := list.last()
		if !ok {
			return
		}
		hop, ok := parseHop(element)
		if !ok {
			return
		}
		client.setScheme(hop.proto)
		client.setHost(hop.host)
		if !client.setAddress(hop.node) {
			return
		}
	}
}

func (s *sender) setScheme(scheme string) {
	switch {
	case strings.EqualFold(scheme, "https"):
		s.https = true
	case strings.EqualFold(scheme, "http"):
		s.https = false
	}
}

func (s *sender) setHost(host string) {
	if validHost(host) {
		s.host = host
	}
}

// setAddress sets the address to node, an address with or without a port. It reports whether
// node is valid.
func (s *sender) setAddress(node string) bool {
	var address netip.Addr
	var err error
	if inner, bracketed := strings.CutPrefix(node, "["); bracketed && strings.HasSuffix(inner, "]") {
		address, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
	} else if bracketed || strings.Count(node, ":") == 1 {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(node)
		address = withPort.Addr()
	} else {
		address, err = netip.ParseAddr(node)
	}
	if err == nil {
		s.address = address.Unmap()
	}
	return err == nil
}
