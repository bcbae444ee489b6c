package system

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/test/servertest"
)

// process is a server in its own process.
type process struct {
	*exec.Cmd
	servertest.Ready
	logs *logBuffer
}

func startProcess(t testing.TB, dsn, store, spool string, settings ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(binary, "serve", "--addr=127.0.0.1:0", "--media-store="+store), logs: &logBuffer{}}
	p.Stderr = p.logs
	p.Env = append(append(os.Environ(), "TEST_RUN_PROGRAM=1", "DATABASE_URL="+dsn, "TMPDIR="+spool), settings...)
	p.startServer(t)
	return p
}

// startServer starts the process and waits until it is ready.
func (p *process) startServer(t testing.TB) {
	t.Helper()
	output, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if p.Ready, err = servertest.AwaitReady(output); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process without notice.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
}

// upload uploads an image. The status is 0 if there is no response.
func (p *process) upload(key string, image []byte) (int, string) {
	form, mediaType := servertest.UploadForm(servertest.UploadMutation, image)
	return p.post(key, mediaType, form)
}

// post sends a GraphQL request. The status is 0 if there is no response.
func (p *process) post(key, contentType string, body io.Reader) (int, string) {
	request, _ := http.NewRequest(http.MethodPost, p.URL+"/graphql", body)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Token "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	responseBody, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(responseBody)
}

// photograph returns a JPEG that takes as long to decode as a photograph.
func photograph(t testing.TB, width, height int) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			noise := random.IntN(24)
			img.SetRGBA(x, y, color.RGBA{uint8(x*200/width + noise), uint8(y*200/height + noise), uint8(100 + noise), 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// newKey creates a staff user and returns the key of a token.
func newKey(t testing.TB, dsn string) string {
	t.Helper()
	database(dsn).run(t, 0, "user", "create", "staff", "--staff", "--permission=4242")
	key, _ := database(dsn).run(t, 0, "token", "create", "staff")
	return strings.TrimSpace(key)
}

// BenchmarkUploads measures 40 concurrent uploads of a 12-megapixel JPEG, which
// the variable IMAGE may name. It reports the peak memory of the server and the
// latency of lookups meanwhile.
func BenchmarkUploads(b *testing.B) {
	var image []byte
	if name := os.Getenv("IMAGE"); name != "" {
		var err error
		if image, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	} else {
		image = photograph(b, 4000, 3000)
	}
	dsn := dbtest.SQLite(b)
	key := newKey(b, dsn)
	server := startProcess(b, dsn, "file:"+b.TempDir(), b.TempDir())
	defer server.kill(b)
	var waits []time.Duration
	for b.Loop() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			var clients sync.WaitGroup
			for range 40 {
				clients.Go(func() {
					if status, body := server.upload(key, image); status != http.StatusOK || strings.Contains(body, "errors") {
						b.Errorf("%d %s", status, body)
					}
				})
			}
			clients.Wait()
		}()
		waits = append(waits, read(b, server.URL, key, done)...)
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "µs/read-p50")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "µs/read-p99")
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Process.Pid)); err == nil { // Linux
		peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
		kilobytes, _ := strconv.Atoi(string(peak[1]))
		b.ReportMetric(float64(kilobytes)/1024, "MB-peak")
	}
}

// read looks up a link until done and returns the latency of each response.
func read(b *testing.B, url, key string, done chan struct{}) (waits []time.Duration) {
	b.Helper()
	for {
		select {
		case <-done:
			return waits
		default:
		}
		request, _ := http.NewRequest(http.MethodGet, url+"/api/portfolios/1/links/4", nil)
		request.Header.Set("Authorization", "Token "+key)
		begun := time.Now()
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.Error(err)
			return waits
		}
		_ = response.Body.Close()
		waits = append(waits, time.Since(begun))
	}
}
