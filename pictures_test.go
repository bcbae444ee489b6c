package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
	"portfolio/internal/imaging"
)

// process is the program as a process of its own.
type process struct {
	*exec.Cmd
	url string
}

func startProcess(t testing.TB, dsn, store, spool string) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(binary, "serve", "--addr=127.0.0.1:0", "--media-store="+store)}
	p.Env = append(os.Environ(), "TEST_RUN_PROGRAM=1", "DATABASE_URL="+dsn, "TMPDIR="+spool)
	output, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if found := regexp.MustCompile(`GraphQL: +(\S+)/graphql`).FindStringSubmatch(lines.Text()); found != nil {
			p.url = found[1]
		}
		if strings.HasPrefix(lines.Text(), "Ready.") {
			return p
		}
	}
	t.Fatal("the server does not start")
	return nil
}

// kill ends the process as a loss of power would.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait()
}

// upload sends a picture and returns the status, 0 where the server has gone.
func (p *process) upload(key string, picture []byte) (int, string) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("operations", `{"query":"mutation($i: Upload!) { uploadImage(input: {image: $i}) { image { id } } }","variables":{"i":null}}`)
	_ = form.WriteField("map", `{"0":["variables.i"]}`)
	file, _ := form.CreateFormFile("0", "picture.jpg")
	_, _ = file.Write(picture)
	_ = form.Close()
	request, _ := http.NewRequest(http.MethodPost, p.url+"/graphql", &body)
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("Authorization", "Token "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	answer, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(answer)
}

// photograph is a picture that takes a decoder as long as a real one.
func photograph(t testing.TB, width, height int) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			noise := random.IntN(24)
			picture.SetRGBA(x, y, color.RGBA{uint8(x*200/width + noise), uint8(y*200/height + noise), uint8(100 + noise), 255})
		}
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// newKey makes a staff user with a token.
func newKey(t testing.TB, dsn string) string {
	t.Helper()
	t.Setenv("DATABASE_URL", dsn)
	var stdout, stderr bytes.Buffer
	for _, args := range [][]string{{"user", "create", "staff", "--staff", "--permission=4242"}, {"token", "create", "staff"}} {
		stdout.Reset()
		if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
			t.Fatal(stderr.String())
		}
	}
	return strings.TrimSpace(stdout.String())
}

var kills = map[string]int{"sqlite": 50, "postgres": 10}

// TestKilled kills the server while it takes pictures, whenever as many files
// are there as chance says. No row may be without its files; what else is left
// the sweep finds.
func TestKilled(t *testing.T) {
	picture := photograph(t, 300, 200)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		scheme, _, _ := strings.Cut(dsn, ":")
		folder, spool, key := t.TempDir(), t.TempDir(), newKey(t, dsn)
		address := "file:" + folder
		store, err := imaging.Open(address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		stored := 0
		for range kills[scheme] {
			server := startProcess(t, dsn, address, spool)
			enough := len(filesOf(t, store)) + rand.IntN(20)
			var clients sync.WaitGroup
			for range 3 {
				clients.Go(func() {
					for {
						status, answer := server.upload(key, picture)
						if status == 0 {
							return
						}
						if status != http.StatusOK || !strings.HasPrefix(answer, `{"data":{"uploadImage":{"image":{"id":`) {
							t.Errorf("%d %s", status, answer)
						}
					}
				})
			}
			for len(filesOf(t, store)) < enough {
			}
			server.kill(t)
			clients.Wait()
			rows := rowsOf(t, dsn)
			stored = len(rows)
			files := filesOf(t, store)
			for _, row := range rows {
				if !slices.Contains(files, row) {
					t.Fatalf("%s has a row but no file", row)
				}
			}
		}
		left := filesOf(t, store)
		command(t, 0, "media", "sweep", "--media-store="+address, "--delete", "--grace=0s")
		if diff := cmp.Diff(rowsOf(t, dsn), filesOf(t, store)); diff != "" {
			t.Error(diff)
		}
		entries, err := os.ReadDir(spool)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err != nil || info.Size() > 0 {
				t.Errorf("left of what was received: %v, %v", info, err)
			}
		}
		if stored == 0 || len(left) == stored {
			t.Errorf("%d files of rows and %d in all: no kill hit an upload", stored, len(left))
		}
		t.Logf("%d files of rows; %d others were swept", stored, len(left)-stored)
	})
}

func filesOf(t testing.TB, store imaging.Store) []string {
	t.Helper()
	keys := []string{}
	for file, err := range store.Files(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, file.Key)
	}
	slices.Sort(keys)
	return keys
}

func rowsOf(t testing.TB, dsn string) []string {
	t.Helper()
	database := dbtest.Open(t, dsn)
	paths := []string{}
	for row, err := range database.StoredFiles(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, string(row.Path))
	}
	slices.Sort(paths)
	return paths
}

// TestSweep finds what is wrong with a store, shows it, and deletes it when
// told to.
func TestSweep(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Setenv("DATABASE_URL", dsn)
		folder := t.TempDir()
		for _, key := range []string{"kept.png", "kept_64.png", "old.png", "a/.new-1", "young.png", "thumbnail_of_lost.png"} {
			file := filepath.Join(folder, key)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if key != "young.png" {
				if err := os.Chtimes(file, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, statement := range []string{
			"INSERT INTO portfolios (id, name) VALUES (1, 'p')",
			"INSERT INTO images (id, type, name, path, size) VALUES (1, 'image', 'kept', '/kept.png', 0), (2, 'image', 'lost', 'lost.png', 0), (3, 'image', 'no file', '', 0)",
			"INSERT INTO thumbnails (id, image_id, path) VALUES (1, 1, 'kept_64.png'), (2, 1, 'lost_64.png'), (3, 2, 'thumbnail_of_lost.png')",
			"INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (1, 1, 2, 'link')",
		} {
			dbtest.Exec(t, dsn, statement)
		}
		const found = "file without a row: a/.new-1\nfile without a row: old.png\nrow without a file: image 2, lost.png\nrow without a file: thumbnail 2, lost_64.png\n"
		for _, c := range []struct {
			args []string
			want string
		}{
			{nil, found},
			{nil, found},
			{[]string{"--delete"}, found},
			{[]string{"--delete"}, "file without a row: thumbnail_of_lost.png\n"}, // whose image went
			{[]string{"--delete", "--grace=0s"}, "file without a row: young.png\n"},
			{[]string{"--delete", "--grace=0s"}, ""},
		} {
			output, _ := command(t, 0, append([]string{"media", "sweep", "--media-store=file:" + folder}, c.args...)...)
			if diff := cmp.Diff(c.want, output); diff != "" {
				t.Errorf("%v: %s", c.args, diff)
			}
		}
		if diff := cmp.Diff([]string{"/kept.png", "kept_64.png"}, rowsOf(t, dsn)); diff != "" {
			t.Error(diff)
		}
		_, stderr := command(t, 1, "media", "sweep", "--delete", "--media-store=file:"+t.TempDir())
		if want := "portfolio: MEDIA_STORE: there is no file at all, so this is not the store of these rows\n"; stderr != want {
			t.Errorf("another store: %q", stderr)
		}
	})
}

// TestImagesCreate loads files in bulk, twice.
func TestImagesCreate(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Setenv("DATABASE_URL", dsn)
		t.Chdir(t.TempDir())
		var files []string
		for i := range 8 {
			name := fmt.Sprintf("picture %d.jpg", i)
			content := photograph(t, 30+i, 20)
			if i == 7 {
				content = photograph(t, 30, 20) // the first again
			}
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, name)
		}
		if err := os.WriteFile("page.jpg", []byte("<html>"), 0o600); err != nil {
			t.Fatal(err)
		}
		create := func(code int, files ...string) (lines []string, stderr string) {
			stdout, stderr := command(t, code, append([]string{"images", "create", "--media-store=file:media"}, files...)...)
			stdout = regexp.MustCompile(`\t\d+\tcore_media/\d{4}/\d\d/\d\d/`).ReplaceAllString(stdout, "\tID\tFOLDER/")
			return slices.Collect(strings.Lines(stdout)), stderr
		}
		lines, stderr := create(1, append(files[:3:3], "page.jpg", "none.jpg")...)
		want := []string{"picture 0.jpg\tID\tFOLDER/picture_0.jpg\n", "picture 1.jpg\tID\tFOLDER/picture_1.jpg\n", "picture 2.jpg\tID\tFOLDER/picture_2.jpg\n"}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
		for _, line := range []string{"page.jpg: must be a JPEG, PNG, GIF or WebP picture\n", "none.jpg: open none.jpg: no such file or directory\n", "portfolio: 2 of 5 files were not stored\n"} {
			if !strings.Contains(stderr, line) {
				t.Errorf("no line %q in %q", line, stderr)
			}
		}
		lines, _ = create(0, files...)
		for i, line := range lines {
			want := fmt.Sprintf("picture %d.jpg\tID\tFOLDER/picture_%d.jpg\n", i, i)
			if i < 3 || i == 7 {
				want = fmt.Sprintf("picture %d.jpg\tstored before\n", i)
			}
			if line != want {
				t.Errorf("%q, want %q", line, want)
			}
		}
		if rows := rowsOf(t, dsn); len(rows) != 7*5 {
			t.Errorf("%d rows", len(rows))
		}
	})
}

// BenchmarkUploads is 40 uploads of 12-megapixel pictures at once. It shows
// the most memory that the server took, and how long a reader waited for a link
// meanwhile. PICTURE may name another JPEG file than the one it draws.
func BenchmarkUploads(b *testing.B) {
	var picture []byte
	if name := os.Getenv("PICTURE"); name != "" {
		var err error
		if picture, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	} else {
		picture = photograph(b, 4000, 3000)
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
					if status, answer := server.upload(key, picture); status != http.StatusOK || strings.Contains(answer, "errors") {
						b.Errorf("%d %s", status, answer)
					}
				})
			}
			clients.Wait()
		}()
		waits = append(waits, read(b, server.url, key, done)...)
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

// read asks for a link again and again and returns how long each answer took.
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
