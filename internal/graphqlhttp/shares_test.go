package graphqlhttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/livequery"
)

// shared is a server whose subscriptions and their memory are divided into four parts.
type shared struct {
	*httptest.Server
	t      *testing.T
	dsn    string
	hub    *livequery.Hub
	memory *admission.Budget
}

func serveShared(t *testing.T, dsn string, limit int, bytes int64) shared {
	t.Helper()
	s := shared{t: t, dsn: dsn, memory: admission.NewBudget(bytes, nil)}
	s.Server = serveSubscriptions(t, dsn, func(o *graphtest.Options) {
		s.hub = livequery.New(livequery.Options{Feed: o.Feed, MaxAge: time.Minute, Limit: limit, Budget: s.memory, Parts: 4})
		o.Hub = s.hub
	})
	return s
}

// open opens a WebSocket of the holder of a key.
func (s shared) open(key string) socket {
	s.t.Helper()
	client := dialSocket(s.t, s.Server, http.Header{"Authorization": {"Token " + key}}, "graphql-transport-ws")
	script(`> {"type":"connection_init"}
		< {"type":"connection_ack"}`).run(s.t, s.Server, s.dsn, client.receive, client.send)
	return client
}

const (
	nameOfLink = `{"query":"subscription{portfolioLinkChanged(id:4){name}}"}`
	overShare  = `"payload":[{"message":"You have too many subscriptions, or too large ones. End some first.","extensions":{"code":"RATE_LIMITED"}}]}`
)

// subscribe subscribes and returns the first message.
func (s socket) subscribe(id int, payload string) string {
	s.t.Helper()
	s.send(fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":%s}`, id, payload))
	return s.receive()
}

// subscribeUntilRefused subscribes to what payload returns until a share is used up, and
// returns the number of subscriptions.
func (s socket) subscribeUntilRefused(payload func(i int) string) int {
	s.t.Helper()
	for i := range 100 {
		got := s.subscribe(i, payload(i))
		if strings.HasSuffix(got, overShare) {
			return i
		} else if !strings.Contains(got, `"type":"next"`) {
			s.t.Fatalf("subscription %d: got %.300s", i, got)
		}
	}
	s.t.Fatal("one user may have everything")
	return 0
}

// TestSubscriber_KeepsExecutedTextOnly checks that equivalent requests share a live query, which
// keeps only the text that it executes.
func TestSubscriber_KeepsExecutedTextOnly(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveShared(t, dsn, 100, 64<<20)
		client := server.open(graphtest.Admin)
		junk := strings.Repeat("x", 100_000)
		const query = `"query":"subscription S($n:Int=5){portfolioChanged(portfolioId:1){links(first:$n){totalCount}}}"`
		for i, payload := range []string{
			`{` + query + `}`,
			`{` + query + `,"operationName":"S"}`,
			`{` + query + `,"variables":{"n":5}}`,
			`{` + query + `,"variables":{"n":5.0,"m":"` + junk + `"}}`,
			`{` + query + `,"variables":{"` + junk + `":[[{"a":1}]]}}`,
			`{` + query + `,"extensions":{"a":"` + junk + `"}}`,
			`{` + query + `,"unknown":"` + junk + `"}`,
		} {
			if got := client.subscribe(i, payload); !strings.Contains(got, `"type":"next"`) {
				t.Fatalf("%.200s: got %s", payload, got)
			}
			if got := server.hub.Stats().Queries; got != 1 {
				t.Errorf("%.200s: got %d live queries, want 1", payload, got)
			}
		}
		if got, want := server.memory.Stats().Reserved, int64(30<<10); got > want {
			t.Errorf("got %d bytes, want at most %d", got, want)
		}
	})
}

// TestSubscriber_CountsKeptTexts checks that different texts count, until they are released.
func TestSubscriber_CountsKeptTexts(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveShared(t, dsn, 100, 64<<20)
		client := server.open(graphtest.Admin)
		const subscriptions, long = 5, 50_000
		space := func(i int) string { return strings.Repeat(" ", long+i) }
		for i := range subscriptions {
			for j, payload := range []string{
				`{"query":"subscription{` + space(i) + `portfolioLinkChanged(id:4){name}}"}`,
				`{"query":"subscription{portfolioLinkChanged(id:4){name}} #` + space(i) + `"}`,
				`{"query":"subscription A{portfolioLinkChanged(id:4){name}} query B{__typename` + space(i) + `}","operationName":"A"}`,
				`{"query":"subscription($s:String){portfolioChanged(portfolioId:1){links(filter:{search:$s}){totalCount}}}","variables":{"s":"` + space(i) + `"}}`,
			} {
				if got := client.subscribe(4*i+j, payload); !strings.Contains(got, `"type":"next"`) {
					t.Fatalf("got %.200s", got)
				}
			}
		}
		if got, want := server.memory.Stats().Reserved, int64(4*subscriptions*long); got < want {
			t.Errorf("got %d bytes, want at least %d", got, want)
		}
		_ = client.connection.CloseNow()
		waitFor(t, "all memory is released", func() bool { return server.memory.Stats().Reserved == 0 })
	})
}

// TestEventStream_CountsRequest checks that the URL and the header of an event stream count,
// because the server keeps them.
func TestEventStream_CountsRequest(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveShared(t, dsn, 100, 64<<20)
		open := func(method, query, body string, header http.Header) int64 {
			t.Helper()
			before := server.memory.Stats().Reserved
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/graphql"+query, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header = header
			for name, value := range map[string]string{"Content-Type": oldType, "Accept": "text/event-stream", "Authorization": admin} {
				request.Header.Set(name, value)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = response.Body.Close() })
			if response.StatusCode != http.StatusOK {
				t.Fatal(response.Status)
			}
			return server.memory.Stats().Reserved - before
		}
		open(http.MethodPost, "", nameOfLink, http.Header{})
		least := open(http.MethodPost, "", nameOfLink, http.Header{})
		fields := http.Header{}
		for i := range 5000 {
			fields[fmt.Sprint("A", i)] = []string{""}
		}
		const long = 50_000
		for name, got := range map[string]int64{
			"a long URL":       open(http.MethodPost, "?"+strings.Repeat("x", long), nameOfLink, http.Header{}),
			"a long URL (GET)": open(http.MethodGet, "?query=subscription{portfolioLinkChanged(id:4){name}}&x="+strings.Repeat("x", long), "", http.Header{}),
			"many fields":      open(http.MethodPost, "", nameOfLink, fields),
		} {
			if got < least+long*9/10 { // the URL of GET has fewer fields beside it
				t.Errorf("%s: %d bytes are counted, and %d without", name, got, least)
			}
		}
	})
}

// TestSubscriber_HasShare checks that a user who has as many subscriptions, or as large ones,
// as possible leaves room for others, and that subscriptions that end make room.
func TestSubscriber_HasShare(t *testing.T) {
	t.Parallel()
	const long = 50_000
	large := func(i int) string {
		return `{"query":"subscription{` + strings.Repeat(" ", long+i) + `portfolioLinkChanged(id:4){name}}"}`
	}
	for name, c := range map[string]struct {
		limit   int
		bytes   int64
		payload func(i int) string
		want    int
	}{
		"subscriptions": {12, 64 << 20, func(int) string { return nameOfLink }, 3},
		"memory":        {1000, 4 * 5 * (long + 12<<10), large, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
				server := serveShared(t, dsn, c.limit, c.bytes)
				client := server.open(graphtest.Admin)
				if got := client.subscribeUntilRefused(c.payload); got != c.want {
					t.Errorf("got %d subscriptions of one user, want %d", got, c.want)
				}
				second := server.open(graphtest.Admin) // another connection is no other user
				if got := second.subscribe(1, c.payload(99)); !strings.HasSuffix(got, overShare) {
					t.Errorf("over another connection: got %.300s", got)
				}
				response, body := sendCase(t, server.Server, httpCase{body: c.payload(98), headers: map[string]string{"Accept": "text/event-stream", "Authorization": admin}})
				if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" || !strings.Contains(body, `"RATE_LIMITED"`) {
					t.Errorf("as an event stream: got %d %v %.300s", response.StatusCode, response.Header, body)
				}
				other := server.open(graphtest.Staff4242)
				if got := other.subscribe(1, c.payload(97)); !strings.Contains(got, `"type":"next"`) {
					t.Errorf("another user: got %.300s", got)
				}
				held := server.memory.Stats().Reserved
				client.send(`{"id":"0","type":"complete"}`)
				waitFor(t, "what has ended gives back its memory", func() bool { return server.memory.Stats().Reserved < held })
				if got := client.subscribe(100, c.payload(0)); !strings.Contains(got, `"type":"next"`) {
					t.Errorf("after one has ended: got %.300s", got)
				}
			})
		})
	}
}

// TestSubscriber_ResultsHaveShare checks that results that grow do not take the shares of
// others, and end only the subscriptions of the user who has too many.
func TestSubscriber_ResultsHaveShare(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		const share = 1 << 20
		server := serveShared(t, dsn, 1000, 4*share)
		client := server.open(graphtest.Admin)
		description := func(i int) string {
			return fmt.Sprintf(`{"query":"subscription D%d{portfolioLinkChanged(id:4){description}}"}`, i)
		}
		for i := range 20 {
			client.subscribe(i, description(i))
		}
		other := server.open(graphtest.Staff4242)
		other.subscribe(1, description(0)) // which both see
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat("x", 100_000))
		ended := 0
		for range 20 {
			switch got := client.receive(); {
			case strings.HasSuffix(got, overShare):
				ended++
			case !strings.Contains(got, `"type":"next"`):
				t.Fatalf("got %.300s", got)
			}
		}
		if ended == 0 || ended == 20 {
			t.Errorf("%d of 20 subscriptions have ended", ended)
		}
		if got := other.receive(); !strings.Contains(got, `"type":"next"`) {
			t.Errorf("another user: got %.300s", got)
		}
		if got := other.subscribe(2, description(99)); !strings.Contains(got, `"type":"next"`) {
			t.Errorf("another user who subscribes: got %.300s", got)
		}
	})
}

// TestSubscriber_ReleasesQueryOfFormerUser checks that a live query does not count for a user who
// has unsubscribed, even if the user has started the query.
func TestSubscriber_ReleasesQueryOfFormerUser(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		server := serveShared(t, dsn, 1000, 4<<20)
		large := func(i int) string {
			return `{"query":"subscription{` + strings.Repeat(" ", 50_000+i) + `portfolioLinkChanged(id:4){name}}"}`
		}
		first, second := server.open(graphtest.Admin), server.open(graphtest.Staff4242)
		n := first.subscribeUntilRefused(large)
		for i := range n {
			if got := second.subscribe(i, large(i)); !strings.Contains(got, `"type":"next"`) {
				t.Fatalf("got %.300s", got)
			}
		}
		_ = first.connection.CloseNow()
		waitFor(t, "the first user has left", func() bool { return server.hub.Stats().Subscriptions == n })
		if got := second.subscribe(n, large(n)); !strings.HasSuffix(got, overShare) {
			t.Errorf("the second user has it all: got %.300s", got)
		}
		again := server.open(graphtest.Admin)
		if got := again.subscribe(1, large(99)); !strings.Contains(got, `"type":"next"`) {
			t.Errorf("the first user has nothing: got %.300s", got)
		}
	})
}

// TestSubscriber_SlowClientHasShare checks that large events that a user does not read take only
// the user's share of the memory of events. Other users get their events at once, and the user
// gets the latest event later.
func TestSubscriber_SlowClientHasShare(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		var admitted *admission.Admission
		server := serveSubscriptions(t, dsn, func(o *graphtest.Options) {
			o.MaxResponse = 80_000
			o.Admission = admission.New(admission.Options{Lookups: 256, Connections: 4, MaxResponse: int64(o.MaxResponse)})
			admitted = o.Admission
		})
		const size = 50_000
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat("x", size))
		const query = "subscription{portfolioLinkChanged(id:4){description}}"
		slow := openStream(t, server, admin, query)
		if !strings.Contains(slow.receive(), "xxx") {
			t.Fatal("no event")
		}
		owner := admission.Owner{UserID: viewerID(t, dsn, graphtest.Admin)}
		waitFor(t, "the first event is sent", func() bool {
			return admitted.Events.Reserve(owner, size) == nil // as if others of its connections did not read
		})
		second := openStream(t, server, staff, query)
		if !strings.Contains(second.receive(), "xxx") {
			t.Error("another user gets no event")
		}
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat("y", size))
		if !strings.Contains(second.receive(), "yyy") {
			t.Error("another user gets no second event")
		}
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat("z", size))
		if !strings.Contains(second.receive(), "zzz") {
			t.Error("another user gets no third event")
		}
		admitted.Events.Release(owner, size)
		got := slow.receive()
		if strings.Contains(got, "yyy") { // it was about to be sent
			got = slow.receive()
		}
		if !strings.Contains(got, "zzz") {
			t.Errorf("got %.100s, want the latest event", got)
		}
	})
}

// viewerID returns the ID of the holder of a key.
func viewerID(t *testing.T, dsn, key string) int64 {
	t.Helper()
	viewer, err := dbtest.Open(t, dsn).UserByToken(t.Context(), auth.HashKey(key))
	if err != nil {
		t.Fatal(err)
	}
	return viewer.ID
}
