package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"portfolio/db/dbtest"
)

// opener opens a connection that lasts, number i of its kind.
type opener func(ctx context.Context, url, key string, i int) error

// webSocketWith opens a WebSocket, sends messages, and reads as many.
func webSocketWith(query string, header http.Header, protocols []string, messages ...string) opener {
	return func(ctx context.Context, url, key string, _ int) error {
		connection, _, err := websocket.Dial(ctx, url+"/graphql"+query, &websocket.DialOptions{HTTPHeader: header.Clone(), Subprotocols: append(protocols, "graphql-transport-ws")})
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = connection.CloseNow() })
		client := webSocket{ctx, connection}
		for _, message := range messages {
			sent := client.send(strings.ReplaceAll(message, "KEY", key))
			if _, text, err := client.Read(ctx); errors.Join(sent, err) != nil || strings.Contains(string(text), `"error"`) {
				return fmt.Errorf("%.200s: got %.300s %w", message, text, errors.Join(sent, err))
			}
		}
		return nil
	}
}

// eventsWith opens an event stream, and reads the first event.
func eventsWith(query string, header http.Header, body string) opener {
	return func(ctx context.Context, url, key string, _ int) error {
		method := http.MethodPost
		if body == "" {
			method = http.MethodGet
		}
		request, err := http.NewRequestWithContext(ctx, method, url+"/graphql"+query, strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header = header.Clone()
		for name, value := range map[string]string{"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": "Token " + key} {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = response.Body.Close() })
		first := make([]byte, len("event: next"))
		_, err = io.ReadFull(response.Body, first)
		if string(first) != "event: next" {
			return fmt.Errorf("%s %s %w", response.Status, first, err)
		}
		return nil
	}
}

// subscriptionsWith returns the messages of a client that authenticates and subscribes n times.
func subscriptionsWith(n int, payload string) []string {
	messages := []string{`{"type":"connection_init","payload":{"Authorization":"Token KEY"}}`}
	for i := range n {
		messages = append(messages, fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":%s}`, i, payload))
	}
	return messages
}

// TestConnections_KeepLittle checks that the server keeps little memory for each connection,
// even if its client has sent as much as it may. The database has no part in it.
func TestConnections_KeepLittle(t *testing.T) {
	t.Parallel()
	// Other work of the server takes or frees about a megabyte between two readings.
	const connections, perConnection, perSubscription = 48, 40 << 10, 2 << 10 // bytes
	junk, manyFields := strings.Repeat("x", 60_000), http.Header{}
	for i := range 6000 {
		manyFields[fmt.Sprint("A", i)] = []string{""}
	}
	megabyte := strings.Repeat("x", 1_000_000)
	const name = `"query":"subscription{portfolioLinkChanged(id:4){name}}"`
	spaces := strings.Repeat(" ", 60_000)
	cases := map[string]struct {
		open          opener
		subscriptions int
		text          int // bytes that all connections share
	}{
		"headers of a WebSocket":      {open: webSocketWith("", http.Header{"X-Junk": {junk}}, nil)},
		"fields of a WebSocket":       {open: webSocketWith("", manyFields, nil)},
		"query of a WebSocket":        {open: webSocketWith("?"+junk, nil, nil)},
		"subprotocols of a WebSocket": {open: webSocketWith("", nil, []string{junk})},
		"token of a WebSocket":        {open: webSocketWith("", http.Header{"Authorization": {"Token " + spaces + "key"}}, nil)},
		"spaces in a token": {open: webSocketWith("", nil, nil,
			`{"type":"connection_init","payload":{"Authorization":"Token`+strings.Repeat(" ", 127_000)+`KEY"}}`)},
		"parameters of connection_init": {open: webSocketWith("", nil, nil,
			`{"type":"connection_init","payload":{"Authorization":"Token KEY","more":"`+junk+`"}}`)},
		"variables":       {open: webSocketWith("", nil, nil, subscriptionsWith(1, `{`+name+`,"variables":{"a":"`+megabyte+`"}}`)...), subscriptions: 1},
		"extensions":      {open: webSocketWith("", nil, nil, subscriptionsWith(1, `{`+name+`,"extensions":{"a":"`+megabyte+`"}}`)...), subscriptions: 1},
		"a long document": {open: webSocketWith("", nil, nil, subscriptionsWith(8, `{"query":"subscription Name{`+spaces+`portfolioLinkChanged(id:4){name}}"}`)...), subscriptions: 8, text: 4 * len(spaces)},
		"a long name":     {open: webSocketWith("", nil, nil, subscriptionsWith(8, `{"query":"subscription `+junk+`{portfolioLinkChanged(id:4){name}}"}`)...), subscriptions: 8, text: 4 * len(junk)},
		"long IDs": {open: webSocketWith("", nil, nil, `{"type":"connection_init","payload":{"Authorization":"Token KEY"}}`,
			`{"id":"`+strings.Repeat("x", 128)+`","type":"subscribe","payload":{`+name+`}}`), subscriptions: 1},
		"variables of an event stream": {open: eventsWith("", http.Header{}, `{`+name+`,"variables":{"a":"`+megabyte+`"}}`), subscriptions: 1},
		"headers of an event stream":   {open: eventsWith("", http.Header{"X-Junk": {junk}}, `{`+name+`}`), subscriptions: 1},
	}
	server := startProcess(t, dbtest.LoadedSQLite(t, recorded), "file:"+t.TempDir(), t.TempDir(), "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=error")
	defer server.kill(t)
	const key = "be995b582c8bf952546d3819251020d1ad1b2eb1"
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := float64(perConnection + c.subscriptions*perSubscription + c.text/connections)
			got := keptByConnections(t, server, key, want, connections, c.open)
			if got > want {
				t.Errorf("each connection keeps %.0f bytes, want at most %.0f", got, want)
			}
			t.Logf("%.1f KiB for each connection", got/1024)
		})
	}
}

// keptByConnections returns how many bytes of memory the server keeps for each of n
// connections. It stops reading the figures once they are at most want.
func keptByConnections(t *testing.T, server *process, key string, want float64, n int, open opener) (kept float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	defer awaitClosed(t, server)
	clients, leave := context.WithCancel(ctx)
	defer leave()
	if err := open(clients, server.URL, key, -1); err != nil { // what all share
		t.Fatal(err)
	}
	var before, during figures
	for range 2 { // pools lose their objects in the second collection
		before.read(t, server)
	}
	for i := range n {
		if err := open(clients, server.URL, key, i); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // other work of the server holds memory for a moment
		during.read(t, server)
		if kept = (during.bytes - before.bytes) / float64(n); kept <= want {
			break
		}
	}
	return kept
}

// awaitClosed waits until the server has no open connection of a client.
func awaitClosed(t *testing.T, server *process) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	var now figures
	for deadline := time.Now().Add(patience); ; {
		if now.read(t, server); now.connections == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%g connections are still open", now.connections)
		}
	}
}
