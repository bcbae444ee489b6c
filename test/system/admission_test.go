package system

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

const (
	unavailableREST = `{"detail":"Service temporarily unavailable, try again later."}`
	linkPath        = "/api/portfolios/1/links/4"
)

// TestRequests_AreRefusedBeforeDecoding checks that a body which would take many times its size in memory is
// refused before it is decoded.
func TestRequests_AreRefusedBeforeDecoding(t *testing.T) {
	server := startServer(t)
	for _, c := range []struct {
		name, key string
		size      int
		status    int
	}{
		{"anonymous, a megabyte", "", 1 << 20, 413},
		{"anonymous", "", 120 << 10, 400},
		{"a viewer's", server.demoKey(), 1 << 20, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			const prefix, suffix = `{"query":"{__typename}","variables":{"a":[`, `0]}}`
			bomb := prefix + strings.Repeat(`{"":0},`, (c.size-len(prefix+suffix))/7) + suffix
			header := http.Header{"Content-Type": {"application/json"}}
			if c.key != "" {
				header.Set("Authorization", "Token "+c.key)
			}
			taken := allocated(func() {
				if status, _, body := server.send(http.MethodPost, "/graphql", header, strings.NewReader(bomb)); status != c.status {
					t.Errorf("%d %s", status, body)
				}
			})
			t.Logf("%d bytes in, %d KB allocated", len(bomb), taken>>10)
			if taken > uint64(4*len(bomb)) {
				t.Errorf("allocated %d bytes for %d", taken, len(bomb))
			}
		})
	}
}

// TestRequests_LimitAccept checks that an Accept header above the limit is not parsed.
func TestRequests_LimitAccept(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for _, parameters := range []int{1_000, 1_200, 8_000} {
		accept := "*/*" + repeatNumbered(parameters, ";a#=1")
		want := map[string]int{linkPath: http.StatusUnauthorized, "/graphql?query={__typename}": http.StatusOK}
		if len(accept) > 8_190 {
			want = map[string]int{linkPath: http.StatusBadRequest, "/graphql?query={__typename}": http.StatusNotAcceptable}
		}
		for path, want := range want {
			if status, body := server.get(path, "Accept: "+accept); status != want {
				t.Errorf("%s with %d bytes: %d %s", path, len(accept), status, body)
			}
		}
	}
}

// TestResponses_LimitMemory checks that a response is built only up to its limit, as a
// document within the other limits may select any number of bytes.
func TestResponses_LimitMemory(t *testing.T) {
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, key := startRecorded(t, dsn)
		dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (70, 'large')")
		exec := dbtest.Session(t, dsn)
		for i := range 100 {
			exec("INSERT INTO portfolio_links (id, portfolio_id, name, description) VALUES ($1, 70, $2, $3)", 1000+i, strconv.Itoa(i), strings.Repeat(".", 10_000))
		}
		const tooLarge = `{"errors":[{"message":"The response would have more than 8388608 bytes. Ask for smaller pages or fewer fields.","extensions":{"code":"BAD_USER_INPUT"}}]}`
		for name, query := range map[string]string{
			"plain":      "{portfolioLinks(portfolioId:70,first:100){nodes{" + repeatNumbered(98, "a#:description ") + "}}}",
			"not plain":  "{portfolioLinks(portfolioId:70,first:100){nodes{portfolio{id} " + repeatNumbered(90, "a#:description ") + "}}}",
			"many lists": "{" + repeatNumbered(15, "a#:portfolioLinks(portfolioId:70,first:100){nodes{description}} ") + "}",
			"many rows":  "{" + repeatNumbered(15, "a#:portfolioLinks(portfolioId:70,first:100){nodes{id}} ") + "}",
		} {
			t.Run(name, func(t *testing.T) {
				taken := allocated(func() {
					if status, _, body := server.post(key, query, nil); status != http.StatusOK || body != tooLarge {
						t.Errorf("%d %.1000s", status, body)
					}
				})
				t.Logf("%d MB allocated", taken>>20)
				if taken > 200<<20 {
					t.Errorf("%d MB allocated", taken>>20)
				}
			})
		}
		status, _, body := server.post(key, "{portfolioLinks(portfolioId:70,first:100){nodes{"+repeatNumbered(7, "a#:description ")+"}}}", nil)
		if status != http.StatusOK || len(body) < 7_000_000 {
			t.Errorf("a response within the limit: %d, %d bytes", status, len(body))
		}
	})
}

// TestResponses_EndForSlowReaders checks that a client which does not read its response is
// disconnected, and that the memory of the response is released.
func TestResponses_EndForSlowReaders(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedSQLite(t, recorded)
	server, key := startRecorded(t, dsn, "--stall-timeout=100ms", "--max-response=20000000")
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (70, 'large')")
	dbtest.Exec(t, dsn, "INSERT INTO portfolio_links (id, portfolio_id, name, description) VALUES (1000, 70, 'large', $1)", strings.Repeat(".", 1<<20))
	large := `{"query":"{portfolioLinks(portfolioId:70){nodes{` + repeatNumbered(18, "a#:description ") + `}}}"}`
	var bodies []io.Reader
	for len(bodies) < 8 { // twice as many as there is room for
		connection := server.dial()
		_, _ = fmt.Fprintf(connection, "POST /graphql HTTP/1.1\r\nHost: h\r\nAuthorization: Token %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", key, len(large), large)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case response.StatusCode == http.StatusOK:
			bodies = append(bodies, response.Body)
		case response.StatusCode != http.StatusServiceUnavailable:
			t.Fatal(response.StatusCode)
		}
	}
	for _, body := range bodies[:len(bodies)/2] { // what the others took was theirs
		if n, err := io.Copy(io.Discard, body); err == nil {
			t.Errorf("read all %d bytes", n)
		}
	}
}

// TestServer_AnswersUnavailableWhileTableIsLocked checks that a request which waits for a lock times out, and succeeds
// once the lock is released.
func TestServer_AnswersUnavailableWhileTableIsLocked(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, key := startRecorded(t, dsn, "--request-timeout=1s")
		const (
			change = `mutation{updatePortfolioLink(input:{id:4,name:"changed"}){portfolioLink{name}}}`
			gone   = `{"errors":[{"message":"The database is unavailable. Try again later.","path":["updatePortfolioLink"],"locations":[{"line":1,"column":10}],"extensions":{"code":"UNAVAILABLE"}}],"data":{"updatePortfolioLink":null}}`
		)
		if status, body := server.get(linkPath, "Authorization: Token "+key); status != http.StatusOK { // the viewer is in memory
			t.Fatal(status, body)
		}
		release := dbtest.Lock(t, dsn, "portfolio_links")
		status, header, body := server.post(key, change, nil)
		if status != http.StatusServiceUnavailable || body != gone || header.Get("Retry-After") != "1" {
			t.Errorf("a change of what is locked: %d %s", status, body)
		}
		if strings.HasPrefix(dsn, "postgres") { // of SQLite a lock lets others read
			status, header, body := server.send(http.MethodGet, linkPath, http.Header{"Authorization": {"Token " + key}}, nil)
			if status != http.StatusServiceUnavailable || body != unavailableREST || header.Get("Retry-After") != "1" || header.Get("Content-Type") != "application/json" {
				t.Errorf("a link that is locked: %d %s %v", status, body, header)
			}
		}
		release()
		if status, _, body := server.post(key, change, nil); status != http.StatusOK || body != `{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"changed"}}}}` {
			t.Errorf("a change of what was locked: %d %s", status, body)
		}
	})
}

// TestServer_AnswersUnavailableWhileDatabaseStalls checks that every request gets a response while PostgreSQL stalls,
// and that all succeed afterwards.
func TestServer_AnswersUnavailableWhileDatabaseStalls(t *testing.T) {
	t.Parallel()
	line, dsn := dbtest.NewProxy(t, dbtest.LoadedPostgres(t, recorded))
	server, key := startRecorded(t, dsn, "--request-timeout=1s")
	requests := []struct{ path, authorization string }{
		{linkPath, "Authorization: Token " + key},
		{linkPath, "Authorization: Token unknown"},
		{"/graphql?query={portfolioLink(id:4){name}}", "Authorization: Token " + key},
		{"/graphql?query={portfolioLinks{totalCount}}", "Authorization: Token " + key},
		{"/graphql?query={viewer{id}}", "Authorization: Token unknown"},
	}
	resume := line.Stall()
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			request := requests[i%len(requests)]
			status, body := server.get(request.path, request.authorization)
			if status != http.StatusServiceUnavailable || !strings.Contains(body, "UNAVAILABLE") && body != unavailableREST {
				t.Errorf("%s: %d %s", request.path, status, body)
			}
		})
	}
	clients.Wait()
	if status, body := server.get("/graphql?query={__typename}"); status != http.StatusOK {
		t.Errorf("what needs no database: %d %s", status, body)
	}
	resume()
	for _, request := range requests {
		want := http.StatusOK
		if strings.HasSuffix(request.authorization, "unknown") {
			want = http.StatusUnauthorized
		}
		if status, body := server.get(request.path, request.authorization); status != want {
			t.Errorf("afterwards %s: %d %s", request.path, status, body)
		}
	}
}

// TestUpload_IsRefusedBeforeItsFiles checks that an upload without permission is
// refused before a file is sent.
func TestUpload_IsRefusedBeforeItsFiles(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, admin := startRecorded(t, dsn)
		const staff = "65502ab9351a915b620189ad2c3b42e945937fcc" // without permission 4242
		for _, c := range []struct{ name, key, operations, want string }{
			{"without permission", staff, `{"query":"mutation($i:Upload!){uploadImage(input:{image:$i}){image{id}}}","variables":{"i":null}}`, "FORBIDDEN"},
			{"for a skipped field", staff, `{"query":"mutation($i:Upload!){__typename uploadImage(input:{image:$i}) @skip(if:true) {image{id}}}","variables":{"i":null}}`, "FORBIDDEN"},
			{"for a skipped fragment", staff, `{"query":"mutation($i:Upload!){__typename ...F @skip(if:true)} fragment F on Mutation{uploadImage(input:{image:$i}){image{id}}}","variables":{"i":null}}`, "FORBIDDEN"},
			{"for no operation", staff, `{"query":"{viewer{id}}","variables":{"i":null}}`, "not a file of the operation"},
			{"for a document that is not valid", admin, `{"query":"query($i:Upload!){nothing(i:$i)}","variables":{"i":null}}`, "Cannot query field"},
		} {
			const part = "--b\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n"
			body := fmt.Sprintf(part, "operations", c.operations) + fmt.Sprintf(part, "map", `{"0":["variables.i"]}`) +
				"--b\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.png\"\r\n\r\n"
			status, answer := server.raw(fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: h\r\nAuthorization: Token %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000000\r\n\r\n%s", c.key, body))
			if !strings.Contains(answer, c.want) {
				t.Errorf("%s: %d %s", c.name, status, answer)
			}
		}
	})
}

// TestUpload_FailsOnFullDisk checks the responses while the disk of the media store is full.
func TestUpload_FailsOnFullDisk(t *testing.T) {
	t.Parallel()
	small := t.TempDir()
	if output, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("a full disk is not tested: mount: %s", output)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", "-l", small).Run(); err != nil {
			t.Error(err)
		}
	})
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		directory, err := os.MkdirTemp(small, "")
		if err != nil {
			t.Fatal(err)
		}
		server, key := startRecorded(t, dsn, "--media-store=file:"+directory)
		if status, body := server.get("/readyz"); status != http.StatusOK {
			t.Fatal(status, body)
		}
		full := filepath.Join(small, "full")
		_ = os.WriteFile(full, make([]byte, 1<<20), 0o600)
		status, body := server.upload(key, photograph(t, 300, 200))
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"message":"File storage is unavailable. Try again later.","path":["uploadImage"]`) {
			t.Errorf("an upload: %d %s", status, body)
		}
		for {
			status, body := server.get("/readyz")
			if status == http.StatusServiceUnavailable {
				if body != "the media store cannot be written\n" {
					t.Errorf("/readyz: %s", body)
				}
				break
			}
		}
		if status, body := server.get(linkPath, "Authorization: Token "+key); status != http.StatusOK {
			t.Errorf("a link: %d %s", status, body)
		}
		if err := os.Remove(full); err != nil {
			t.Fatal(err)
		}
		if status, body := server.upload(key, photograph(t, 300, 200)); status != http.StatusOK {
			t.Errorf("an upload with room: %d %s", status, body)
		}
	})
}

// TestServer_RecoversWithStore checks the responses while the S3 store is gone, and that the
// server recovers without a restart.
func TestServer_RecoversWithStore(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	if err := backend.CreateBucket("images"); err != nil {
		t.Fatal(err)
	}
	bucket := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(bucket.Close)
	line, through := dbtest.NewProxy(t, bucket.URL)
	endpoint, _, _ := strings.Cut(through, "?")
	dsn := dbtest.LoadedSQLite(t, recorded)
	process := startProcess(t, dsn, "s3://images?region=eu-central-1&endpoint="+endpoint, t.TempDir(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
	defer process.kill(t)
	server, key := &testServer{t: t, Ready: process.Ready}, graphtest.Admin
	token := "Authorization: Token " + key
	const (
		stored  = `{"data":{"uploadImage":{"image":{"id":"`
		refused = `{"errors":[{"message":"File storage is unavailable. Try again later.","path":["uploadImage"]`
	)
	for _, c := range []struct {
		do            func()
		status        int
		ready, upload string
	}{
		{line.Reconnect, http.StatusOK, "ok\n", stored},
		{line.Disconnect, http.StatusServiceUnavailable, "the media store cannot be written\n", refused},
		{line.Reconnect, http.StatusOK, "ok\n", stored},
	} {
		c.do()
		if status, body := server.upload(key, photograph(t, 300, 200)); status != c.status || !strings.HasPrefix(body, c.upload) {
			t.Errorf("upload: %d %s, want %d", status, body, c.status)
		}
		if status, body := server.get(linkPath, token); status != http.StatusOK {
			t.Errorf("link: %d %s", status, body)
		}
		status, body := server.get("/readyz")
		for status != c.status { // the last check counts for a second
			status, body = server.get("/readyz")
		}
		if body != c.ready {
			t.Errorf("/readyz: %s, want %s", body, c.ready)
		}
	}
}
