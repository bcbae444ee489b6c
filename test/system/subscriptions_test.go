package system

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"portfolio/db/dbtest"
)

const (
	patience         = 30 * time.Second
	linkName         = `subscription Name { portfolioLinkChanged(id: 4) { name } }`
	subscribeMessage = `{"id":"1","type":"subscribe","payload":{"query":"` + linkName + `"}}`
	firstEvent       = `{"data":{"portfolioLinkChanged":{"name":"دمو پروژه"}}}`
)

// webSocket is a client of the subprotocol graphql-transport-ws.
type webSocket struct {
	ctx context.Context
	*websocket.Conn
}

func openWebSocket(ctx context.Context, url, key string) (webSocket, error) {
	connection, _, err := websocket.Dial(ctx, url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return webSocket{}, err
	}
	s := webSocket{ctx, connection}
	if err := s.send(`{"type":"connection_init","payload":{"Authorization":"Token ` + key + `"}}`); err != nil {
		return s, err
	}
	return s, s.expect(`{"type":"connection_ack"}`)
}

func (s webSocket) send(text string) error {
	return s.Write(s.ctx, websocket.MessageText, []byte(text))
}

// expect reads the next message, which must be the text.
func (s webSocket) expect(text string) error {
	_, got, err := s.Read(s.ctx)
	if err == nil && string(got) != text {
		err = fmt.Errorf("got %s, want %s", got, text)
	}
	return err
}

// subscribe subscribes to the name of link 4, and reads the first event.
func (s webSocket) subscribe() error {
	return errors.Join(s.send(subscribeMessage), s.expectNext(firstEvent))
}

func (s webSocket) expectNext(payload string) error {
	return s.expect(`{"id":"1","type":"next","payload":` + payload + `}`)
}

// openEvents subscribes to the name of link 4, and reads the first event. The function
// expect reads what follows.
func openEvents(ctx context.Context, url, key string) (expect func(payload string) error, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/graphql", strings.NewReader(`{"query":"`+linkName+`"}`))
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Token " + key}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = response.Body.Close() })
	lines := bufio.NewReader(response.Body)
	expect = func(payload string) error {
		want := "event: next\ndata: " + payload + "\n\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(lines, got); err != nil || string(got) != want {
			return fmt.Errorf("got %s %w, want %s", got, err, want)
		}
		return nil
	}
	return expect, expect(firstEvent)
}

// TestSubscriptions_OverBothTransports checks what a whole server does with subscriptions: what it logs and
// measures, and how it stops.
func TestSubscriptions_OverBothTransports(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, key := startRecorded(t, dsn, "--admin-addr=127.0.0.1:0", "--body-timeout=200ms")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		client, err := openWebSocket(ctx, server.URL, key)
		if err := errors.Join(err, client.subscribe()); err != nil {
			t.Fatal(err)
		}
		expect, err := openEvents(ctx, server.URL, key)
		if err != nil {
			t.Fatal(err)
		}
		server.raw("POST /graphql HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{") // until BODY_TIMEOUT
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET name = 'new' WHERE id = 4")
		const event = `{"data":{"portfolioLinkChanged":{"name":"new"}}}`
		if err := errors.Join(client.expectNext(event), expect(event)); err != nil {
			t.Error(err)
		}
		if err := errors.Join(client.send(`{"id":"q","type":"subscribe","payload":{"query":"query Q { __typename }"}}`),
			client.expect(`{"id":"q","type":"next","payload":{"data":{"__typename":"Query"}}}`), client.expect(`{"id":"q","type":"complete"}`)); err != nil {
			t.Error(err)
		}
		checkSubscriptionGauges(t, server, 2)
		gone, err := openWebSocket(ctx, server.URL, key)
		if err := errors.Join(err, gone.send(subscribeMessage), gone.expectNext(event)); err != nil {
			t.Fatal(err)
		}
		_ = gone.CloseNow()
		for server.scrape()["portfolio_subscription_duration_seconds"] == nil { // until it has ended
			if ctx.Err() != nil {
				t.Fatal("the subscription of a client that is gone does not end")
			}
		}
		checkSubscriptionGauges(t, server, 2)
		stopped := make(chan int)
		go func() { stopped <- server.stop() }()
		if _, _, err := client.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Error(err)
		}
		if err := expect("{}"); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if code := <-stopped; code != 0 {
			t.Errorf("exit code %d: %s", code, server.logs)
		}
		checkSubscriptionLog(t, server.logs.String())
	})
}

func checkSubscriptionGauges(t *testing.T, server *testServer, open float64) {
	t.Helper()
	metrics := server.scrape()
	value := func(name string) float64 { return metrics["portfolio_"+name].GetMetric()[0].GetGauge().GetValue() }
	if value("subscriptions") != open || value("live_queries") != 1 || value("subscriptions_limit") != 10_000 || value("connections") < open {
		t.Errorf("%g subscriptions of %g to %g live queries on %g connections", value("subscriptions"), value("subscriptions_limit"), value("live_queries"), value("connections"))
	}
	for _, metric := range metrics["portfolio_request_duration_seconds"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetValue() == "Name" {
				t.Error("a subscription is in the histogram of requests")
			}
		}
	}
}

// checkSubscriptionLog checks that each operation is one record, and each WebSocket too.
func checkSubscriptionLog(t *testing.T, logs string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(logs) {
		if fields := regexp.MustCompile(`"path":"(/graphql)","status":(\d+),"code":"(\w+)".*?"bytes":(\d+),.*"type":"(\w+)","operation":"(\w+)","cost":(\d+)`).FindStringSubmatch(line); fields != nil {
			got = append(got, strings.Join(fields[1:], " "))
		} else if strings.Contains(line, `"status":101`) {
			got = append(got, "WebSocket")
		}
	}
	slices.Sort(got)
	want := []string{
		"/graphql 200 ok 150 subscription Name 2", // with "event: next" and so on
		"/graphql 200 ok 31 query Q 1",
		"/graphql 200 ok 48 subscription Name 2",
		"/graphql 200 ok 110 subscription Name 2",
		"WebSocket", "WebSocket",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q\n%s", got, want, logs)
	}
}

// TestSubscriptions_AreOffWithoutFeed checks which errors clients get if there are no subscriptions.
func TestSubscriptions_AreOffWithoutFeed(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"--change-feed=off":     "Subscriptions are off.",
		"--max-subscriptions=0": "The server has too many subscriptions. Try again later.",
	} {
		t.Run(setting, func(t *testing.T) {
			server, key := startRecorded(t, dbtest.LoadedSQLite(t, recorded), setting)
			client, err := openWebSocket(t.Context(), server.URL, key)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.CloseNow() }()
			if err := errors.Join(client.send(subscribeMessage),
				client.expect(`{"id":"1","type":"error","payload":[{"message":"`+want+`","extensions":{"code":"UNAVAILABLE"}}]}`)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSubscriptions_AreRateLimited checks that operations over WebSocket count for the rate limit.
func TestSubscriptions_AreRateLimited(t *testing.T) {
	t.Parallel()
	server, key := startRecorded(t, dbtest.LoadedSQLite(t, recorded), "--rate-limit=0.001", "--rate-burst=2")
	client, err := openWebSocket(t.Context(), server.URL, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.CloseNow() }()
	for _, want := range []string{
		`{"id":"1","type":"next","payload":{"data":{"__typename":"Query"}}}`, `{"id":"1","type":"complete"}`,
		`{"id":"2","type":"next","payload":{"data":{"__typename":"Query"}}}`, `{"id":"2","type":"complete"}`,
		`{"id":"3","type":"error","payload":[{"message":"Too many requests. Try again later.","extensions":{"code":"RATE_LIMITED"}}]}`,
	} {
		if id := want[7:8]; !strings.Contains(want, "complete") {
			if err := client.send(`{"id":"` + id + `","type":"subscribe","payload":{"query":"{__typename}"}}`); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.expect(want); err != nil {
			t.Error(err)
		}
	}
}

// TestSubscriptions_ServeManyClients measures how long it takes until many subscribers have one change,
// and their memory: over WebSocket, as server-sent events, and over WebSocket with a live query
// of its own for each. Afterwards no goroutine is left. The variable TEST_SUBSCRIBERS sets how
// many.
func TestSubscriptions_ServeManyClients(t *testing.T) {
	t.Parallel()
	subscribers := environmentNumber(t, "TEST_SUBSCRIBERS", 250)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		for _, transport := range []string{"WebSocket", "events", "live queries"} {
			t.Run(transport, func(t *testing.T) {
				dbtest.Exec(t, dsn, "UPDATE portfolio_links SET name = 'دمو پروژه' WHERE id = 4")
				server := startProcess(t, dsn, "file:"+t.TempDir(), t.TempDir(), "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=error")
				defer server.kill(t)
				measureSubscribers(t, server, transport, subscribers)
			})
		}
	})
}

func measureSubscribers(t *testing.T, server *process, transport string, subscribers int) {
	t.Helper()
	const key = "be995b582c8bf952546d3819251020d1ad1b2eb1"
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var before, during, after figures
	before.read(t, server)
	var opening, waiting sync.WaitGroup
	clients, leave := context.WithCancel(ctx)
	defer leave()
	arrived := make(chan time.Time, 2*subscribers)
	slots := make(chan struct{}, 50)
	for i := range subscribers {
		slots <- struct{}{}
		opening.Go(func() {
			defer func() { <-slots }()
			expect, err := openSubscriber(clients, server.URL, key, transport, i)
			if err != nil {
				t.Error(err)
				return
			}
			waiting.Go(func() {
				for _, name := range []string{"warm", "hot"} {
					if err := expect(`{"data":{"portfolioLinkChanged":{"name":"` + name + `"}}}`); err != nil {
						t.Error(err)
					}
					arrived <- time.Now()
				}
			})
		})
	}
	opening.Wait()
	during.read(t, server)
	if held := float64(subscribers * 24 << 10); during.limit < before.limit+held {
		t.Errorf("with %d clients the garbage collector has a limit of %g bytes, and %g without: it will run all the time", subscribers, during.limit, before.limit)
	}
	took := map[string]time.Duration{}
	for _, name := range []string{"warm", "hot"} {
		server.post(key, "application/json", strings.NewReader(`{"query":"mutation{updatePortfolioLink(input:{id:4,name:\"`+name+`\"}){portfolioLink{id}}}"}`))
		began, last := time.Now(), time.Time{}
		for range subscribers {
			select {
			case last = <-arrived:
			case <-ctx.Done():
				t.Fatal("not all have the change")
			}
		}
		took[name] = last.Sub(began)
	}
	waiting.Wait()
	leave()
	for after.read(t, server); after.goroutines > before.goroutines+10 || after.subscriptions > 0; after.read(t, server) {
		if ctx.Err() != nil {
			t.Fatalf("%g goroutines and %g subscriptions are left of %g", after.goroutines, after.subscriptions, during.goroutines)
		}
	}
	t.Logf("%s: %s after the response to a mutation the last of %d has it (the first time %s); each takes %.1f KiB and %.2f goroutines",
		transport, took["hot"], subscribers, took["warm"], (during.bytes-before.bytes)/1024/float64(subscribers), (during.goroutines-before.goroutines)/float64(subscribers))
}

// openSubscriber subscribes to the name of link 4, and returns a function that expects
// the next event.
func openSubscriber(ctx context.Context, url, key, transport string, i int) (expect func(payload string) error, err error) {
	if transport == "events" {
		return openEvents(ctx, url, key)
	}
	client, err := openWebSocket(ctx, url, key)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = client.CloseNow() })
	if transport == "live queries" {
		own := strings.Replace(subscribeMessage, "Name", fmt.Sprint("Name", i), 1)
		return client.expectNext, errors.Join(client.send(own), client.expectNext(firstEvent))
	}
	return client.expectNext, client.subscribe()
}

// figures are of a process after a garbage collection.
type figures struct{ bytes, goroutines, connections, subscriptions, limit float64 }

func (f *figures) read(t *testing.T, server *process) {
	t.Helper()
	get := func(path string) string {
		response, err := http.Get(server.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	get("/debug/pprof/heap?gc=1")
	metrics := get("/metrics")
	value := func(name string) float64 {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(metrics)
		number, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	f.bytes = value("go_memstats_alloc_bytes") + value("go_memstats_stack_inuse_bytes")
	f.goroutines, f.connections, f.subscriptions = value("go_goroutines"), value("portfolio_connections"), value("portfolio_subscriptions")
	f.limit = value("go_gc_gomemlimit_bytes")
}
