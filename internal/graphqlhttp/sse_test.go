package graphqlhttp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/livequery"
)

// stream is a client of server-sent events.
type stream struct {
	t      *testing.T
	events *bufio.Scanner
	header http.Header
}

func openStream(t *testing.T, server *httptest.Server, authorization, query string) stream {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {oldType}, "Accept": {"text/event-stream"}}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	scanner := bufio.NewScanner(response.Body)
	scanner.Split(func(data []byte, _ bool) (advance int, token []byte, err error) {
		if end := bytes.Index(data, []byte("\n\n")); end >= 0 {
			return end + 2, data[:end], nil
		}
		return 0, nil, nil
	})
	return stream{t, scanner, response.Header}
}

// receive returns the next event.
func (s stream) receive() string {
	s.t.Helper()
	if !s.events.Scan() {
		return fmt.Sprint("end ", s.events.Err())
	}
	return "< " + strings.ReplaceAll(s.events.Text(), "\n", " ")
}

// TestEventStream_SendsEvents compares whole conversations.
func TestEventStream_SendsEvents(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		for _, c := range []struct {
			name, authorization, query string
			script                     script
		}{
			{"a link", admin, "subscription{portfolioLinkChanged(id:4){name}}", `
				< event: next data: {"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}
				POST mutation{updatePortfolioLink(input:{id:4,name:"by a mutation"}){portfolioLink{id}}}
				< event: next data: {"data":{"portfolioLinkChanged":{"name":"by a mutation"}}}
				SQL UPDATE portfolio_links SET name = 'by a statement' WHERE id = 4
				< event: next data: {"data":{"portfolioLinkChanged":{"name":"by a statement"}}}`},
			{"no token", "", "subscription{portfolioLinkChanged(id:4){name}}", `
				< event: next data: {"errors":[{"message":"Authentication is required.","path":["portfolioLinkChanged"],"locations":[{"line":1,"column":14}],"extensions":{"code":"UNAUTHENTICATED"}}]}
				< event: complete data:
				end <nil>`},
			{"an invalid document", admin, "subscription{none}", `
				< event: next data: {"errors":[{"message":"Cannot query field \"none\" on type \"Subscription\".","locations":[{"line":1,"column":14}],"extensions":{"code":"BAD_USER_INPUT"}}]}
				< event: complete data:
				end <nil>`},
		} {
			t.Run(c.name, func(t *testing.T) {
				client := openStream(t, server, c.authorization, c.query)
				if got := client.header.Get("Content-Type") + ", " + client.header.Get("Cache-Control"); got != "text/event-stream; charset=utf-8, no-store" {
					t.Error(got)
				}
				c.script.run(t, server, dsn, client.receive, nil)
			})
		}
	})
}

// subscribes is the body of a request to subscribe.
const subscribes = `{"query":"subscription{portfolioLinkChanged(id:4){name}}"}`

// TestEventStream_RejectsOtherRequests compares the responses to requests that start no
// subscription.
func TestEventStream_RejectsOtherRequests(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	const urql = newType + ", " + oldType + ", text/event-stream, multipart/mixed"
	events := map[string]string{"Accept": "text/event-stream", "Authorization": admin}
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		for _, c := range []httpCase{
			{name: "subscription in JSON", body: subscribes, headers: authorization(admin)},
			{name: "subscription by HEAD", method: http.MethodHead, query: get("subscription{portfolioLinkChanged(id:4){name}}"), headers: events},
			{name: "query of a client that accepts events too", body: typename, headers: accept(urql)},
			{name: "query of a client that accepts events only", body: typename, headers: events},
			{name: "mutation of a client that accepts events only", body: `{"query":"mutation{deletePortfolioLink(input:{id:4}){deletedNodeId}}"}`, headers: events},
			{name: "unknown token", body: subscribes, headers: map[string]string{"Accept": "text/event-stream", "Authorization": "Token nobody"}},
			{name: "malformed JSON", body: "{", headers: events},
			{name: "errors to a client that accepts JSON too", body: `{"query":"subscription{none}"}`, headers: accept(urql)},
		} {
			checkHTTP(t, server, golden, c)
		}
		for name, change := range map[string]func(*graphtest.Options){
			"off": func(o *graphtest.Options) { o.Feed = nil },
			"no slot left": func(o *graphtest.Options) {
				o.Hub = livequery.New(livequery.Options{Feed: o.Feed, MaxAge: time.Minute, Budget: o.Admission.LiveQueries})
			},
		} {
			refusing := serveLoaded(t, dsn, change)
			checkHTTP(t, refusing, golden, httpCase{name: name, body: subscribes, headers: events})
			client := dialSocket(t, refusing, nil, "graphql-transport-ws")
			script(opened+`> {"id":"1","type":"subscribe","payload":`+subscribes+`}`).run(t, refusing, dsn, client.receive, client.send)
			golden.CheckText(t, name+", WebSocket", client.receive()+"\n")
		}
	})
}
