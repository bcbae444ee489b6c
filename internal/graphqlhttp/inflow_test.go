package graphqlhttp_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// TestWebSocket_ReadsLittle checks that the server stops reading when a client sends no complete
// message, and after the server has closed the WebSocket.
func TestWebSocket_ReadsLittle(t *testing.T) {
	t.Parallel()
	const (
		mask      = "\x00\x00\x00\x00"
		empty     = "\x00\x80" + mask       // a continuation
		noMessage = "\x81\x81" + mask + "x" // no JSON
	)
	for name, c := range map[string]struct{ first, flood string }{
		"empty fragments":            {"\x01\x80" + mask, strings.Repeat(empty, 10_000)},
		"frames after a close":       {noMessage, strings.Repeat("\x8a\x80"+mask, 10_000)},
		"a message after a close":    {noMessage, "\x81\xff\x00\x00\x00\x00\x10\x00\x00\x00" + mask + strings.Repeat("x", 60_000)},
		"messages after a close":     {noMessage, strings.Repeat(noMessage, 10_000)},
		"a large message, 1 MB each": {"", "\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00" + mask + strings.Repeat(" ", 1<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
				server := serveSubscriptions(t, dsn, nil)
				connection, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = connection.Close() }()
				_ = connection.SetDeadline(time.Now().Add(patience))
				_, _ = fmt.Fprint(connection, "GET /graphql HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
					"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
				if response, err := http.ReadResponse(bufio.NewReader(connection), nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(response, err)
				}
				if _, err := connection.Write([]byte(c.first)); err != nil {
					t.Fatal(err)
				}
				const limit = 32 << 20 // more than the system buffers
				sent := 0
				for flood := []byte(c.flood); sent < limit; sent += len(flood) {
					if _, err = connection.Write(flood); err != nil {
						break
					}
				}
				if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%d bytes were read: %v", sent, err)
				}
			})
		})
	}
}
