package graphqlhttp_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/livequery"
)

const newKey = "0123456789012345678901234567890123456789"

// newToken stores a token of the staff user with permission code 4242, user 2.
func newToken(t *testing.T, dsn string, expires time.Time) {
	t.Helper()
	database := dbtest.Open(t, dsn)
	hash := auth.HashKey(newKey)
	viewer, err := database.UserByToken(t.Context(), auth.HashKey(graphtest.Staff4242))
	if err != nil {
		t.Fatal(err)
	}
	token := &db.Token{KeyHash: hash[:]}
	if !expires.IsZero() {
		token.ExpiresAt = &db.Time{Time: expires.Truncate(time.Microsecond)}
	}
	if err := database.CreateToken(t.Context(), viewer.Username, token); err != nil {
		t.Fatal(err)
	}
}

// TestSubscriber_LosesRights withdraws the rights of a subscriber. It changes the rows of the
// subscription at the same time, or later.
func TestSubscriber_LosesRights(t *testing.T) {
	t.Parallel()
	const (
		open = `
			> {"type":"connection_init","payload":{"Authorization":"Bearer ` + newKey + `"}}
			< {"type":"connection_ack"}
			> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
			< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}}
`
		change    = "SQL UPDATE portfolio_links SET name = 'secret' WHERE id = 4\n"
		revoked   = `< {"id":"1","type":"error","payload":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}` + "\nx 4403 Forbidden"
		inactive  = `< {"id":"1","type":"error","payload":[{"message":"The user is inactive.","extensions":{"code":"UNAUTHENTICATED"}}]}` + "\nx 4403 Forbidden"
		forbidden = `< {"id":"1","type":"error","payload":[{"message":"You do not have permission to do this.","path":["portfolioLinkChanged"],"locations":[{"line":1,"column":14}],"extensions":{"code":"FORBIDDEN"}}]}` + `
			> {"type":"ping"}
			< {"type":"pong"}`
		events = `
			< event: next data: {"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}
			SQL DELETE FROM tokens
			< event: next data: {"errors":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}
			< event: complete data:
			end <nil>`
	)
	for name, script := range map[string]script{
		"token revoked by a statement":      open + "SQL DELETE FROM tokens\n" + revoked,
		"token revoked before a change":     open + "SQL DELETE FROM tokens\n" + change + revoked,
		"user deactivated by a mutation":    open + `POST mutation{setUserPermissions(input:{username:"staff-4242",isActive:false}){user{id}}}` + "\n" + inactive,
		"permission withdrawn by mutation":  open + `POST mutation{setUserPermissions(input:{username:"staff-4242",permissions:[]}){user{id}}}` + "\n" + forbidden,
		"permission withdrawn by statement": open + "SQL DELETE FROM user_permissions\n" + change + forbidden,
		"permission granted": open + "SQL UPDATE users SET is_admin = true WHERE username = 'staff-4242'\n" + `
			< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}}
			SQL DELETE FROM user_permissions
			` + change + `
			< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"secret"}}}}`,
		"events": events,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
				server := serveSubscriptions(t, dsn, nil)
				newToken(t, dsn, time.Time{})
				if script == events {
					script.run(t, server, dsn, openStream(t, server, "Token "+newKey, "subscription{portfolioLinkChanged(id:4){name}}").receive, nil)
					return
				}
				client := dialSocket(t, server, nil, "graphql-transport-ws")
				script.run(t, server, dsn, client.receive, client.send)
			})
		})
	}
}

// TestSubscriber_EndsWhenTokenExpires checks that a subscription ends when its token expires, even
// without a change.
func TestSubscriber_EndsWhenTokenExpires(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		newToken(t, dsn, time.Now().Add(3*time.Second)) // enough for the first event
		client := dialSocket(t, server, http.Header{"Authorization": {"Token " + newKey}}, "graphql-transport-ws")
		script(`> {"type":"connection_init"}
			< {"type":"connection_ack"}
			> {"id":"1","type":"subscribe","payload":{"query":"subscription{portfolioLinkChanged(id:4){name}}"}}
			< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}}
			< {"id":"1","type":"error","payload":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}
			x 4403 Forbidden`).run(t, server, dsn, client.receive, client.send)
	})
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// newHub returns a hub with room for limit subscriptions and a number of bytes.
func newHub(o *graphtest.Options, limit int, bytes int64) *livequery.Hub {
	return livequery.New(livequery.Options{Feed: o.Feed, MaxAge: time.Minute, Limit: limit, Budget: admission.NewBudget(bytes, nil)})
}

// TestSubscriber_DropsSlowClient checks that a client that does not read is dropped, and that other
// clients get their events meanwhile.
func TestSubscriber_DropsSlowClient(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		var subscribed *livequery.Hub
		server := serveSubscriptions(t, dsn, func(o *graphtest.Options) {
			subscribed = newHub(o, 10, 64<<20)
			o.Hub, o.StallTimeout, o.KeepAlive = subscribed, time.Second, time.Hour
		})
		const link = `{"query":"subscription{portfolioLinkChanged(id:4){description}}"}`
		for range 2 {
			slow := dialSocket(t, server, nil, "graphql-transport-ws")
			script(opened+`> {"id":"1","type":"subscribe","payload":`+link+`}`).run(t, server, dsn, slow.receive, slow.send)
		}
		openStream(t, server, admin, "subscription{portfolioLinkChanged(id:4){description}}")
		good := dialSocket(t, server, nil, "graphql-transport-ws")
		script(opened).run(t, server, dsn, good.receive, good.send)
		good.send(`{"id":"1","type":"subscribe","payload":` + link + `}`)
		good.receive()
		for i := 0; subscribed.Stats().Dropped < 3; i++ {
			description := strconv.Itoa(i) + strings.Repeat(".", 1<<20)
			dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", description)
			if got, want := good.receive(), `< {"id":"1","type":"next","payload":{"data":{"portfolioLinkChanged":{"description":"`+description+`"}}}}`; got != want {
				t.Fatalf("got %.200s", got)
			}
		}
		waitFor(t, "only one is left", func() bool { return subscribed.Stats().Subscriptions == 1 })
	})
}

// TestSubscriber_HasLimits checks the limits of a connection, of the server and of its memory, and that
// subscriptions that end make room.
func TestSubscriber_HasLimits(t *testing.T) {
	t.Parallel()
	const (
		name   = `{"query":"subscription{portfolioLinkChanged(id:4){name}}"}`
		first  = `{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}`
		many   = `[{"message":"The server has too many subscriptions. Try again later.","extensions":{"code":"UNAVAILABLE"}}]`
		busy   = `[{"message":"The server is busy. Try again later.","extensions":{"code":"UNAVAILABLE"}}]`
		perOne = `[{"message":"A connection may have at most 100 subscriptions.","extensions":{"code":"BAD_USER_INPUT"}}]`
	)
	for what, c := range map[string]struct {
		limit   int
		bytes   int64
		allowed int
		refusal string
	}{
		"connection": {1000, 64 << 20, 100, perOne},
		"server":     {7, 64 << 20, 7, many},
		"memory":     {1000, 1 << 10, 0, busy},
		"result":     {1000, 4<<10 + 90, 0, busy}, // which needs room too
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
				server := serveSubscriptions(t, dsn, func(o *graphtest.Options) { o.Hub = newHub(o, c.limit, c.bytes) })
				client := dialSocket(t, server, nil, "graphql-transport-ws")
				script(opened).run(t, server, dsn, client.receive, client.send)
				subscribe := func(id int, kind, payload string) {
					t.Helper()
					client.send(fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":%s}`, id, name))
					if got, want := client.receive(), fmt.Sprintf(`< {"id":"%d","type":"%s","payload":%s}`, id, kind, payload); got != want {
						t.Fatalf("got %s, want %s", got, want)
					}
				}
				for i := range c.allowed {
					subscribe(i, "next", first)
				}
				subscribe(c.allowed, "error", c.refusal)
				if c.allowed > 0 {
					client.send(`{"id":"0","type":"complete"}`)
					subscribe(0, "next", first)
				}
			})
		})
	}
}

// TestSubscriber_SkipsReplacedResultsOnly checks that a client misses only results that a newer
// result replaces.
func TestSubscriber_SkipsReplacedResultsOnly(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		client := openStream(t, server, admin, "subscription{portfolioLinkChanged(id:4){name}}")
		const changes = 50
		exec := dbtest.Session(t, dsn)
		for i := range changes {
			exec("UPDATE portfolio_links SET name = $1 WHERE id = 4", strconv.Itoa(i))
		}
		events := 0
		for last := fmt.Sprintf(`"name":"%d"`, changes-1); ; events++ {
			if event := client.receive(); strings.Contains(event, last) {
				break
			} else if !strings.HasPrefix(event, "< event: next") {
				t.Fatal(event)
			}
		}
		if events > changes {
			t.Errorf("%d events", events)
		}
	})
}

// TestHub_EndsSubscriptionsAtShutdown checks the last messages to clients when the server stops, and
// that no subscription remains.
func TestHub_EndsSubscriptionsAtShutdown(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		var subscribed *livequery.Hub
		server := serveSubscriptions(t, dsn, func(o *graphtest.Options) {
			subscribed = newHub(o, 10, 1<<20)
			o.Hub = subscribed
		})
		client := dialSocket(t, server, nil, "graphql-transport-ws")
		script(subscribedToLink).run(t, server, dsn, client.receive, client.send)
		events := openStream(t, server, admin, "subscription{portfolioLinkChanged(id:4){name}}")
		events.receive()
		stats := subscribed.Stats()
		if stats.Subscriptions != 2 || stats.Queries != 1 {
			t.Errorf("%+v", stats)
		}
		subscribed.Shutdown()
		if got := client.receive(); got != "x 1001 Server is shutting down" {
			t.Error(got)
		}
		if got := events.receive(); got != "end <nil>" { // without complete, so that clients connect anew
			t.Error(got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := subscribed.Wait(ctx); err != nil {
			t.Error(err)
		}
		waitFor(t, "all have ended", func() bool {
			stats := subscribed.Stats()
			return stats.Subscriptions == 0 && stats.Queries == 0
		})
		for _, header := range []map[string]string{
			{"Accept": "text/event-stream", "Authorization": admin},
			{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
		} {
			response, body := sendCase(t, server, httpCase{method: http.MethodGet, query: get("subscription{portfolioLinkChanged(id:4){name}}"), headers: header})
			if want := `{"errors":[{"message":"The server is shutting down. Try again later.","extensions":{"code":"UNAVAILABLE"}}]}`; response.StatusCode != http.StatusServiceUnavailable || body != want {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		}
	})
}

// TestSubscriber_ContinuesAfterOverload checks that no subscription begins while the server is busy,
// and that existing subscriptions continue afterwards.
func TestSubscriber_ContinuesAfterOverload(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		slots := admission.NewLimiter(1, 0, time.Minute)
		server := serveSubscriptions(t, dsn, func(o *graphtest.Options) { o.Admission.Heavy = slots })
		const heavy = "subscription{portfolioChanged(portfolioId:1){name links{totalCount}}}"
		take := func() {
			t.Helper()
			if err := slots.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		take()
		response, body := sendCase(t, server, httpCase{body: `{"query":"` + heavy + `"}`, headers: map[string]string{"Accept": "text/event-stream", "Authorization": admin}})
		if want := `{"errors":[{"message":"The server is busy. Try again later.","extensions":{"code":"UNAVAILABLE"}}]}`; response.StatusCode != http.StatusServiceUnavailable || body != want {
			t.Errorf("%d %s", response.StatusCode, body)
		}
		slots.Release()
		client := openStream(t, server, admin, heavy)
		client.receive()
		take()
		count := slots.Stats().Refused
		dbtest.Exec(t, dsn, "UPDATE portfolios SET name = 'new' WHERE id = 1")
		waitFor(t, "the event gets no slot", func() bool { return slots.Stats().Refused > count })
		slots.Release()
		if got := client.receive(); !strings.HasPrefix(got, `< event: next data: {"data":{"portfolioChanged":{"name":"new"`) {
			t.Error(got)
		}
	})
}

// TestSubscriber_SurvivesOutageOfDatabase checks that subscriptions survive an outage of the
// database, and then get the changes.
func TestSubscriber_SurvivesOutageOfDatabase(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, graphtest.Recorded)
	line, through := dbtest.NewProxy(t, dsn)
	server := serveLoaded(t, through, nil)
	client := openStream(t, server, admin, "subscription{portfolioLinkChanged(id:4){name}}")
	client.receive()
	line.Disconnect()
	dbtest.Exec(t, dsn, "UPDATE portfolio_links SET name = 'meanwhile' WHERE id = 4")
	response, body := sendCase(t, server, httpCase{body: subscribes, headers: map[string]string{"Accept": "text/event-stream", "Authorization": admin}})
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	line.Reconnect()
	if got := client.receive(); got != `< event: next data: {"data":{"portfolioLinkChanged":{"name":"meanwhile"}}}` {
		t.Error(got)
	}
}

// TestSubscriber_GetsChangesOfOtherServers checks that a server sends events for changes of a second
// server.
func TestSubscriber_GetsChangesOfOtherServers(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, nil)
		other := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		client := openStream(t, server, admin, "subscription{portfolioLinkChanged(id:4){name}}")
		client.receive()
		graphtest.Query(t, other, admin, `mutation{updatePortfolioLink(input:{id:4,name:"other"}){portfolioLink{id}}}`, nil)
		if got := client.receive(); got != `< event: next data: {"data":{"portfolioLinkChanged":{"name":"other"}}}` {
			t.Error(got)
		}
	})
}

// TestSubscriber_PingsClients checks that a server pings its clients, and closes a WebSocket whose client
// does not respond.
func TestSubscriber_PingsClients(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveSubscriptions(t, dsn, func(o *graphtest.Options) { o.KeepAlive = 100 * time.Millisecond })
		events := openStream(t, server, admin, "subscription{portfolioLinkChanged(id:4){name}}")
		for got := ""; got != "< :"; got = events.receive() {
			if strings.HasPrefix(got, "end") {
				t.Fatal("no ping")
			}
		}
		client := dialSocket(t, server, nil, "graphql-transport-ws")
		client.send(`{"type":"connection_init","payload":{"Authorization":"` + admin + `"}}`)
		client.send(`{"id":"1","type":"subscribe","payload":` + subscribes + `}`)
		for pings := 0; pings < 5; { // more than without a response
			if client.receive() == `< {"type":"ping"}` {
				client.send(`{"type":"pong"}`)
				pings++
			}
		}
		var err error
		for err == nil { // until it is closed, as nothing responds anymore
			_, _, err = client.connection.Read(client.ctx)
		}
		if client.ctx.Err() != nil {
			t.Error("the connection is not closed")
		}
	})
}
