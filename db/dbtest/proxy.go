package dbtest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy forwards connections to PostgreSQL, or another server, until it is
// disconnected or stalled.
type Proxy struct {
	forwarding sync.RWMutex // held for writing while stalled
	replying   sync.RWMutex // held for writing while replies are held back

	mu          sync.Mutex
	up          bool
	connections []net.Conn
	dial        func() (net.Conn, error)
}

// NewProxy starts a proxy for the server of a URL and returns the URL through it.
func NewProxy(t *testing.T, dsn string) (*Proxy, string) {
	t.Helper()
	p := &Proxy{up: true}
	target := p.Retarget(t, dsn)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close(); p.Disconnect() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.forward(client)
		}
	}()
	target.Host = listener.Addr().String()
	query := target.Query()
	query.Del("host")
	query.Set("sslmode", "disable")
	target.RawQuery = query.Encode()
	return p, target.String()
}

// Retarget forwards new connections to the server of dsn, and returns the parsed URL. Open
// connections are not affected.
func (p *Proxy) Retarget(t testing.TB, dsn string) *url.URL {
	t.Helper()
	target, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", target.Host
	if directory := target.Query().Get("host"); directory != "" {
		network, address = "unix", directory+"/.s.PGSQL.5432"
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dial = func() (net.Conn, error) { return net.Dial(network, address) }
	return target
}

func (p *Proxy) forward(client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	server, err := p.dial()
	if err != nil || !p.up {
		_ = client.Close()
		return
	}
	p.connections = append(p.connections, client, server)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(pair[0], reader{pair[1], p, pair[1] == server})
			_ = pair[0].Close()
		}()
	}
}

// reader reads from a connection unless the proxy is stalled.
type reader struct {
	connection net.Conn
	proxy      *Proxy
	replies    bool
}

func (r reader) Read(b []byte) (int, error) {
	n, err := r.connection.Read(b)
	r.proxy.forwarding.RLock()
	defer r.proxy.forwarding.RUnlock()
	if r.replies {
		r.proxy.replying.RLock()
		defer r.proxy.replying.RUnlock()
	}
	return n, err
}

// HoldReplies forwards what clients send, but no reply until release is called.
func (p *Proxy) HoldReplies() (release func()) {
	p.replying.Lock()
	return p.replying.Unlock
}

// Stall keeps connections open and accepts new ones, but forwards nothing until
// resume is called.
func (p *Proxy) Stall() (resume func()) {
	p.forwarding.Lock()
	return p.forwarding.Unlock
}

// Disconnect closes every connection and refuses new ones.
func (p *Proxy) Disconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = false
	for _, connection := range p.connections {
		_ = connection.Close()
	}
	p.connections = nil
}

// Reconnect accepts connections again.
func (p *Proxy) Reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = true
}
