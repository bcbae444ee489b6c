package system

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/test/servertest"
)

// await requests a path until the response has a status. The result of a check counts for a
// second.
func (s *testServer) await(path string, status int) (body string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		got, body := s.get(path)
		if got == status {
			return body
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %d %s, want %d", path, got, body, status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// poll calls try until it succeeds. The server must not exit meanwhile.
func poll(t *testing.T, exited <-chan int, logs *logBuffer, try func() bool) {
	t.Helper()
	for deadline := time.After(time.Minute); !try(); {
		select {
		case code := <-exited:
			t.Fatalf("exit code %d: %s", code, logs)
		case <-deadline:
			t.Fatalf("waited for a minute: %s", logs)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestReadiness_OfQueriesWithoutMedia checks that a server whose files cannot be written is
// ready for queries, and logs the cause once when its readiness changes.
func TestReadiness_OfQueriesWithoutMedia(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		media := filepath.Join(t.TempDir(), "media")
		server, key := startRecorded(t, dsn, "--media-store=file:"+media)
		server.await("/readyz", 200)
		if err := os.RemoveAll(media); err != nil { // so that also root cannot write there
			t.Fatal(err)
		}
		if body := server.await("/readyz", 503); body != "the media store cannot be written\n" {
			t.Errorf("/readyz: %s", body)
		}
		if status, body := server.upload(key, photograph(t, 30, 20)); status != http.StatusServiceUnavailable {
			t.Errorf("upload: %d %s", status, body)
		}
		if body := server.await("/readyz/queries", 200); body != "ok\n" {
			t.Errorf("/readyz/queries: %s", body)
		}
		if status, body := server.get(linkPath, "Authorization: Token "+key); status != http.StatusOK {
			t.Errorf("a link: %d %s", status, body)
		}
		if got := strings.Count(server.logs.String(), `"msg":"not ready","for":"requests"`); got != 1 {
			t.Errorf("%d records, want 1: %s", got, server.logs)
		}
		if logs := server.logs.String(); !strings.Contains(logs, `"problem":"the media store cannot be written","error":"`) || strings.Contains(logs, `"for":"queries"`) {
			t.Errorf("logged %s", logs)
		}
	})
}

// TestReadiness_OfQueriesReadOnly checks that a server whose rows cannot be written is ready for
// queries, and that one without its schema is not.
func TestReadiness_OfQueriesReadOnly(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	server := startServer(t, "--database-url="+dsn+"&default_transaction_read_only=on")
	if body := server.await("/readyz", 503); body != "the database cannot be written\n" {
		t.Errorf("/readyz: %s", body)
	}
	server.await("/readyz/queries", 200)
	dbtest.Exec(t, dsn, "ALTER TABLE bun_migrations RENAME TO away")
	if body := server.await("/readyz/queries", 503); body != "the database's schema is behind\n" {
		t.Errorf("/readyz/queries: %s", body)
	}
	dbtest.Exec(t, dsn, "ALTER TABLE away RENAME TO bun_migrations")
	server.await("/readyz/queries", 200)
	logs := server.logs.String()
	for _, want := range []string{
		`"level":"ERROR","msg":"not ready","for":"requests","problem":"the database cannot be written","error":"the database is read-only"`,
		`"level":"ERROR","msg":"not ready","for":"queries","problem":"the database's schema is behind"`,
		`"level":"INFO","msg":"ready","for":"queries"`,
	} {
		if strings.Count(logs, want) != 1 {
			t.Errorf("logged %s, want %s once", logs, want)
		}
	}
}

// TestServe_WaitsForDatabase checks that a server whose PostgreSQL cannot be reached is alive
// and not ready, logs why, and starts when it can.
func TestServe_WaitsForDatabase(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	line, through := dbtest.NewProxy(t, dsn)
	line.Disconnect()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	server := &testServer{t: t, Ready: servertest.Ready{URL: "http://" + free.Addr().String()}, logs: &logBuffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"serve", "--addr=" + free.Addr().String(), "--database-url=" + through}, new(logBuffer), server.logs)
	}()
	answers := func(path string) (status int) {
		response, err := http.Get(server.URL + path)
		if err != nil { // it does not listen, or begins to listen anew
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	poll(t, exited, server.logs, func() bool { return answers("/healthz") == http.StatusOK })
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 503, "the database is unavailable\n"},
		{"/readyz/queries", 503, "the database is unavailable\n"},
		{"/graphql?query={__typename}", 503, `{"errors":[{"message":"`},
		{"/api/portfolios/1/links/4", 503, `{"detail":"Service temporarily unavailable, try again later."}`},
	} {
		if status, body := server.get(c.path); status != c.status || !strings.HasPrefix(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.path, status, body, c.status, c.want)
		}
	}
	line.Reconnect()
	poll(t, exited, server.logs, func() bool { return answers("/readyz") == http.StatusOK })
	cancel()
	if code := <-exited; code != 0 {
		t.Errorf("exit code %d: %s", code, server.logs)
	}
	logs := server.logs.String()
	for _, want := range []string{`"level":"WARN","msg":"waiting for the database","error":"DATABASE_URL: `, `"level":"INFO","msg":"the database is available"`} {
		if strings.Count(logs, want) != 1 {
			t.Errorf("logged %s, want %s once", logs, want)
		}
	}
}

// TestServe_WaitsUntilItIsStopped checks that a server that waits can be stopped, and that one
// whose settings are refused does not wait.
func TestServe_WaitsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	ctx, cancel := context.WithCancel(t.Context())
	logs, exited := &logBuffer{}, make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"serve", "--addr=127.0.0.1:0", "--database-url=postgres://127.0.0.1:1/x"}, new(logBuffer), logs)
	}()
	poll(t, exited, logs, func() bool { return strings.Contains(logs.String(), "waiting for the database") })
	cancel()
	if code := <-exited; code != 0 {
		t.Errorf("exit code %d: %s", code, logs)
	}
	for _, dsn := range []string{strings.Replace(dsn, "/test_", "/none_", 1), "postgres://127.0.0.1:1/x?sslmode=disable&target_session_attrs=none"} {
		if _, stderr := runCommand(t, 1, "serve", "--addr=127.0.0.1:0", "--database-url="+dsn); strings.Contains(stderr, "waiting") {
			t.Errorf("%s: said %s", dsn, stderr)
		}
	}
}

// TestServe_ConnectsFeedBeforeItListens checks that a server says that it is ready, and listens,
// only after the first attempt to connect the change feed.
func TestServe_ConnectsFeedBeforeItListens(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	output, logs, exited := &logBuffer{}, &logBuffer{}, make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{"serve", "--addr=127.0.0.1:0", "--database-url=" + dsn,
			"--change-feed-url=postgres://" + listener.Addr().String() + "/x?sslmode=disable"}, output, logs)
	}()
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got := output.String(); got != "" {
		t.Errorf("printed %q during the attempt, want nothing", got)
	}
	_ = errors.Join(connection.Close(), listener.Close())
	poll(t, exited, logs, func() bool { return strings.Contains(output.String(), "Ready.") })
	cancel()
	if code := <-exited; code != 0 {
		t.Errorf("exit code %d: %s", code, logs)
	}
}

// TestServe_StopsWhileItConnects checks that a server which is stopped during an attempt to
// connect has no error.
func TestServe_StopsWhileItConnects(t *testing.T) {
	t.Parallel()
	for _, attempt := range []string{"first", "later"} {
		t.Run(attempt, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			ctx, cancel := context.WithCancel(t.Context())
			logs, exited := &logBuffer{}, make(chan int, 1)
			go func() {
				exited <- run(ctx, []string{"serve", "--addr=127.0.0.1:0", "--database-url=postgres://" + listener.Addr().String() + "/x?sslmode=disable"}, new(logBuffer), logs)
			}()
			accepted := make(chan net.Conn)
			go func() {
				defer close(accepted)
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					if attempt == "later" && !strings.Contains(logs.String(), "waiting for the database") {
						_ = connection.Close()
						continue
					}
					accepted <- connection // and never answer
				}
			}()
			select {
			case connection := <-accepted:
				defer func() { _ = connection.Close() }()
			case code := <-exited:
				t.Fatalf("exit code %d before it connected: %s", code, logs)
			case <-time.After(time.Minute):
				t.Fatalf("no connection: %s", logs)
			}
			cancel()
			if code := <-exited; code != 0 {
				t.Errorf("exit code %d, want 0: %s", code, logs)
			}
		})
	}
}

// TestBackupUnit_CleansUp runs the clean-up of the unit on what kills have left.
func TestBackupUnit_CleansUp(t *testing.T) {
	t.Parallel()
	const installed = "/var/lib/portfolio-backups"
	directory := t.TempDir()
	ages := map[string]time.Duration{
		"portfolio-old.tar": 40 * 24 * time.Hour, "portfolio-old.tar.gz": 40 * 24 * time.Hour, "portfolio-new.tar": time.Hour,
		"portfolio-old.tar.partial-1/backup.tar": 40 * 24 * time.Hour, "portfolio-killed.tar.partial-2/portfolio.db-journal": 24 * time.Hour,
		"portfolio-running.tar.partial-3/backup.tar": time.Hour, "notes.txt": 40 * 24 * time.Hour, "other/portfolio-x.tar": 40 * 24 * time.Hour,
	}
	for name, age := range ages {
		name = filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		modified := time.Now().Add(-age)
		if err := os.Chtimes(name, modified, modified); err != nil {
			t.Fatal(err)
		}
		if parent := filepath.Dir(name); parent != directory {
			if err := os.Chtimes(parent, modified, modified); err != nil {
				t.Fatal(err)
			}
		}
	}
	commands := 0
	for line := range strings.Lines(readText(t, "deploy/portfolio-backup.service")) {
		_, command, found := strings.Cut(strings.TrimSpace(line), "=/usr/bin/find ")
		if !found {
			continue
		}
		commands++
		arguments := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(command, `"`, ""), installed, directory))
		if output, err := exec.Command("find", arguments...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", command, err, output)
		}
	}
	if commands != 2 {
		t.Errorf("%d commands, want 2", commands)
	}
	for name := range ages {
		want := !strings.HasPrefix(name, "portfolio-old") && !strings.HasPrefix(name, "portfolio-killed")
		if _, err := os.Stat(filepath.Join(directory, name)); (err == nil) != want {
			t.Errorf("%s: %v, kept %v", name, err, want)
		}
	}
}

// TestUnit_NeverGivesUp checks that systemd starts the server again without a limit.
func TestUnit_NeverGivesUp(t *testing.T) {
	t.Parallel()
	text := readText(t, "deploy/portfolio.service")
	unit, _, _ := strings.Cut(text, "[Service]")
	if !strings.Contains(unit, "\nStartLimitIntervalSec=0\n") || !strings.Contains(text, "\nRestart=always\n") {
		t.Error(text)
	}
}
