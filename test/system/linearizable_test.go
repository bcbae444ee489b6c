package system

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// TestLinearizable checks that no response to a request that began after a commit was
// acknowledged shows the state before it. Writers use two servers with caches, one of them
// in its own process, and plain SQL; readers use both APIs of both servers. On PostgreSQL
// the sessions that listen are terminated all the while. The variable TEST_COMMITS sets the
// number of commits.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	commits := environmentNumber(t, "TEST_COMMITS", 400)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		r := startRegisters(t, dsn)
		var writers, readers sync.WaitGroup
		for i, commit := range r.writers() {
			writers.Go(func() {
				for n := range commits / writerCount {
					r.write(i, n, commit)
				}
			})
		}
		for range readerCount {
			readers.Go(func() {
				for range r.written {
					r.read(rand.IntN(len(r.links)))
				}
			})
		}
		writers.Wait()
		close(r.written)
		readers.Wait()
		t.Logf("%d responses, %d of one server were from the cache", r.responses.Load(), r.local.hits("responses"))
		if r.local.hits("responses") == 0 {
			t.Error("no response was from the cache")
		}
	})
}

const (
	readerCount  = 8
	writerCount  = 4
	ownedLinks   = 3    // by each writer but the last
	firstLink    = 1000 // with the image of the same ID
	readsOfWrite = 16
	terminations = 100 // commits between two
)

// register is a number that one writer counts up, and that responses show.
type register struct{ begun, acknowledged atomic.Int64 }

// registers are the descriptions of links, the sizes of their images, and whether a user
// has a permission: at even numbers.
type registers struct {
	t         *testing.T
	postgres  bool
	exec      func(statement string, args ...any) // plain SQL
	local     *testServer
	servers   [2]string // URLs
	client    *http.Client
	links     [ownedLinks * (writerCount - 1)]struct{ description, size register }
	granted   register
	written   chan struct{} // receives as many times as readers read
	responses atomic.Int64
}

func startRegisters(t *testing.T, dsn string) *registers {
	t.Helper()
	r := &registers{t: t, postgres: strings.HasPrefix(dsn, "postgres"), exec: dbtest.Session(t, dsn), written: make(chan struct{}, readsOfWrite), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readerCount + writerCount}}}
	r.exec(fmt.Sprintf("INSERT INTO portfolios (id, name) VALUES (%d, 'registers')", firstLink))
	for i := range r.links {
		r.exec(fmt.Sprintf("INSERT INTO images (id, type, name, path, size) VALUES (%d, 'image', 'i', '', 0)", firstLink+i))
		r.exec(fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, image_id, name, description) VALUES (%d, %d, %[1]d, 'l', '0')", firstLink+i, firstLink))
	}
	r.local = startServer(t, "--database-url="+dsn, "--admin-addr=127.0.0.1:0", "--log-level=error")
	other := startProcess(t, dsn, "file:"+t.TempDir(), t.TempDir(), "LOG_LEVEL=error")
	t.Cleanup(func() { r.client.CloseIdleConnections(); other.kill(t) })
	r.servers = [2]string{r.local.URL, other.URL}
	return r
}

// writers returns functions that commit a number to a link, its image or the permission.
func (r *registers) writers() [writerCount]func(id int, size bool, value int64) {
	mutate := func(server string) func(int, bool, int64) {
		return func(id int, size bool, value int64) {
			if size {
				r.exec(fmt.Sprintf("UPDATE images SET size = %d WHERE id = %d", value, id))
				return
			}
			body := r.send(server, http.MethodPost, "/graphql", graphtest.Admin,
				fmt.Sprintf(`{"query":"mutation{updatePortfolioLink(input:{id:%d,description:\"%d\"}){portfolioLink{id}}}"}`, id, value))
			if strings.Contains(body, "errors") {
				r.t.Errorf("a mutation failed: %s", body)
			}
		}
	}
	return [writerCount]func(int, bool, int64){
		mutate(r.servers[0]),
		mutate(r.servers[1]),
		func(id int, size bool, value int64) {
			statement := "UPDATE portfolio_links SET description = '%d' WHERE id = %d"
			if size {
				statement = "UPDATE images SET size = %d WHERE id = %d"
			}
			r.exec(fmt.Sprintf(statement, value, id))
		},
		func(_ int, _ bool, value int64) {
			statement := "DELETE FROM user_permissions WHERE user_id = 3"
			if value%2 == 0 {
				statement = "INSERT INTO user_permissions (user_id, code) VALUES (3, 4242)"
			}
			r.exec(statement)
		},
	}
}

// write makes the nth commit of a writer, and reads it back.
func (r *registers) write(writer, n int, commit func(id int, size bool, value int64)) {
	link, size, written := writer*ownedLinks+n%ownedLinks, n%4 == 3, &r.granted
	if writer < writerCount-1 {
		written = &r.links[link].description
		if size {
			written = &r.links[link].size
		}
	} else {
		link = rand.IntN(len(r.links))
	}
	value := written.begun.Add(1)
	commit(firstLink+link, size, value)
	written.acknowledged.Store(value)
	r.read(link)
	for range readsOfWrite {
		r.written <- struct{}{}
	}
	if writer == writerCount-2 && n%terminations == 0 && r.postgres {
		r.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portfolio feed' AND datname = current_database()")
	}
}

// read sends one of the requests that show registers to one of the servers.
func (r *registers) read(link int) {
	if r.t.Failed() {
		return // the first failure says enough
	}
	server := r.servers[rand.IntN(len(r.servers))]
	const fields = `{description imageData{size}}`
	switch rand.IntN(5) {
	case 0:
		r.readLinks(link, link+1, server, http.MethodGet, fmt.Sprintf("/api/portfolios/links/%d", firstLink+link), "")
	case 1:
		r.readLinks(link, link+1, server, http.MethodGet, fmt.Sprintf("/graphql?query={portfolioLink(id:%d)%s}", firstLink+link, strings.ReplaceAll(fields, " ", "+")), "")
	case 2:
		r.readLinks(0, len(r.links), server, http.MethodPost, "/graphql", fmt.Sprintf(`{"query":"{portfolioLinks(portfolioId:%d){nodes%s}}"}`, firstLink, fields))
	case 3:
		r.readPermission(server, http.MethodGet, linkPath, "")
	case 4:
		r.readPermission(server, http.MethodPost, "/graphql", `{"query":"{portfolioLink(id:4){id}}"}`)
	}
}

var shownNumbers = regexp.MustCompile(`"(?:description|size)":"?(\d+)`)

// readLinks sends a request whose response shows some of the links, and checks their
// numbers.
func (r *registers) readLinks(from, to int, server, method, path, request string) {
	var shown []*register
	var least []int64
	for i := from; i < to; i++ {
		shown = append(shown, &r.links[i].description, &r.links[i].size)
	}
	if strings.HasPrefix(path, "/api/") {
		slices.Reverse(shown) // its responses have the description last
	}
	for _, register := range shown {
		least = append(least, register.acknowledged.Load())
	}
	body := r.send(server, method, path, graphtest.Admin, request)
	found := shownNumbers.FindAllStringSubmatch(body, -1)
	if len(found) != len(shown) {
		r.t.Errorf("%s: %s", path, body)
		return
	}
	for i, match := range found {
		number, _ := strconv.ParseInt(match[1], 10, 64)
		if most := shown[i].begun.Load(); number < least[i] || number > most {
			r.t.Errorf("%s of %s: number %d is %d, want %d to %d", path, server, i, number, least[i], most)
		}
	}
}

// readPermission sends a request that needs the permission.
func (r *registers) readPermission(server, method, path, request string) {
	least := r.granted.acknowledged.Load()
	body := r.send(server, method, path, graphtest.Staff4242, request)
	granted := !strings.Contains(body, "permission")
	if most := r.granted.begun.Load(); least == most && granted != (least%2 == 0) {
		r.t.Errorf("%s of %s: granted %t at %d: %s", path, server, granted, least, body)
	}
}

func (r *registers) send(server, method, path, key, content string) string {
	request, err := http.NewRequestWithContext(r.t.Context(), method, server+path, strings.NewReader(content))
	if err != nil {
		r.t.Error(err)
		return ""
	}
	request.Header.Set("Authorization", "Token "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Error(err)
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Error(err)
	}
	r.responses.Add(1)
	return string(body)
}
