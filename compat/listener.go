package compat

import (
	"bytes"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Listen wraps a listener so that requests which net/http refuses to read,
// but the old server read (a stray percent sign in the target, control
// characters in a header), get the old system's answer from the handler.
// Where nothing is refused it costs the copy of each request's head.
func Listen(listener net.Listener, handler http.Handler) net.Listener {
	return lenientListener{listener, handler}
}

type lenientListener struct {
	net.Listener
	handler http.Handler
}

func (l lenientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &lenientConn{TCPConn: tcp, handler: l.handler}, nil
	}
	return conn, nil
}

// maxHead is as much as gunicorn reads of a request's head.
const maxHead = 16 << 10

type lenientConn struct {
	*net.TCPConn
	handler http.Handler

	mu   sync.Mutex // net/http reads in the background while it writes
	head []byte     // what was read since the last write
}

func (c *lenientConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	c.head = append(c.head, p[:min(n, maxHead-len(c.head))]...)
	c.mu.Unlock()
	return n, err
}

// isRefusal recognizes the answer that net/http writes, without a handler, to
// a head that it does not take. Every other one has more headers.
func isRefusal(answer []byte) bool {
	return bytes.HasPrefix(answer, []byte("HTTP/1.1 400 Bad Request")) &&
		bytes.Contains(answer, []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"))
}

func (c *lenientConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if isRefusal(p) {
		if r := readLeniently(c.head, c.LocalAddr(), c.RemoteAddr()); r != nil {
			c.mu.Unlock()
			answer := &rawWriter{header: http.Header{}}
			c.handler.ServeHTTP(answer, r)
			_, err := c.TCPConn.Write(answer.Bytes())
			return len(p), err
		}
	}
	c.head = c.head[:0]
	c.mu.Unlock()
	return c.TCPConn.Write(p)
}

// readLeniently reads a request as gunicorn does, nil where that refuses it
// too. Nothing that the handler answers needs the body.
func readLeniently(head []byte, local, remote net.Addr) *http.Request {
	text, _, complete := strings.Cut(string(head), "\r\n\r\n")
	if !complete {
		return nil
	}
	line, fields, _ := strings.Cut(text, "\r\n")
	words := strings.Split(line, " ")
	if len(words) != 3 || words[0] == "" || words[2] != "HTTP/1.1" && words[2] != "HTTP/1.0" {
		return nil
	}
	if _, err := url.ParseRequestURI(words[1]); err == nil {
		path, _ := splitTarget(words[1])
		if _, ours := parseRoute(path); !ours {
			return nil // the head is for another room, which has no use for it
		}
	}
	r := &http.Request{
		Method:     words[0],
		RequestURI: words[1],
		URL:        &url.URL{Path: words[1]},
		Proto:      words[2],
		ProtoMajor: 1,
		ProtoMinor: int(words[2][len(words[2])-1] - '0'),
		Header:     http.Header{},
		RemoteAddr: remote.String(),
	}
	for fields != "" {
		var field string
		field, fields, _ = strings.Cut(fields, "\r\n")
		name, value, ok := strings.Cut(field, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(value, "\x00\r\n") {
			return nil
		}
		r.Header.Add(textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t"))
	}
	r.Host = headerValue(r, "Host", local.String())
	return r
}

// rawWriter is a response as it goes over the wire; the connection is closed
// after it.
type rawWriter struct {
	bytes.Buffer
	header http.Header
}

func (w *rawWriter) Header() http.Header { return w.header }

func (w *rawWriter) WriteHeader(status int) {
	w.header.Set("Connection", "close")
	w.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) + "\r\n")
	_ = w.header.Write(w)
	w.WriteString("\r\n")
}
