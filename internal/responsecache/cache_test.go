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

// fixture is a cache of what is read from a database with two portfolios.
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

// get returns the name of a portfolio as a request gets it, from the cache or the database.
func (f *fixture) get(id int64) (name string, cached bool) {
	f.t.Helper()
	found, reading := f.Find(f.t.Context(), keyOf(id), f.changes.Begin())
	if found != nil {
		return string(found.Body), true
	}
	defer reading.End()
	name = f.read(reading.Record(f.t.Context()), id)
	if reading.IsWanted() {
		reading.Store(&Response{Body: []byte(name)})
	}
	return name, false
}

func (f *fixture) read(ctx context.Context, id int64) string {
	f.t.Helper()
	portfolio, err := f.database.Portfolio(ctx, id)
	if err != nil {
		f.t.Fatal(err)
	}
	return portfolio.Name
}

func keyOf(id int64) Key { return KeyOf(nil, strconv.FormatInt(id, 10)) }

// TestSecondSight checks when a response is stored, and that it is not found after a
// change of its rows.
func TestSecondSight(t *testing.T) {
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
			{"", 1, "new", f.database.Postgres()}, // SQLite does not tell what changed
			{"", 2, "two", true},
		} {
			if step.statement != "" {
				dbtest.Exec(t, f.dsn, step.statement)
				f.changes.Mark() // what is read before the change is heard of would not be stored
			}
			if name, cached := f.get(step.id); name != step.want || cached != step.cached {
				t.Errorf("step %d: %s, cached %t", i, name, cached)
			}
		}
		if stats := f.Stats(); stats.Hits+stats.Misses != 9 || stats.Entries != 2 {
			t.Errorf("%+v", stats)
		}
	})
}

// TestReadAcrossCommit checks that what was read before a commit is not found after it,
// neither by those who waited for it.
func TestReadAcrossCommit(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		f.get(1)
		_, reading := f.Find(t.Context(), keyOf(1), f.changes.Begin())
		old := f.read(reading.Record(t.Context()), 1)
		early := f.wait(t.Context(), 1, 1)
		dbtest.Exec(t, f.dsn, "UPDATE portfolios SET name = 'new' WHERE id = 1")
		late := f.wait(t.Context(), 1, 1)
		if !reading.IsWanted() {
			t.Error("not wanted")
		}
		reading.Store(&Response{Body: []byte(old)})
		if got := <-late; got != "" {
			t.Errorf("who came after the commit got %q", got)
		}
		<-early // may get either
		if name, cached := f.get(1); name != "new" || cached {
			t.Errorf("%q, cached %t", name, cached)
		}
	})
}

// wait calls Find and returns when it waits for a reading, together with others. The
// channel receives what it finds, or nothing.
func (f *fixture) wait(ctx context.Context, id int64, others int) chan string {
	f.t.Helper()
	proof, found, already := f.changes.Begin(), make(chan string, others), f.waiting(id)
	for range others {
		go func() {
			response, reading := f.Find(ctx, keyOf(id), proof)
			switch {
			case reading != nil:
				found <- "not waited"
			case response != nil:
				found <- string(response.Body)
			default:
				found <- ""
			}
		}()
	}
	for f.waiting(id) < already+others {
		runtime.Gosched() // they say nothing when they begin to wait
	}
	return found
}

// waiting returns how many wait for a reading.
func (f *fixture) waiting(id int64) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if running := f.reading[keyOf(id)]; running != nil {
		return running.waiting
	}
	return 0
}

// TestShared checks that what several requests miss is read once, and what they get if
// that fails.
func TestShared(t *testing.T) {
	t.Parallel()
	const requests = 50
	for name, c := range map[string]struct {
		end  func(*Reading)
		want string
	}{
		"stored": {func(r *Reading) {
			if r.IsWanted() {
				r.Store(&Response{Body: []byte("one")})
			}
		}, "one"},
		"failed":  {(*Reading).End, ""},
		"refused": {(*Reading).Refuse, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, 1<<20, func(t *testing.T, f *fixture) {
				_, reading := f.Find(t.Context(), keyOf(1), f.changes.Begin())
				reading.Record(t.Context())
				found := f.wait(t.Context(), 1, requests)
				c.end(reading)
				reading.End() // for the second time
				for range requests {
					if got := <-found; got != c.want {
						t.Fatalf("%q", got)
					}
				}
				_, again := f.Find(t.Context(), keyOf(1), f.changes.Begin())
				if (again != nil) != (name == "failed") {
					t.Errorf("may be stored: %t", again != nil)
				}
				again.End()
			})
		})
	}
}

// TestGivesUp checks that a request that has gone does not wait.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		_, reading := f.Find(t.Context(), keyOf(1), f.changes.Begin())
		defer reading.End()
		ctx, cancel := context.WithCancel(t.Context())
		found := f.wait(ctx, 1, 1)
		cancel()
		if got := <-found; got != "" {
			t.Errorf("%q", got)
		}
	})
}

// TestNotHeard checks that nothing is stored or found while changes are not heard.
func TestNotHeard(t *testing.T) {
	t.Parallel()
	each(t, 1<<20, func(t *testing.T, f *fixture) {
		for range 3 {
			f.get(1)
		}
		if found, reading := f.Find(t.Context(), keyOf(1), changefeed.Proof{}); found != nil || reading != nil {
			t.Error("found without a mark")
		}
	})
	if New(nil, Options{Limit: 1}) != nil || New(new(changefeed.Feed), Options{}) != nil {
		t.Error("a cache without a feed, or of no bytes")
	}
	var none *Cache
	if found, reading := none.Find(t.Context(), keyOf(1), changefeed.Proof{}); found != nil || reading != nil || none.Stats() != (Stats{}) {
		t.Error("found in no cache")
	}
	var nothing *Reading
	nothing.Refuse()
	nothing.End()
	if nothing.IsWanted() || nothing.Record(t.Context()) != t.Context() {
		t.Error("no reading is wanted")
	}
}

// TestBound checks that the bytes never exceed the limit, that those that are told are
// those that are held, and that a large response is not stored.
func TestBound(t *testing.T) {
	t.Parallel()
	const limit, writers = 1 << 20, 16
	changes := changefeedtest.Start(t, dbtest.Open(t, dbtest.SQLite(t)))
	var told atomic.Int64
	c := New(changes, Options{Limit: limit, MaxAge: time.Minute, Hold: func(by int64) { told.Add(by) }})
	store := func(key Key, bytes int) {
		for range 2 {
			if _, reading := c.Find(t.Context(), key, changes.Begin()); reading != nil {
				reading.Record(t.Context())
				if reading.IsWanted() {
					reading.Store(&Response{Body: make([]byte, bytes)})
				}
			}
		}
	}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range 2000 {
				store(keyOf(rand.Int64N(1000)), rand.IntN(limit/8))
				if stats := c.Stats(); stats.Bytes > limit || stats.Bytes < 0 {
					t.Errorf("%d bytes", stats.Bytes)
				}
			}
		})
	}
	all.Wait()
	stats := c.Stats()
	if told.Load() != heldFactor*stats.Bytes || stats.Bytes < limit/2 || stats.Limit != limit {
		t.Errorf("told %d, %+v", told.Load(), stats)
	}
	store(keyOf(-1), limit/maxShare)
	if found, _ := c.Find(t.Context(), keyOf(-1), changes.Begin()); found != nil {
		t.Error("a large response was stored")
	}
}

// TestOverhead checks that small responses take no more memory than is counted.
func TestOverhead(t *testing.T) {
	changes := changefeedtest.Start(t, dbtest.Open(t, dbtest.SQLite(t)))
	const limit = 16 << 20
	c := New(changes, Options{Limit: limit, MaxAge: time.Minute})
	proof := changes.Begin()
	before := heap()
	for i := range int64(limit / overhead) {
		for range 2 {
			_, reading := c.Find(t.Context(), keyOf(i), proof)
			reading.Record(t.Context())
			if reading.IsWanted() {
				reading.Store(&Response{Type: "query", Operation: strings.Clone("Name"), ETag: []string{strings.Clone(`W/"0384bd78b8b987171b0ce4f29e771044"`)}, CacheControl: []string{"private"}})
			}
		}
	}
	if took, counted := heap()-before, c.Stats().Bytes; took > counted {
		t.Errorf("%d responses took %d bytes, %d counted", c.Stats().Entries, took, counted)
	}
	runtime.KeepAlive(c)
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestKeyOf(t *testing.T) {
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
			if other, ok := keys[key]; ok && other != text {
				t.Errorf("%s and %s have the same key", text, other)
			}
			keys[key] = text
		}
	}
	if len(keys) != 12 {
		t.Errorf("%d keys", len(keys))
	}
}
