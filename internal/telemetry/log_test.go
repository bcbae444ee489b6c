package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
)

// FuzzRequestRecord checks that a record of a request has the fields that slog's
// JSON handler writes, in their order.
func FuzzRequestRecord(f *testing.F) {
	f.Add("GET", "/api/portfolios/1/links/4", "", "", "", "id", 200, int64(1234567), 0.0, int64(0))
	f.Add("POST", "/graphql", "query", "Link", "CONFLICT", "a-b.c_d", 0, int64(1), 12.0, int64(7))
	f.Add("\"\\\n", "/\x00é\xff\u2028<b>", "mutation", "", "", "", 503, int64(-1), 1e21, int64(-7))
	f.Fuzz(func(t *testing.T, method, path, kind, operation, code, id string, status int, duration int64, cost float64, user int64) {
		r := &Request{
			Method: method, Path: path, Client: netip.MustParseAddr("2001:db8::1"), ID: id, TraceID: id, API: GraphQL, Type: kind, Operation: operation,
			Code: apierror.Code(code), Cost: cost, UserID: user, Status: status, Bytes: duration, Duration: time.Duration(duration),
		}
		r.Statements.Store(user)
		record := slog.NewRecord(time.Now(), slog.LevelInfo, requestMessage, 0)
		record.AddAttrs(slog.Any("", r))
		var got, want bytes.Buffer
		writer := NewLogWriter(&got)
		ctx := WithRequest(t.Context(), r)
		if err := NewLogHandler(writer, true, nil).Handle(ctx, record); err != nil {
			t.Fatal(err)
		}
		writer.Flush()
		if err := slog.NewJSONHandler(&want, nil).Handle(ctx, record); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tokens(t, want.Bytes()), tokens(t, got.Bytes())); diff != "" || !strings.HasSuffix(got.String(), "}\n") || strings.Count(got.String(), "\n") != 1 {
			t.Errorf("got %s, want %s: %s", got.Bytes(), want.Bytes(), diff)
		}
	})
}

func tokens(t *testing.T, text []byte) (all []json.Token) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	for decoder.More() || len(all) == 0 {
		token, err := decoder.Token()
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, token)
	}
	return all
}

// TestLogHandler_FlushesOtherRecords checks that records of requests are collected. All
// other records are written at once, after the earlier records, and Flush loses no record.
func TestLogHandler_FlushesOtherRecords(t *testing.T) {
	t.Parallel()
	for _, isJSON := range []bool{true, false} {
		var out bytes.Buffer
		writer := NewLogWriter(&out)
		writer.timer = time.AfterFunc(time.Hour, func() {}) // what is written does not depend on time
		handler := NewLogHandler(writer, isJSON, slog.LevelInfo)
		ctx := WithRequest(t.Context(), &Request{ID: "sent"})
		count := func(what string, want int) {
			t.Helper()
			if got := strings.Count(out.String(), "\n"); got != want || strings.Count(out.String(), "sent") != want {
				t.Errorf("%s: %d lines, want %d:\n%s", what, got, want, &out)
			}
		}
		RequestFrom(ctx).Log(ctx, handler)
		count("request", 0)
		slog.New(handler).ErrorContext(ctx, "failed")
		count("error", 2)
		slog.New(handler).With("key", "value").InfoContext(ctx, "information")
		count("information", 3)
		RequestFrom(ctx).Log(ctx, handler)
		slog.New(handler).DebugContext(ctx, "not enabled")
		count("request", 3)
		writer.Flush()
		count("flush", 4)
	}
}

// blockedWriter blocks until its channel is closed.
type blockedWriter struct {
	unblock chan struct{}
	written bytes.Buffer
}

func (w *blockedWriter) Write(p []byte) (int, error) {
	<-w.unblock
	return w.written.Write(p)
}

// TestLogWriter_BoundsPendingRecords checks that requests do not wait for the log to be
// written until much was collected, and that nothing is lost or out of order.
func TestLogWriter_BoundsPendingRecords(t *testing.T) {
	t.Parallel()
	out := &blockedWriter{unblock: make(chan struct{})}
	writer := NewLogWriter(out)
	var all strings.Builder
	write := func(i int) {
		record := fmt.Sprintf("record %06d %s\n", i, strings.Repeat("x", 100))
		all.WriteString(record)
		_, _ = writer.Write([]byte(record))
	}
	write(0)
	go writer.Flush() // blocks
	for writer.writing.TryLock() {
		writer.writing.Unlock()
	}
	i := 1
	for ; all.Len() < logBuffer; i++ {
		write(i)
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		for ; i < 10_000; i++ { // more than the buffer
			write(i)
		}
	}()
	for pending := 0; pending < logBuffer; { // until it waits
		writer.mu.Lock()
		pending = len(writer.pending)
		writer.mu.Unlock()
		if pending > logBuffer+200 {
			t.Errorf("%d bytes are pending", pending)
		}
	}
	close(out.unblock)
	<-waited
	writer.Flush()
	if out.written.String() != all.String() {
		t.Error("records are lost or out of order")
	}
}

// TestLogWriter_KeepsOrderOfConcurrentWriters checks that records are whole, and that the
// records of each writer are in order.
func TestLogWriter_KeepsOrderOfConcurrentWriters(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	writer := NewLogWriter(&out)
	var writers sync.WaitGroup
	for k := range 8 {
		writers.Go(func() {
			for i := range 5000 {
				_, _ = writer.Write(fmt.Appendf(nil, "%d %d\n", k, i))
			}
		})
	}
	writers.Wait()
	writer.Flush()
	next := map[int]int{}
	for line := range strings.Lines(out.String()) {
		var k, i int
		if _, err := fmt.Sscanf(line, "%d %d\n", &k, &i); err != nil || i != next[k] {
			t.Fatalf("%q after %d: %v", line, next[k], err)
		}
		next[k]++
	}
	if len(next) != 8 || next[0] != 5000 {
		t.Errorf("got records of %d writers, %d of the first, want 8 and 5000", len(next), next[0])
	}
}

// TestRequestFrom_ReturnsRequestOfContext checks that a context without a request has a new one.
func TestRequestFrom_ReturnsRequestOfContext(t *testing.T) {
	t.Parallel()
	RequestFrom(context.Background()).API = REST
	r := &Request{}
	if got := RequestFrom(WithRequest(t.Context(), r)); got != r {
		t.Errorf("got %p, want %p", got, r)
	}
}

// TestLogFailure_LogsEachCauseOnce checks that LogFailure compares causes by their whole texts,
// whichever fields report them. The last record says that others are left out.
func TestLogFailure_LogsEachCauseOnce(t *testing.T) {
	t.Parallel()
	denied := func(name string) error {
		return fmt.Errorf("read file: %w", &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission})
	}
	at := func(field string, err error) error { return gqlerror.WrapPath(ast.Path{ast.PathName(field)}, err) }
	many := make([]error, 0, 20)
	for i := range cap(many) {
		many = append(many, denied(fmt.Sprintf("%d.png", i)))
	}
	const more = "further failures of this request are not logged"
	for _, c := range []struct {
		name    string
		errs    []error
		records int
		last    string
	}{
		{"one cause of several fields", []error{at("a", denied("a.png")), at("b", denied("a.png")), denied("a.png")}, 1, "a.png"},
		{"causes that wrap one error", []error{at("a", denied("a.png")), at("a", denied("b.png"))}, 2, "b.png"},
		{"as many causes as are logged", many[:10], 10, "9.png"},
		{"more causes than are logged", many, 11, more},
		{"an error that has only a path", []error{&gqlerror.Error{Message: "x"}, &gqlerror.Error{Message: "y"}}, 2, "y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			ctx := WithRequest(t.Context(), &Request{})
			for _, err := range c.errs {
				LogFailure(ctx, slog.New(slog.NewTextHandler(&logs, nil)), err)
			}
			records := strings.Split(strings.TrimSpace(logs.String()), "\n")
			if last := records[len(records)-1]; len(records) != c.records || !strings.Contains(last, c.last) {
				t.Errorf("got %d records, the last one %s, want %d and %q", len(records), last, c.records, c.last)
			}
		})
	}
}
