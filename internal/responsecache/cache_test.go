package responsecache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/changefeed"
	"portfolio/internal/changefeed/changefeedtest"
)

// fixture is a cache for a database with two portfolios.
type fixture struct {
	*Cache
	t        *testing.T
	dsn      string
	database *db.DB
	changes  *changefeed.Feed
}

func each(t *testing.T, limit int64, test func(t *testing.T, f *fixture)) {
	t.Helper()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one'), (2, 'two')")
		database := dbtest.Open(t, dsn)
		changes := changefeedtest.Start(t, database)
		test(t, &fixture{New(changes, Options{Limit: limit, MaxAge: time.Minute}), t, dsn, database, changes})
	})
}

// get returns the name of a portfolio, from the cache or the database.
func (f *fixture) get(id int64) (name string, cached bool) {
	f.t.Helper()
	response := f.Do(f.t.Context(), keyOf(id), f.changes.NewBarrier(), func(ctx context.Context, fill *Fill) {
		name = f.readName(ctx, id)
		fill.Share(func() *Response { return &Response{Body: []byte(name)} })
	})
	if response != nil {
		return string(response.Body), true
	}
	return name, false
}

func (f *fixture) readName(ctx context.Context, id int64) string {
	f.t.Helper()
	portfolio, err := f.database.Portfolio(ctx, id)
	if err != nil {
		f.t.Fatal(err)
	}
	return portfolio.Name
}

func keyOf(id int64) Key { return KeyOf(nil, strconv.FormatInt(id, 10)) }

// TestCache_StoresOnSecondRequest checks when a response is cached, and that it is not
// served after a change of its rows.
func TestCache_StoresOnSecondRequest(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		for i, step := range []struct {
			statement string
			id        int64
			want      string
			cached    bool
		}{
			{"", 1, "one", false},
			{"", 1, "one", false},
			{"", 1, "one", true},
			{"", 2, "two", false},
			{"UPDATE portfolios SET name = 'new' WHERE id = 1", 1, "new", false},
			{"", 1, "new", true}, // the key was known
			{"UPDATE portfolios SET name = 'two' WHERE id = 2", 2, "two", false},
			{"", 1, "new", f.database.Postgres()}, // SQLite does not say which rows changed
			{"", 2, "two", true},
		} {
			if step.statement != "" {
				dbtest.Exec(t, f.dsn, step.statement)
				f.changes.Sync() // rows read before the notification would not be cached
			}
			if name, cached := f.get(step.id); name != step.want || cached != step.cached {
				t.Errorf("step %d: got %s, cached %t, want %s, cached %t", i, name, cached, step.want, step.cached)
			}
		}
		if stats := f.Stats(); stats.Hits+stats.Misses != 9 || stats.Entries != 2 {
			t.Errorf("got %+v, want 9 requests and 2 entries", stats)
		}
	})
}

// startFill starts a request whose fill calls begin with its context. The fill calls the argument of
// finish, and ends.
func (f *fixture) startFill(id int64, begin func(context.Context)) (finish func(func(*Fill))) {
	f.t.Helper()
	started, last, done := make(chan struct{}), make(chan func(*Fill)), make(chan struct{})
	barrier := f.changes.NewBarrier()
	go func() {
		defer close(done)
		f.Do(f.t.Context(), keyOf(id), barrier, func(ctx context.Context, fill *Fill) {
			begin(ctx)
			close(started)
			(<-last)(fill)
		})
	}()
	<-started
	return func(f func(*Fill)) {
		last <- f
		<-done
	}
}

// wait starts requests, and returns when they wait for a fill. The channel receives the body of each
// response, or "" if a request fills the response itself.
func (f *fixture) wait(ctx context.Context, id int64, requests int) chan string {
	f.t.Helper()
	barrier, bodies, waiting := f.changes.NewBarrier(), make(chan string, requests), f.waiting(id)
	for range requests {
		go func() {
			response := f.Do(ctx, keyOf(id), barrier, func(_ context.Context, fill *Fill) {
				if fill.cache != nil {
					f.t.Error("a request did not wait for the fill in progress")
				}
			})
			if response == nil {
				response = new(Response)
			}
			bodies <- string(response.Body)
		}()
	}
	for f.waiting(id) < waiting+requests {
		runtime.Gosched() // they say nothing when they begin to wait
	}
	return bodies
}

// waiting returns the number of requests that wait for a fill.
func (f *fixture) waiting(id int64) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running := f.fills[keyOf(id)]; running != nil {
		return running.waiting
	}
	return 0
}

// TestCache_ServesNothingReadBeforeCommit checks that rows read before a commit are not
// served after it, neither to requests that waited for them.
func TestCache_ServesNothingReadBeforeCommit(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		f.get(1)
		var name string
		finish := f.startFill(1, func(ctx context.Context) { name = f.readName(ctx, 1) })
		early := f.wait(t.Context(), 1, 1)
		dbtest.Exec(t, f.dsn, "UPDATE portfolios SET name = 'new' WHERE id = 1")
		late := f.wait(t.Context(), 1, 1)
		finish(func(fill *Fill) { fill.Share(func() *Response { return &Response{Body: []byte(name)} }) })
		if got := <-late; got != "" {
			t.Errorf("a request after the commit got %q, want nothing", got)
		}
		<-early // may get either
		if name, cached := f.get(1); name != "new" || cached {
			t.Errorf("got %q, cached %t, want new from the database", name, cached)
		}
	})
}

// TestCache_FillsOnceForAllRequests checks that several requests share one fill, and that they
// build their own responses if it fails.
func TestCache_FillsOnceForAllRequests(t *testing.T) {
	t.Parallel()
	const requests = 50
	for name, c := range map[string]struct {
		end  func(*Fill)
		want string
	}{
		"shared":    {func(fill *Fill) { fill.Share(func() *Response { return &Response{Body: []byte("one")} }) }, "one"},
		"failed":    {func(*Fill) {}, ""},
		"forbidden": {(*Fill).Forbid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, 1<<20, func(t *testing.T, f *fixture) {
				finish := f.startFill(1, func(context.Context) {})
				bodies := f.wait(t.Context(), 1, requests)
				finish(c.end)
				for range requests {
					if got := <-bodies; got != c.want {
						t.Fatalf("got %q, want %q", got, c.want)
					}
				}
				f.changes.Sync()
				response := f.Do(t.Context(), keyOf(1), changefeed.Barrier{}, func(context.Context, *Fill) {})
				if response != nil {
					t.Error("got a response without a barrier")
				}
				f.Do(t.Context(), keyOf(1), f.changes.NewBarrier(), func(_ context.Context, fill *Fill) {
					if got, want := fill.cache != nil, name != "forbidden"; got != want {
						t.Errorf("the next fill may be shared: got %t, want %t", got, want)
					}
				})
			})
		})
	}
}

// TestCache_ReturnsWhenCanceled checks that a canceled request does not wait.
func TestCache_ReturnsWhenCanceled(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		finish := f.startFill(1, func(context.Context) {})
		defer finish(func(*Fill) {})
		ctx, cancel := context.WithCancel(t.Context())
		bodies := f.wait(ctx, 1, 1)
		cancel()
		if got := <-bodies; got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
}

// TestCache_IsOffWithoutBarrier checks that nothing is cached or served while the feed is
// disconnected, or without a cache.
func TestCache_IsOffWithoutBarrier(t *testing.T) {
	t.Parallel()
	checkUnshared := func(t *testing.T, c *Cache) {
		t.Helper()
		filled := false
		response := c.Do(t.Context(), keyOf(1), changefeed.Barrier{}, func(ctx context.Context, fill *Fill) {
			filled = true
			if ctx != t.Context() {
				t.Error("the read set of a response that is not shared is recorded")
			}
			fill.Forbid()
			fill.Share(func() *Response { t.Error("a response is built that nobody needs"); return nil })
		})
		if response != nil || !filled {
			t.Errorf("got %v, filled %t, want a fill", response, filled)
		}
	}
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		for range 3 {
			f.get(1)
		}
		checkUnshared(t, f.Cache)
	})
	if New(nil, Options{Limit: 1}) != nil || New(new(changefeed.Feed), Options{}) != nil {
		t.Error("got a cache without a feed, or of no bytes")
	}
	checkUnshared(t, nil)
	if got := (*Cache)(nil).Stats(); got != (Stats{}) {
		t.Errorf("got %+v of no cache", got)
	}
}

// request shares a response of some bytes.
func request(t *testing.T, c *Cache, key Key, barrier changefeed.Barrier, build func() *Response) *Response {
	t.Helper()
	return c.Do(t.Context(), key, barrier, func(_ context.Context, fill *Fill) { fill.Share(build) })
}

// TestCache_IsBounded checks that the bytes never exceed the limit, that OnMemoryChange gets
// all changes, and that a large response is not cached.
func TestCache_IsBounded(t *testing.T) {
	t.Parallel()
	const limit, writers = 1 << 20, 16
	changes := changefeedtest.Start(t, dbtest.Open(t, dbtest.SQLite(t)))
	var held atomic.Int64
	c := New(changes, Options{Limit: limit, MaxAge: time.Minute, OnMemoryChange: func(delta int64) { held.Add(delta) }})
	fill := func(key Key, bytes int) {
		for range 2 {
			request(t, c, key, changes.NewBarrier(), func() *Response { return &Response{Body: make([]byte, bytes)} })
		}
	}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range 500 {
				fill(keyOf(rand.Int64N(1000)), rand.IntN(limit/8))
				if stats := c.Stats(); stats.Bytes > limit || stats.Bytes < 0 {
					t.Errorf("got %d bytes, want at most %d", stats.Bytes, limit)
				}
			}
		})
	}
	all.Wait()
	stats := c.Stats()
	if held.Load() != heldFactor*stats.Bytes || stats.Bytes < limit/2 || stats.Limit != limit {
		t.Errorf("held %d bytes, %+v", held.Load(), stats)
	}
	fill(keyOf(-1), limit/maxShare)
	if got := request(t, c, keyOf(-1), changes.NewBarrier(), func() *Response { return new(Response) }); got != nil {
		t.Error("a large response is cached")
	}
}

// TestCache_CountsOverhead checks that small responses take no more memory than is counted.
func TestCache_CountsOverhead(t *testing.T) {
	changes := changefeedtest.Start(t, dbtest.Open(t, dbtest.SQLite(t)))
	const limit = 16 << 20
	c := New(changes, Options{Limit: limit, MaxAge: time.Minute})
	barrier := changes.NewBarrier()
	unused := heap()
	for i := range int64(limit / overhead) {
		for range 2 {
			request(t, c, keyOf(i), barrier, func() *Response {
				return &Response{Type: "query", Operation: strings.Clone("Name"), ETag: []string{strings.Clone(`W/"0384bd78b8b987171b0ce4f29e771044"`)}, CacheControl: []string{"private"}}
			})
		}
	}
	if took, counted := heap()-unused, c.Stats().Bytes; took > counted {
		t.Errorf("%d responses took %d bytes, counted %d", c.Stats().Entries, took, counted)
	}
	runtime.KeepAlive(c)
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestKeyOf_SeparatesFields checks that different requests have different keys.
func TestKeyOf_SeparatesFields(t *testing.T) {
	t.Parallel()
	keys := map[Key]string{}
	for _, request := range []struct {
		content string
		fields  []string
	}{
		{"", nil}, {"a", nil}, {"", []string{"a"}}, {"", []string{"a", ""}}, {"", []string{"", "a"}}, {"a", []string{""}},
		{"", []string{"ab", "c"}}, {"", []string{"a", "bc"}}, {"c", []string{"ab"}}, {"bc", []string{"a"}},
		{"", []string{strings.Repeat("a", 300)}}, {"", []string{strings.Repeat("a", 2*maxPooled)}},
	} {
		for range 2 {
			key, text := KeyOf([]byte(request.content), request.fields...), fmt.Sprintf("%.20q", request)
			if known, ok := keys[key]; ok && known != text {
				t.Errorf("%s and %s have the same key", text, known)
			}
			keys[key] = text
		}
	}
	if len(keys) != 12 {
		t.Errorf("%d keys", len(keys))
	}
}
