package system

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"portfolio/internal/cli"
	"portfolio/test/servertest"
)

// testServer is the server as the program runs it, in this process.
type testServer struct {
	t *testing.T
	servertest.Ready
	data string // its data directory, unless the arguments name another
	logs *logBuffer
	stop func() int
}

// logBuffer collects standard error, which many goroutines write to.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startServer serves until the test ends or stop is called, which returns the
// exit code. The data directory is new unless the arguments name another.
func startServer(t *testing.T, args ...string) *testServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	s, exited := &testServer{t: t, data: filepath.Join(t.TempDir(), "data"), logs: &logBuffer{}}, make(chan int, 1)
	go func() {
		exited <- run(ctx, append([]string{"serve", "--addr=127.0.0.1:0", "--data-dir=" + s.data}, args...), write, s.logs)
		_ = write.Close()
	}()
	s.stop = sync.OnceValue(func() int { cancel(); return <-exited })
	t.Cleanup(func() { s.stop() })
	var err error
	if s.Ready, err = servertest.AwaitReady(read); err != nil {
		t.Fatalf("exit code %d: %v%s", s.stop(), err, s.logs)
	}
	return s
}

// get sends a GET request and returns the status and the body, in which the URL
// of the server is HOST.
func (s *testServer) get(path string, fields ...string) (int, string) {
	s.t.Helper()
	header := http.Header{}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		header.Set(name, value)
	}
	status, _, body := s.send(http.MethodGet, path, header, nil)
	return status, strings.ReplaceAll(body, s.URL, "HOST")
}

// send sends a request and returns the status, the header and the body.
func (s *testServer) send(method, target string, header http.Header, body io.Reader) (int, http.Header, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.URL+target, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// post sends a GraphQL request and returns the status, the header and the body.
func (s *testServer) post(key, query string, variables any) (int, http.Header, string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	return s.send(http.MethodPost, "/graphql", header, bytes.NewReader(body))
}

// upload uploads an image.
func (s *testServer) upload(key string, image []byte) (int, string) {
	s.t.Helper()
	form, mediaType := servertest.UploadForm(servertest.UploadMutation, image)
	status, _, body := s.send(http.MethodPost, "/graphql", http.Header{"Authorization": {"Token " + key}, "Content-Type": {mediaType}}, form)
	return status, body
}

func (s *testServer) dial() net.Conn {
	s.t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// raw sends bytes that are a request, or nearly, and returns the status and the
// body.
func (s *testServer) raw(head string) (int, string) {
	s.t.Helper()
	connection := s.dial()
	if _, err := io.WriteString(connection, head); err != nil {
		s.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// demoKey returns the key of the demo.
func (s *testServer) demoKey() string {
	s.t.Helper()
	found := regexp.MustCompile(`Token (\w+)'`).FindStringSubmatch(s.Output)
	if found == nil {
		s.t.Fatalf("no token in %q", s.Output)
	}
	return found[1]
}

// startRecorded serves a database with the recorded rows, and returns the key of
// an admin.
func startRecorded(t *testing.T, dsn string, args ...string) (server *testServer, key string) {
	t.Helper()
	return startServer(t, append([]string{"--database-url=" + dsn}, args...)...), "be995b582c8bf952546d3819251020d1ad1b2eb1"
}

// projectDirectory is the root of the project.
var projectDirectory, _ = filepath.Abs("../..")

// recorded is the file with the recorded rows.
var recorded = projectFile("compat/testdata/fixtures.json")

// projectFile returns the path of a file of the project.
func projectFile(name string) string { return filepath.Join(projectDirectory, name) }

// run runs a command line, as the program does.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return cli.Run(ctx, args, cli.Output{Stdout: stdout, Stderr: stderr})
}

// database is the URL of a database on which commands are run.
type database string

func (d database) flag() string { return "--database-url=" + string(d) }

// run runs a command on the database and returns its output.
func (d database) run(t testing.TB, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	return runCommand(t, wantCode, append(slices.Clip(args), d.flag())...)
}

// runCommand runs a command line and returns its output.
func runCommand(t testing.TB, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), args, &out, &errs); code != wantCode {
		t.Errorf("%q: exit code %d: %s", args, code, errs.String())
	}
	return out.String(), errs.String()
}

// allocated returns the bytes that do allocates, the bytes of the client included.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// environmentNumber returns the number in a variable of the environment, or a default, with
// which a test takes less time.
func environmentNumber(t *testing.T, name string, fallback int) int {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return fallback
	}
	number, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return number
}

// repeatNumbered repeats a text n times, with # replaced by the number.
func repeatNumbered(n int, text string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "#", strconv.Itoa(i)))
	}
	return b.String()
}
