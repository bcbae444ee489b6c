package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeSource is a batcher with the fetches that it makes. Each takes a second;
// the value of a key is its text, and 0 has none.
type fakeSource struct {
	batcher[int, string]

	mu      sync.Mutex
	singles []int
	batches [][]int
	batch   func(keys []int) error // nil if every batch succeeds
}

var errMissing = errors.New("missing")

func newFakeSource(maxWait time.Duration) *fakeSource {
	s := &fakeSource{}
	s.maxWait = maxWait
	s.fetchOne = func(ctx context.Context, key int) (string, error) {
		s.mu.Lock()
		s.singles = append(s.singles, key)
		s.mu.Unlock()
		time.Sleep(time.Second)
		if key == 0 {
			return "", errMissing
		}
		return strconv.Itoa(key), ctx.Err()
	}
	s.fetchBatch = func(ctx context.Context, calls []*call[int, string]) error {
		keys := make([]int, len(calls))
		for i, c := range calls {
			keys[i] = c.key
		}
		s.mu.Lock()
		s.batches = append(s.batches, keys)
		s.mu.Unlock()
		time.Sleep(time.Second)
		if s.batch != nil {
			if err := s.batch(keys); err != nil {
				return err
			}
		}
		for _, c := range calls {
			if c.key != 0 {
				c.value = strconv.Itoa(c.key)
			}
		}
		return ctx.Err()
	}
	return s
}

// start looks keys up, in order, and returns what wait returns once they are
// all done: for each key its value or error, and "batched" if it came with a
// batch.
func (s *fakeSource) start(ctx context.Context, keys ...int) (wait func() []string) {
	results := make([]string, len(keys))
	var callers sync.WaitGroup
	for i, key := range keys {
		callers.Go(func() {
			defer func() {
				if reason := recover(); reason != nil {
					results[i] = fmt.Sprint("panic: ", reason)
				}
			}()
			value, batched, err := s.load(ctx, key)
			if results[i] = value; err != nil {
				results[i] = err.Error()
			}
			if batched {
				results[i] += " batched"
			}
		})
		synctest.Wait()
	}
	return func() []string { callers.Wait(); return results }
}

func (s *fakeSource) check(t *testing.T, singles []int, batches [][]int) {
	t.Helper()
	if diff := cmp.Diff(singles, s.singles) + cmp.Diff(batches, s.batches); diff != "" {
		t.Error("fetches:", diff)
	}
	s.checkState(t, 0, 0)
}

func (s *fakeSource) checkState(t *testing.T, inFlight, waiting int) {
	t.Helper()
	s.batcher.mu.Lock()
	defer s.batcher.mu.Unlock()
	if s.inFlight != inFlight || len(s.waiting) != waiting {
		t.Errorf("%d fetches in flight, want %d; %d lookups waiting, want %d", s.inFlight, inFlight, len(s.waiting), waiting)
	}
}

func checkResults(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("results:", diff)
	}
}

func TestBatcher_FetchesLoneLookupsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSource(time.Hour)
		checkResults(t, s.start(t.Context(), 1)(), "1")
		checkResults(t, s.start(t.Context(), 0)(), "missing")
		s.check(t, []int{1, 0}, nil)
	})
}

// TestBatcher_GathersLookupsDuringFetch checks that lookups gather while one fetch is in flight,
// a batch as well as a single one, and that the next fetch serves them all.
func TestBatcher_GathersLookupsDuringFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begin := newFakeSource(time.Hour), time.Now()
		first := s.start(t.Context(), 1, 2, 0, 2)
		time.Sleep(1500 * time.Millisecond) // the batch is in flight
		second := s.start(t.Context(), 3, 2)
		checkResults(t, first(), "1", "2 batched", " batched", "2 batched")
		checkResults(t, second(), "3 batched", "2 batched")
		s.check(t, []int{1}, [][]int{{2, 0, 2}, {3, 2}})
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %v, want one second for each fetch", took)
		}
	})
}

func TestBatcher_SendsFullBatchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begin := newFakeSource(time.Hour), time.Now()
		keys := make([]int, 2*maxBatch+2)
		for i := range keys {
			keys[i] = i + 1
		}
		wait := s.start(t.Context(), keys...)
		s.checkState(t, 3, 1)
		wait()
		s.check(t, []int{1}, [][]int{keys[1 : maxBatch+1], keys[maxBatch+1 : 2*maxBatch+1], keys[2*maxBatch+1:]})
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
	})
}

func TestBatcher_SendsBatchAfterMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begin := newFakeSource(10*time.Millisecond), time.Now()
		first, wait := s.start(t.Context(), 1), s.start(t.Context(), 2, 3)
		checkResults(t, wait(), "2 batched", "3 batched")
		if took := time.Since(begin); took != time.Second+10*time.Millisecond {
			t.Errorf("took %v, want 1.01s", took)
		}
		first()
		s.check(t, []int{1}, [][]int{{2, 3}})
	})
}

func TestBatcher_ServesCallersIfOneGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSource(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		first := s.start(t.Context(), 1)
		leaving, staying := s.start(ctx, 2), s.start(t.Context(), 3)
		cancel()
		checkResults(t, leaving(), "context canceled batched")
		checkResults(t, first(), "1")
		checkResults(t, staying(), "3 batched")
		s.check(t, []int{1}, [][]int{{2, 3}})
	})
}

// TestBatcher_ServesCallersIfFirstGivesUp checks that the lookups that wait for a single
// fetch are served if it fails.
func TestBatcher_ServesCallersIfFirstGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSource(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		leaving, staying := s.start(ctx, 1), s.start(t.Context(), 2)
		cancel()
		leaving()
		checkResults(t, staying(), "2 batched")
		s.check(t, []int{1}, [][]int{{2}})
	})
}

func TestBatcher_FetchesKeysOfFailedBatchAlone(t *testing.T) {
	for name, fail := range map[string]func([]int) error{
		"error": func([]int) error { return errors.New("broken") },
		"panic": func([]int) error { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFakeSource(time.Hour)
				s.batch = fail
				checkResults(t, s.start(t.Context(), 1, 2, 0, 3)(), "1", "2", "missing", "3")
				slices.Sort(s.singles)
				s.check(t, []int{0, 1, 2, 3}, [][]int{{2, 0, 3}})
			})
		})
	}
}

// TestBatcher_ServesCallersIfFetchPanics checks that a caller whose own fetch panics does
// not leave others waiting.
func TestBatcher_ServesCallersIfFetchPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSource(time.Hour)
		fetchOne := s.fetchOne
		s.fetchOne = func(ctx context.Context, key int) (string, error) {
			if value, err := fetchOne(ctx, key); key != 13 {
				return value, err
			}
			panic("thirteen")
		}
		checkResults(t, s.start(t.Context(), 13, 2)(), "panic: thirteen", "2 batched")
		s.batch = func(keys []int) error {
			if slices.Contains(keys, 13) {
				panic("thirteen")
			}
			return nil
		}
		checkResults(t, s.start(t.Context(), 1, 13, 3)(), "1", "panic: thirteen", "3")
		slices.Sort(s.singles)
		s.check(t, []int{1, 3, 13, 13}, [][]int{{2}, {13, 3}})
	})
}

func TestBatcher_LimitsTimeOfBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSource(time.Hour)
		s.batch = func([]int) error { time.Sleep(batchTimeout); return nil }
		checkResults(t, s.start(t.Context(), 1, 2)(), "1", "2")
		s.check(t, []int{1, 2}, [][]int{{2}})
	})
}

func TestBatcher_ServesManyCallers(t *testing.T) {
	b := batcher[int, string]{maxWait: maxBatchWait}
	b.fetchOne = func(_ context.Context, key int) (string, error) { return strconv.Itoa(key), nil }
	b.fetchBatch = func(_ context.Context, calls []*call[int, string]) error {
		if len(calls) > maxBatch {
			t.Errorf("a batch of %d", len(calls))
		}
		for _, c := range calls {
			if c.key%1000 == 999 {
				return errMissing
			}
			c.value = strconv.Itoa(c.key)
		}
		return nil
	}
	var callers sync.WaitGroup
	for caller := range 200 {
		callers.Go(func() {
			for i := range 200 {
				key := caller*200 + i
				if value, _, err := b.load(t.Context(), key); value != strconv.Itoa(key) || err != nil {
					t.Errorf("%d: %q, %v", key, value, err)
				}
			}
		})
	}
	callers.Wait()
}

// BenchmarkBatcher measures what a lone lookup costs beside its fetch, and one
// among many.
func BenchmarkBatcher(b *testing.B) {
	lookups := batcher[int, int]{
		maxWait:    maxBatchWait,
		fetchOne:   func(_ context.Context, key int) (int, error) { return key, nil },
		fetchBatch: func(context.Context, []*call[int, int]) error { return nil },
	}
	b.Run("lone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = lookups.load(b.Context(), 1)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _, _ = lookups.load(b.Context(), 1)
			}
		})
	})
}
