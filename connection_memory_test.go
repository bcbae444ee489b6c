package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

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
// even if its client has sent as much as it may.
func TestConnections_KeepLittle(t *testing.T) {
	const connections, perConnection, perSubscription = 12, 40 << 10, 2 << 10 // bytes
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
		"variables":       {open: webSocketWith("", nil, nil, subscriptionsWith(4, `{`+name+`,"variables":{"a":"`+megabyte+`"}}`)...), subscriptions: 4},
		"extensions":      {open: webSocketWith("", nil, nil, subscriptionsWith(4, `{`+name+`,"extensions":{"a":"`+megabyte+`"}}`)...), subscriptions: 4},
		"a long document": {open: webSocketWith("", nil, nil, subscriptionsWith(100, `{"query":"subscription Name{`+spaces+`portfolioLinkChanged(id:4){name}}"}`)...), subscriptions: 100, text: 4 * len(spaces)},
		"a long name":     {open: webSocketWith("", nil, nil, subscriptionsWith(100, `{"query":"subscription `+junk+`{portfolioLinkChanged(id:4){name}}"}`)...), subscriptions: 100, text: 4 * len(junk)},
		"long IDs": {open: webSocketWith("", nil, nil, `{"type":"connection_init","payload":{"Authorization":"Token KEY"}}`,
			`{"id":"`+strings.Repeat("x", 128)+`","type":"subscribe","payload":{`+name+`}}`), subscriptions: 1},
		"variables of an event stream": {open: eventsWith("", http.Header{}, `{`+name+`,"variables":{"a":"`+megabyte+`"}}`), subscriptions: 1},
		"headers of an event stream":   {open: eventsWith("", http.Header{"X-Junk": {junk}}, `{`+name+`}`), subscriptions: 1},
	}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, filepath.Join(projectDirectory, "compat/testdata/fixtures.json"))
		server := startProcess(t, dsn, "file:"+t.TempDir(), t.TempDir(), "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=error")
		defer server.kill(t)
		const key = "be995b582c8bf952546d3819251020d1ad1b2eb1"
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				got := keptByConnections(t, server, key, connections, c.open) - float64(c.text)/connections
				if want := float64(perConnection + c.subscriptions*perSubscription); got > want {
					t.Errorf("each connection keeps %.0f bytes, want at most %.0f", got, want)
				}
				t.Logf("%.1f KiB for each connection", got/1024)
			})
		}
	})
}

// keptByConnections returns how many bytes of memory the server keeps for each of n
// connections.
func keptByConnections(t *testing.T, server *process, key string, n int, open opener) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := open(ctx, server.url, key, -1); err != nil { // what all share
		t.Fatal(err)
	}
	var before, during figures
	before.read(t, server)
	before.read(t, server)
	for i := range n {
		if err := open(ctx, server.url, key, i); err != nil {
			t.Fatal(err)
		}
	}
	during.read(t, server)
	during.read(t, server)
	return (during.bytes - before.bytes) / float64(n)
}
