package dbtest

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line carries connections to PostgreSQL until it is cut or stalled.
type Line struct {
	moving sync.RWMutex // held for writing while nothing moves

	mu    sync.Mutex
	up    bool
	ends  []net.Conn
	reach func() (net.Conn, error)
}

// NewLine returns the address of the database through a line.
func NewLine(t *testing.T, dsn string) (*Line, string) {
	t.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, server := "tcp", address.Host
	if folder := address.Query().Get("host"); folder != "" {
		network, server = "unix", folder+"/.s.PGSQL.5432"
	}
	l := &Line{up: true, reach: func() (net.Conn, error) { return net.Dial(network, server) }}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close(); l.Cut() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(near)
		}
	}()
	address.Host = listener.Addr().String()
	query := address.Query()
	query.Del("host")
	query.Set("sslmode", "disable")
	address.RawQuery = query.Encode()
	return l, address.String()
}

func (l *Line) carry(near net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	far, err := l.reach()
	if err != nil || !l.up {
		_ = near.Close()
		return
	}
	l.ends = append(l.ends, near, far)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(way[0], reader{way[1], l})
			_ = way[0].Close()
		}()
	}
}

// reader reads from a connection while the line moves.
type reader struct {
	from net.Conn
	line *Line
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.line.moving.RLock()
	defer r.line.moving.RUnlock()
	return n, err
}

// Stall keeps connections open and takes new ones, but carries nothing until
// resume is called.
func (l *Line) Stall() (resume func()) {
	l.moving.Lock()
	return l.moving.Unlock
}

// Cut closes every connection and refuses new ones.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = false
	for _, end := range l.ends {
		_ = end.Close()
	}
	l.ends = nil
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = true
}
