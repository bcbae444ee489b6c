package graph_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"portfolio/compat"
	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/auth"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
	"portfolio/internal/images"
	"portfolio/internal/storage/storagetest"
	"portfolio/internal/telemetry"
)

// slowServer serves both APIs, with little time for a request, and logs.
type slowServer struct {
	*httptest.Server
	dsn           string
	database      *db.DB
	admitted      *admission.Admission
	authenticator *auth.Authenticator
	gate          atomic.Pointer[chan struct{}] // unless nil, sent to and received from before a change is noticed
	logs          bytes.Buffer                  // may be read after the server was closed
}

// newSlowServer starts a server whose requests take at most timeout.
func newSlowServer(t *testing.T, dsn string, timeout time.Duration) *slowServer {
	t.Helper()
	s := &slowServer{dsn: dsn, database: dbtest.Open(t, dsn), admitted: admission.New(admission.Options{Lookups: 4, Connections: 4, MaxResponse: 8 << 20})}
	log := slog.New(telemetry.NewLogHandler(telemetry.NewLogWriter(&s.logs), true, slog.LevelInfo))
	changes := changefeed.New(changefeed.Options{
		Listen: func(ctx context.Context, changed func(db.Change)) (db.Listener, error) {
			return s.database.Listen(ctx, db.URL{}, func(change db.Change) {
				if gate := s.gate.Swap(nil); gate != nil {
					*gate <- struct{}{}
					<-*gate
				}
				changed(change)
			})
		},
		Log: slog.New(slog.DiscardHandler),
	})
	changefeedtest.Run(t, changes)
	changefeedtest.Await(t, changes)
	s.authenticator = auth.New(s.database, changes, auth.Options{Timeout: timeout, MaxAge: time.Minute})
	resolver := &graph.Resolver{DB: s.database, Auth: s.authenticator}
	graphQL := graphtest.NewHandler(t, resolver, func(o *graphtest.Options) {
		o.Feed, o.Admission, o.Timeout, o.Log = changes, s.admitted, timeout, log
	})
	mux := http.NewServeMux()
	mux.Handle("/graphql", graphQL)
	mux.Handle("/", compat.New(resolver.Query(), s.authenticator, compat.Options{Admission: s.admitted, Timeout: timeout, Log: log}))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(telemetry.WithRequest(r.Context(), &telemetry.Request{ID: "r-1"})))
	}))
	t.Cleanup(s.Close)
	if _, _, err := s.authenticator.Viewer(t.Context(), graphtest.Admin); err != nil { // so that it need not be read again
		t.Fatal(err)
	}
	return s
}

// send sends a query, or a request of the legacy endpoint if it is a path.
func (s *slowServer) send(ctx context.Context, query string) (status int, body string, err error) {
	method, target, content := http.MethodPost, "/graphql", `{"query":"`+query+`"}`
	if strings.HasPrefix(query, "/") {
		method, target, content = http.MethodGet, query, ""
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL+target, strings.NewReader(content))
	if err != nil {
		return 0, "", err
	}
	request.Header = http.Header{"Authorization": {admin}, "Content-Type": {"application/json"}}
	if strings.HasPrefix(query, "subscription") {
		request.Header.Set("Accept", "text/event-stream")
	}
	response, err := s.Client().Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// holdConnections takes all connections that read.
func (s *slowServer) holdConnections(t *testing.T) {
	t.Helper()
	for range s.database.Connections() {
		next, stop := iter.Pull2(s.database.FileRefs(t.Context()))
		t.Cleanup(stop)
		if _, err, ok := next(); err != nil || !ok {
			t.Fatalf("%v, %t", err, ok)
		}
	}
}

// changeUsers commits a change that the server does not notice before the request has
// found its viewer in memory.
func (s *slowServer) changeUsers(t *testing.T) {
	t.Helper()
	s.holdConnections(t)
	gate := make(chan struct{})
	s.gate.Store(&gate)
	dbtest.Exec(t, s.dsn, "UPDATE users SET is_staff = NOT is_staff WHERE id = 1")
	<-gate
	hits := s.authenticator.Stats().Hits
	go func() {
		for s.authenticator.Stats().Hits == hits {
			runtime.Gosched()
		}
		close(gate)
	}()
}

const twenty = "0123456789abcdefghij"

// aliases returns a query with a field many times.
func aliases(field string) string {
	var query strings.Builder
	for _, alias := range twenty {
		query.WriteString(" _" + string(alias) + ":" + field)
	}
	return "{" + query.String() + "}"
}

// waits are the things that a request can wait for until it has no time left.
var waits = []struct {
	name  string
	query string
	hold  func(*testing.T, *slowServer)
}{
	{"connection", aliases("portfolio(id:1){name}"), func(t *testing.T, s *slowServer) { s.holdConnections(t) }},
	{"connection for lists", aliases("portfolios{nodes{name}}"), func(t *testing.T, s *slowServer) { s.holdConnections(t) }},
	{"connection, REST", "/api/portfolios/1/links/4", func(t *testing.T, s *slowServer) { s.holdConnections(t) }},
	{"connection, subscription", "subscription{portfolioChanged(portfolioId:1){name}}", func(t *testing.T, s *slowServer) { s.holdConnections(t) }},
	{"connection for the viewer", "{__typename}", func(t *testing.T, s *slowServer) { s.changeUsers(t) }},
	{"connection for the viewer, REST", "/api/portfolios/1/links/4", func(t *testing.T, s *slowServer) { s.changeUsers(t) }},
	{"slot", "{__typename}", func(_ *testing.T, s *slowServer) { s.admitted.Lookups = admission.NewLimiter(0, 1, time.Minute) }},
	{"slot, REST", "/api/portfolios/1/links/4", func(_ *testing.T, s *slowServer) { s.admitted.Lookups = admission.NewLimiter(0, 1, time.Minute) }},
	{"heavy slot", "{portfolioLinks{totalCount}}", func(_ *testing.T, s *slowServer) { s.admitted.Heavy = admission.NewLimiter(0, 1, time.Minute) }},
	{"heavy slot for a large response", "{portfolioLink(id:4){description}}", func(t *testing.T, s *slowServer) {
		dbtest.Exec(t, s.dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat(".", 1<<20))
		s.admitted.Heavy = admission.NewLimiter(0, 1, time.Minute)
	}},
	{"lock of a row", "mutation{updatePortfolio(input:{id:1,name:\\\"a\\\"}){portfolio{id}}}", func(t *testing.T, s *slowServer) { t.Cleanup(dbtest.Lock(t, s.dsn, "portfolios")) }},
}

// TestTimeouts_AreUnavailable checks that a request which has waited until its time was
// up gets UNAVAILABLE, whatever it waited for, and is logged once, with its ID.
func TestTimeouts_AreUnavailable(t *testing.T) {
	t.Parallel()
	for _, c := range waits {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
				s := newSlowServer(t, dsn, 500*time.Millisecond)
				c.hold(t, s)
				status, body, err := s.send(t.Context(), c.query)
				rest := strings.HasPrefix(c.query, "/")
				unavailable := rest && status == http.StatusServiceUnavailable || !rest && strings.Contains(body, `"code":"UNAVAILABLE"`)
				if err != nil || !unavailable || strings.Contains(body, "INTERNAL") {
					t.Errorf("got %d %s, %v, want UNAVAILABLE", status, body, err)
				}
				s.Close()
				if logs := s.logs.String(); strings.Count(logs, `"level":"ERROR"`) != 1 || !strings.Contains(logs, `"request_id":"r-1"`) {
					t.Errorf("logged %s, want one error with the ID of the request", logs)
				}
			})
		})
	}
}

// TestWebSocket_IsLoggedWithoutViewer checks that a WebSocket is closed, and the reason is
// logged once, if its viewer cannot be read in time.
func TestWebSocket_IsLoggedWithoutViewer(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		s := newSlowServer(t, dsn, 500*time.Millisecond)
		s.holdConnections(t)
		connection, _, err := websocket.Dial(t.Context(), s.URL+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.CloseNow() }()
		if err := connection.Write(t.Context(), websocket.MessageText, []byte(`{"type":"connection_init","payload":{"Authorization":"`+staff4242+`"}}`)); err != nil {
			t.Fatal(err)
		}
		if _, text, err := connection.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
			t.Errorf("got %s, %v, want status %d", text, err, websocket.StatusTryAgainLater)
		}
		if logs := s.logs.String(); strings.Count(logs, `"level":"ERROR"`) != 1 || !strings.Contains(logs, `"request_id":"r-1"`) {
			t.Errorf("logged %s, want one error with the ID of the request", logs)
		}
	})
}

// TestUpload_IsUnavailableWithoutMemory checks the response to an upload whose time is up
// while it waits for memory, and that nothing is logged if its client disconnects.
func TestUpload_IsUnavailableWithoutMemory(t *testing.T) {
	stored := make(chan struct{})
	onStore := sync.OnceFunc(func() { close(stored) })
	store, release := storagetest.HangingS3(t, func(*http.Request) bool {
		onStore()
		return true
	})
	image := readImage(t, "scene.png")
	var most int64
	alone := images.New(storagetest.Directory(t), images.Options{
		MaxBytes: maxUpload, MaxMemory: 512 << 20, OnMemoryChange: func(delta int64) { most = max(most, delta) },
	})
	if _, err := alone.Stage(t.Context(), "a.png", strings.NewReader(image)); err != nil {
		t.Fatal(err)
	}
	service := images.New(store, images.Options{MaxBytes: maxUpload, MaxMemory: most})
	var holding sync.WaitGroup
	holding.Go(func() { _, _ = service.Stage(t.Context(), "a.png", strings.NewReader(image)) })
	t.Cleanup(func() {
		release()
		holding.Wait()
	})
	<-stored
	for name, leaves := range map[string]bool{"timeout": false, "client leaves": true} {
		t.Run(name, func(t *testing.T) {
			dbtest.EachLoaded(t, uploadRows, func(t *testing.T, dsn string) {
				var logs bytes.Buffer
				server := newUploadServer(t, dsn, storagetest.Directory(t), service)
				uploads, timeout, want := admission.NewLimiter(1, 0, time.Minute), 300*time.Millisecond, 1
				if leaves {
					timeout, want = time.Minute, 0
				}
				server.Config.Handler = graphtest.NewHandler(t, &graph.Resolver{DB: server.database, Images: service}, func(o *graphtest.Options) {
					o.Admission.Uploads, o.Log, o.UploadTimeout = uploads, slog.New(slog.NewJSONHandler(&logs, nil)), timeout
				})
				if leaves {
					server.leaveUpload(t, uploads, image)
				} else if _, body := server.upload(t, admin, operationsPart(uploadMutation), mapPart(uploadMap), filePart("a.png", image)); !strings.Contains(body, `"code":"UNAVAILABLE"`) {
					t.Errorf("got %s, want UNAVAILABLE", body)
				}
				server.Close()
				if got := strings.Count(logs.String(), `"level":"ERROR"`); got != want {
					t.Errorf("logged %s, want %d errors", logs.String(), want)
				}
			})
		})
	}
}

// leaveUpload sends an image, and closes the connection when that has a slot.
func (s uploadServer) leaveUpload(t *testing.T, uploads *admission.Limiter, image string) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		for uploads.Stats().InUse == 0 {
			runtime.Gosched()
		}
		leave()
	}()
	body := rawPart("operations") + uploadMutation + "\r\n" + rawPart("map") + uploadMap + "\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.png\"\r\n\r\n" + image + "\r\n--b--\r\n"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {admin}, "Content-Type": {"multipart/form-data; boundary=b"}}
	if response, err := s.Client().Do(request); err == nil {
		_ = response.Body.Close()
		t.Errorf("got %s, want no response", response.Status)
	}
}

// TestClients_AreNotLoggedIfTheyDisconnect checks that nothing is logged as an error of a request
// whose client leaves while it waits.
func TestClients_AreNotLoggedIfTheyDisconnect(t *testing.T) {
	t.Parallel()
	for _, c := range waits {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
				s := newSlowServer(t, dsn, time.Minute)
				c.hold(t, s)
				before := s.authenticator.Stats()
				ctx, leave := context.WithCancel(t.Context())
				go func() {
					for stats := before; stats.Hits+stats.Misses == before.Hits+before.Misses; stats = s.authenticator.Stats() {
						runtime.Gosched()
					}
					leave()
				}()
				if status, body, err := s.send(ctx, c.query); err == nil {
					t.Errorf("got %d %s, want no response", status, body)
				}
				s.Close()
				if logs := s.logs.String(); strings.Contains(logs, `"level":"ERROR"`) {
					t.Errorf("logged %s, want nothing", logs)
				}
			})
		})
	}
}
