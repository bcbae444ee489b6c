package graphqlhttp_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// TestWebSocket_LimitsControlMessages checks that messages that are not operations are small.
func TestWebSocket_LimitsControlMessages(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		for _, message := range []string{
			`{"type":"ping","payload":"JUNK"}`,
			`{"type":"ping","unknown":"JUNK"}`,
			`{"type":"pong","payload":{"JUNK":1}}`,
			`{"type":"complete","id":"1","payload":"JUNK"}`,
		} {
			client := dialSocket(t, server, nil, "graphql-transport-ws")
			script(opened).run(t, server, dsn, client.receive, client.send)
			client.send(strings.Replace(message, "JUNK", strings.Repeat("x", 900), 1))
			if strings.Contains(message, "ping") {
				client.receive()
			}
			client.send(strings.Replace(message, "JUNK", strings.Repeat("x", 1<<10), 1))
			if got, want := client.receive(), "x 1009 Message too big"; got != want {
				t.Errorf("%s: got %.100s, want %s", message, got, want)
			}
		}
	})
}

// floods are what a client sends more often than it needs.
var floods = map[string]func(socket) error{
	"pings":    func(s socket) error { return s.write(`{"type":"ping"}`) },
	"pongs":    func(s socket) error { return s.write(`{"type":"pong"}`) },
	"complete": func(s socket) error { return s.write(`{"type":"complete","id":"none"}`) },
	"frames":   func(s socket) error { return s.connection.Ping(s.ctx) },
	"operations above the rate limit": func(s socket) error {
		return s.write(`{"id":"1","type":"subscribe","payload":{"query":"{__typename}"}}`)
	},
}

func (s socket) write(text string) error {
	return s.connection.Write(s.ctx, websocket.MessageText, []byte(text))
}

// discard reads messages until the connection is lost, and closes it then.
func (s socket) discard() {
	defer func() { _ = s.connection.CloseNow() }()
	for {
		if _, _, err := s.connection.Read(s.ctx); err != nil {
			return
		}
	}
}

// TestWebSocket_EndsFloods checks that a client that floods is disconnected, with and without
// a rate limit, and that each message counts.
func TestWebSocket_EndsFloods(t *testing.T) {
	t.Parallel()
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachURL(t, func(t *testing.T, dsn string) {
				const limited = 7
				var counted atomic.Int64
				limits := map[string]func(context.Context, string) bool{
					"no rate limit": nil,
					"a rate limit":  func(context.Context, string) bool { return counted.Add(1) <= limited },
				}
				if strings.HasPrefix(name, "operations") {
					delete(limits, "no rate limit")
				}
				for what, allow := range limits {
					server := serveLoaded(t, dsn, func(o *graphtest.Options) { o.Allow = allow })
					client := dialSocket(t, server, nil, "graphql-transport-ws")
					go client.discard()
					if strings.HasPrefix(name, "operations") {
						if err := client.write(`{"type":"connection_init"}`); err != nil {
							t.Fatal(err)
						}
					}
					sent := 0
					for ; sent < 1_000_000 && flood(client) == nil; sent++ {
					}
					if sent == 1_000_000 || client.ctx.Err() != nil {
						t.Errorf("%s: not disconnected after %d", what, sent)
					}
				}
				if got := counted.Load(); got <= limited {
					t.Errorf("%d were counted, want more than %d", got, limited)
				}
			})
		})
	}
}

// TestWebSocket_ClosesFlood checks the close code for a client that has sent too many messages.
func TestWebSocket_ClosesFlood(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		var allowed atomic.Int64
		server := serveSubscriptions(t, dsn, func(o *graphtest.Options) {
			o.Allow = func(context.Context, string) bool { return allowed.Add(-1) >= 0 }
		})
		client := dialSocket(t, server, http.Header{"Authorization": {admin}}, "graphql-transport-ws")
		allowed.Store(3)
		script(`> {"type":"connection_init"}
			< {"type":"connection_ack"}
			> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
			< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}}
			> {"id":"1","type":"complete"}
			> {"type":"ping"}
			< {"type":"pong"}
			> {"type":"ping"}
			x 1013 Too many messages`).run(t, server, dsn, client.receive, client.send)
	})
}

// TestWebSocket_CountsNoPongs checks that the pongs of a client, and the ends of its subscriptions, do
// not disconnect it.
func TestWebSocket_CountsNoPongs(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		client := dialSocket(t, server, nil, "graphql-transport-ws")
		script(opened).run(t, server, dsn, client.receive, client.send)
		for range 300 {
			script(`> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){id}}"}}
				< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"id":"4"}}}}
				> {"id":"1","type":"complete"}`).run(t, server, dsn, client.receive, client.send)
		}
		script(`> {"type":"ping"}
			< {"type":"pong"}`).run(t, server, dsn, client.receive, client.send)
	})
}

// TestWebSocket_RejectsLongHost checks that a Host is small, since each connection keeps it.
func TestWebSocket_RejectsLongHost(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		long := strings.Repeat("h", 10_000)
		_, response, err := websocket.Dial(t.Context(), server.URL+"/graphql", &websocket.DialOptions{Host: long, Subprotocols: []string{"graphql-transport-ws"}})
		if err == nil || response == nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("WebSocket: got %v %v", response, err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/graphql", strings.NewReader(subscribes))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = long
		request.Header = http.Header{"Content-Type": {oldType}, "Accept": {"text/event-stream"}, "Authorization": {admin}}
		response, err = server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusBadRequest {
			t.Errorf("event stream: got %s %v, want 400", response.Status, err)
		}
	})
}
