package graphqlhttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/changefeed/changefeedtest"
)

// script is a conversation with a server. Its lines are:
//
//	> MESSAGE             that the client sends over a WebSocket
//	< MESSAGE             that the client receives next
//	x CODE REASON         with which the server closes the WebSocket
//	POST QUERY            of another client, an admin
//	SQL STATEMENT         of another program
//
// KEY is the key of an admin.
type script string

// patience is how long a test waits for what must happen.
const patience = time.Minute

// serveSubscriptions serves a database with the recorded rows and a feed.
func serveSubscriptions(t *testing.T, dsn string, change func(*graphtest.Options)) *httptest.Server {
	t.Helper()
	return serveLoaded(t, dsn, change)
}

func serveLoaded(t *testing.T, dsn string, change func(*graphtest.Options)) *httptest.Server {
	t.Helper()
	database := dbtest.Open(t, dsn)
	changes := changefeedtest.Start(t, database)
	return graphtest.Serve(t, database, func(o *graphtest.Options) {
		o.Feed = changes
		if change != nil {
			change(o)
		}
	})
}

// socket is a client of a WebSocket.
type socket struct {
	t          *testing.T
	ctx        context.Context
	connection *websocket.Conn
}

func dialSocket(t *testing.T, server *httptest.Server, header http.Header, protocols ...string) socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	connection, _, err := websocket.Dial(ctx, server.URL+"/graphql", &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.CloseNow() })
	connection.SetReadLimit(-1)
	return socket{t, ctx, connection}
}

func (s socket) send(text string) {
	s.t.Helper()
	if err := s.connection.Write(s.ctx, websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// receive returns the next message, or the code and reason with which the server has
// closed the connection.
func (s socket) receive() string {
	s.t.Helper()
	_, text, err := s.connection.Read(s.ctx)
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		return fmt.Sprintf("x %d %s", closed.Code, closed.Reason)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return "< " + string(text)
}

// run runs a script.
func (s script) run(t *testing.T, server *httptest.Server, dsn string, receive func() string, send func(string)) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(string(s)), "\n") {
		line = strings.ReplaceAll(strings.TrimSpace(line), "KEY", graphtest.Admin)
		what, rest, _ := strings.Cut(line, " ")
		switch what {
		case "":
		case ">":
			send(rest)
		case "POST":
			if response, body := graphtest.Query(t, server, admin, rest, nil); response.StatusCode != http.StatusOK || strings.Contains(body, "errors") {
				t.Fatalf("%s: %s", rest, body)
			}
		case "SQL":
			dbtest.Exec(t, dsn, rest)
		default:
			if got := strings.ReplaceAll(receive(), server.URL, "HOST"); got != line {
				t.Fatalf("got  %s\nwant %s", got, line)
			}
		}
	}
}

const (
	opened = `
		> {"type":"connection_init","payload":{"Authorization":"Token KEY"}}
		< {"type":"connection_ack"}
`
	subscribedToLink = opened + `
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
		< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}}
`
)

// socketScripts are conversations over a WebSocket that begins anew.
var socketScripts = []struct {
	name   string
	header http.Header
	script script
}{
	{name: "a link", script: subscribedToLink + `
		POST mutation{updatePortfolioLink(input:{id:4,name:"by a mutation"}){portfolioLink{id}}}
		< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"by a mutation"}}}}
		SQL UPDATE portfolio_links SET name = 'by a statement' WHERE id = 4
		< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"by a statement"}}}}
		POST mutation{updatePortfolioLink(input:{id:4,description:"not selected"}){portfolioLink{id}}}
		SQL DELETE FROM portfolio_links WHERE id = 4
		< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":null}}}
		> {"id":"1","type":"complete"}
		> {"type":"ping"}
		< {"type":"pong"}`},
	{name: "a portfolio with its links", script: opened + `
		> {"id":"p","type":"subscribe","payload":{"query":"subscription S($id:ID!,$n:Int){portfolioChanged(portfolioId:$id){name links(first:$n,filter:{hasImage:true},orderBy:{field:NAME}){nodes{name portfolio{id}} totalCount}}}","operationName":"S","variables":{"id":"UG9ydGZvbGlvOjc3","n":5}}}
		< {"id":"p","type":"next","payload":{"data":{"portfolioChanged":null}}}
		SQL INSERT INTO portfolios (id, name) VALUES (77, 'new')
		< {"id":"p","type":"next","payload":{"data":{"portfolioChanged":{"name":"new","links":{"nodes":[],"totalCount":0}}}}}
		POST mutation{createPortfolioLinks(input:{links:[{portfolioId:77,name:"B",imageId:6},{portfolioId:77,name:"A",imageId:6},{portfolioId:77,name:"C"}]}){portfolioLinks{id}}}
		< {"id":"p","type":"next","payload":{"data":{"portfolioChanged":{"name":"new","links":{"nodes":[{"name":"A","portfolio":{"id":"77"}},{"name":"B","portfolio":{"id":"77"}}],"totalCount":2}}}}}
		POST mutation{updateImage(input:{id:6,alt:"not selected"}){image{id}}}
		POST mutation{deletePortfolio(input:{id:77}){deletedLinkCount}}
		< {"id":"p","type":"next","payload":{"data":{"portfolioChanged":null}}}`},
	{name: "two subscriptions", script: subscribedToLink + `
		> {"id":"2","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
		< {"id":"2","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}}
		> {"id":"2","type":"complete"}
		SQL UPDATE portfolio_links SET name = 'new' WHERE id = 4
		< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"new"}}}}
		> {"id":"2","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
		< {"id":"2","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"new"}}}}
		> {"id":"1","type":"subscribe","payload":{"query":"{__typename}"}}
		x 4409 Subscriber already exists`},
	{name: "queries and mutations", script: opened + `
		> {"id":"q","type":"subscribe","payload":{"query":"{viewer{username} portfolioLink(id:4){imageData{url}}}"}}
		< {"id":"q","type":"next","payload":{"data":{"viewer":{"username":"admin"},"portfolioLink":{"imageData":{"url":"HOST/media/core_media/2025/12/02/technology.png"}}}}}
		< {"id":"q","type":"complete"}
		> {"id":"q","type":"subscribe","payload":{"query":"mutation{updatePortfolioLink(input:{id:4,name:\"new\"}){portfolioLink{name}}}"}}
		< {"id":"q","type":"next","payload":{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"new"}}}}}
		< {"id":"q","type":"complete"}
		> {"id":"q","type":"subscribe","payload":{"query":"{portfolioLink(id:\"x\"){name}}"}}
		< {"id":"q","type":"error","payload":[{"message":"id must be a 64-bit whole number or a nodeId.","locations":[{"line":1,"column":19}],"extensions":{"code":"BAD_USER_INPUT","field":["id"]}}]}
		> {"id":"q","type":"subscribe","payload":{"query":"{viewer{username} portfolioLinks(first:101){nodes{id}}}"}}
		< {"id":"q","type":"next","payload":{"errors":[{"message":"first must be 1 to 100.","path":["portfolioLinks"],"locations":[{"line":1,"column":19}],"extensions":{"code":"BAD_USER_INPUT","field":["first"]}}],"data":{"viewer":{"username":"admin"},"portfolioLinks":null}}}
		< {"id":"q","type":"complete"}`},
	{name: "errors of subscriptions", script: opened + `
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:\"x\"){name}}"}}
		< {"id":"1","type":"error","payload":[{"message":"id must be a 64-bit whole number or a nodeId.","locations":[{"line":1,"column":38}],"extensions":{"code":"BAD_USER_INPUT","field":["id"]}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription($id:ID=4){portfolioLinkChanged(id:$id){name}}","variables":{"id":null}}}
		< {"id":"1","type":"error","payload":[{"message":"id must not be null.","path":["portfolioLinkChanged"],"locations":[{"line":1,"column":24}],"extensions":{"code":"BAD_USER_INPUT","field":["id"]}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){nme}}"}}
		< {"id":"1","type":"error","payload":[{"message":"Cannot query field \"nme\" on type \"PortfolioLink\". Did you mean \"name\"?","locations":[{"line":1,"column":41}],"extensions":{"code":"BAD_USER_INPUT"}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{a:portfolioLinkChanged(id:4){id} b:portfolioLinkChanged(id:4){id}}"}}
		< {"id":"1","type":"error","payload":[{"message":"A subscription must select exactly one field.","locations":[{"line":1,"column":47}],"extensions":{"code":"BAD_USER_INPUT"}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription($a:Boolean!){portfolioLinkChanged(id:4)@include(if:$a){id}}","variables":{"a":false}}}
		< {"id":"1","type":"error","payload":[{"message":"Anonymous Subscription must not use @include on its top level field.","locations":[{"line":1,"column":53}],"extensions":{"code":"BAD_USER_INPUT"}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{__typename}"}}
		< {"id":"1","type":"error","payload":[{"message":"Anonymous Subscription must not select an introspection top level field.","locations":[{"line":1,"column":14}],"extensions":{"code":"BAD_USER_INPUT"}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioChanged(portfolioId:1){links(first:100){nodes{portfolio{links(first:100){nodes{id}}}}}}}"}}
		< {"id":"1","type":"error","payload":[{"message":"The operation costs 20302, more than 10000. Ask for smaller pages or fewer fields.","extensions":{"code":"BAD_USER_INPUT","cost":20302,"maxCost":10000}}]}
		> {"id":"1","type":"subscribe","payload":{"query":1}}
		< {"id":"1","type":"error","payload":[{"message":"The request must be one JSON object with a query, and may have operationName, variables and extensions.","extensions":{"code":"BAD_USER_INPUT"}}]}
		> {"id":"1","type":"subscribe"}
		< {"id":"1","type":"error","payload":[{"message":"The request must be one JSON object with a query, and may have operationName, variables and extensions.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
	{name: "an error inside an event", script: opened + `
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioChanged(portfolioId:1){name links(first:101){nodes{id}}}}"}}
		< {"id":"1","type":"next","payload":{"errors":[{"message":"first must be 1 to 100.","path":["portfolioChanged","links"],"locations":[{"line":1,"column":51}],"extensions":{"code":"BAD_USER_INPUT","field":["first"]}}],"data":{"portfolioChanged":null}}}`},
	{name: "documents by hash", script: opened + `
		> {"id":"1","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"d3dda7c5d1cf1f8d9bcd7a8bb7bb4bd0d4c3d2f2e3b4e5b8a4a2c0fbb3c5c6d7"}}}}
		< {"id":"1","type":"error","payload":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){id}}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + script(sha("subscription{portfolioLinkChanged(id:4){id}}")) + `"}}}}
		< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"id":"4"}}}}
		> {"id":"2","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + script(sha("subscription{portfolioLinkChanged(id:4){id}}")) + `"}}}}
		< {"id":"2","type":"next","payload":{"data":{"portfolioLinkChanged":{"id":"4"}}}}`},
	{name: "the token of the request", header: http.Header{"Authorization": {admin}}, script: `
		> {"type":"connection_init"}
		< {"type":"connection_ack"}
		> {"id":"1","type":"subscribe","payload":{"query":"{viewer{username}}"}}
		< {"id":"1","type":"next","payload":{"data":{"viewer":{"username":"admin"}}}}
		< {"id":"1","type":"complete"}`},
	{name: "no token", script: `
		> {"type":"connection_init"}
		< {"type":"connection_ack"}
		> {"id":"1","type":"subscribe","payload":{"query":"{__typename}"}}
		< {"id":"1","type":"next","payload":{"data":{"__typename":"Query"}}}
		< {"id":"1","type":"complete"}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
		< {"id":"1","type":"error","payload":[{"message":"Authentication is required.","path":["portfolioLinkChanged"],"locations":[{"line":1,"column":14}],"extensions":{"code":"UNAUTHENTICATED"}}]}`},
	{name: "no permission", header: http.Header{"Authorization": {"Token " + graphtest.Staff}}, script: `
		> {"type":"connection_init","payload":null}
		< {"type":"connection_ack"}
		> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioChanged(portfolioId:1){name}}"}}
		< {"id":"1","type":"error","payload":[{"message":"You do not have permission to do this.","path":["portfolioChanged"],"locations":[{"line":1,"column":14}],"extensions":{"code":"FORBIDDEN"}}]}`},
	{name: "pings", script: `
		> {"type":"ping","payload":{"a":[1]}}
		< {"type":"pong","payload":{"a":[1]}}
		> {"type":"pong"}
		> {"id":"none","type":"complete"}
		> {"type":"ping"}
		< {"type":"pong"}`},
	{name: "an unknown token", script: `
		> {"type":"connection_init","payload":{"authorization":"Token nobody"}}
		x 4403 Forbidden`},
	{name: "a malformed token", script: `
		> {"type":"connection_init","payload":{"Authorization":"Basic KEY"}}
		x 4403 Forbidden`},
	{name: "subscribe before connection_init", script: `
		> {"id":"1","type":"subscribe","payload":{"query":"{__typename}"}}
		x 4401 Unauthorized`},
	{name: "two connection_init", script: opened + `
		> {"type":"connection_init"}
		x 4429 Too many initialisation requests`},
	{name: "not JSON", script: "> {\nx 4400 Invalid message"},
	{name: "an array", script: "> []\nx 4400 Invalid message"},
	{name: "an unknown type", script: `> {"type":"start"}` + "\nx 4400 Invalid message"},
	{name: "no type", script: `> {"id":"1"}` + "\nx 4400 Invalid message"},
	{name: "a number as ID", script: opened + `> {"id":1,"type":"subscribe","payload":{"query":"{__typename}"}}` + "\nx 4400 Invalid message"},
	{name: "no ID", script: opened + `> {"type":"subscribe","payload":{"query":"{__typename}"}}` + "\nx 4400 Invalid message"},
	{name: "a long ID", script: opened + `> {"id":"` + script(strings.Repeat("x", 129)) + `","type":"complete"}` + "\nx 4400 Invalid message"},
	{name: "a number as token", script: `> {"type":"connection_init","payload":{"Authorization":1}}` + "\nx 4400 Invalid message"},
	{name: "a large message", script: `> {"type":"ping","payload":"` + script(strings.Repeat("x", 128<<10)) + `"}` + "\nx 1009 Message too big"},
}

// TestWebSocket_ExecutesOperations compares whole conversations.
func TestWebSocket_ExecutesOperations(t *testing.T) {
	t.Parallel()
	for _, c := range socketScripts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
				server := serveSubscriptions(t, dsn, nil)
				client := dialSocket(t, server, c.header, "graphql-transport-ws")
				c.script.run(t, server, dsn, client.receive, client.send)
			})
		})
	}
}

// TestWebSocket_ClosesWithoutMessage checks the closures that need no message.
func TestWebSocket_ClosesWithoutMessage(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		hasty := serveSubscriptions(t, dsn, func(o *graphtest.Options) { o.InitTimeout = 10 * time.Millisecond })
		if got, want := dialSocket(t, hasty, nil, "graphql-transport-ws").receive(), "x 4408 Connection initialisation timeout"; got != want {
			t.Error(got)
		}
		server := serveLoaded(t, dsn, func(o *graphtest.Options) { o.KeepAlive = 20 * time.Millisecond })
		if got, want := dialSocket(t, server, nil, "graphql-ws").receive(), "x 4406 Subprotocol not acceptable"; got != want {
			t.Error(got)
		}
		idle := dialSocket(t, server, http.Header{"Authorization": {admin}}, "graphql-ws", "graphql-transport-ws")
		script(`> {"type":"connection_init"}
			< {"type":"connection_ack"}
			x 1001 No subscriptions`).run(t, server, dsn, idle.receive, idle.send)
	})
}
