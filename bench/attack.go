package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// attack is a kind of request that many clients send concurrently until the attack ends.
type attack struct {
	name    string
	clients int
	once    func(a *victim) // one request
}

// victim is a server under attack.
type victim struct {
	*system
	client *http.Client
	png    []byte // 49 megapixels in a few kilobytes
	status sync.Map
}

var (
	bomb          = `{"query":"{__typename}","variables":{"a":[` + strings.Repeat(`{"":0},`, 18_000) + `0]}}`
	longAccept    = "*/*" + numbered(1_400, ";%d=")
	longestAccept = "*/*" + numbered(10_000, ";%d=")
)

var attacks = []attack{
	{"nothing", 0, nil},
	{"JSON bombs", 100, func(a *victim) { a.post("", bomb) }},
	{"long Accept headers", 100, func(a *victim) { a.get(longAccept); a.get(longestAccept) }},
	{"searches", 50, func(a *victim) {
		a.query(`{portfolioLinks(first:1,filter:{search:"` + strings.Repeat("a", 253) + `b0"}){totalCount}}`)
		a.query(`{portfolioLinks(first:100,filter:{search:"de"}){totalCount nodes{id}}}`)
	}},
	{"large responses", 50, func(a *victim) { a.query(largeQuery) }},
	{"images", 50, func(a *victim) { a.upload() }},
	{"slow readers", 200, func(a *victim) { a.dawdle() }},
}

func allAttacks() []attack { return slices.Concat(attacks, subscriberAttacks) }

// Names of several attacks at once.
const (
	allButImages = "all but images"
	allAtOnce    = "all at once"
)

// attackNames returns the names of the attacks, in the order of measurement.
func attackNames() []string {
	var names []string
	for _, attack := range allAttacks() {
		names = append(names, attack.name)
	}
	return append(names, allButImages, allAtOnce)
}

// includedIn reports whether the attacks with a name include a.
func (a attack) includedIn(name string) bool {
	return a.name == name || name == allAtOnce || name == allButImages && a.name != "images"
}

// largeLink is the ID of a link with a large description.
const largeLink = "1099511627776" // 1 << 40

const largeQuery = `{portfolioLinks(first:85,orderBy:{field:ID,direction:DESC}){nodes{a:description b:description c:description d:description e:description f:description g:description h:description i:description}}}`

// attackServer prints how long honest clients wait for a link under each attack, and
// under all attacks at once.
func attackServer(o options, server *system) error {
	for i := range 100 {
		text := strings.Repeat("a", 10_000)
		if err := execute(server.driver(), strings.TrimPrefix(server.database, "sqlite:"),
			fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, name, description) VALUES (%d, 1, 'large', '%s')", 1<<40+i, text)); err != nil {
			return err
		}
	}
	if err := server.start(); err != nil {
		return err
	}
	defer server.stop()
	fmt.Printf("%-22s%26s%26s%16s\n", server.name, "REST p50/p99 ms", "GraphQL p50/p99 ms", "peak memory")
	honest := &victim{system: server, client: newClient()}
	for _, name := range attackNames() {
		if err := honest.measureUnder(o, name); err != nil {
			return err
		}
	}
	return nil
}

func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: time.Minute}
}

// measureUnder measures honest clients while another process attacks. The attackers take only
// the idle time of the last processor, as if they had their own machine. Several attacks at
// once start long before the measurement, so that each attack is in progress.
func (a *victim) measureUnder(o options, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	attackers := exec.Command("taskset", "-c", strconv.Itoa(runtime.NumCPU()-1), "nice", "-n", "19", self, "attack", a.address, name)
	attackers.Stderr = os.Stderr
	stdin, err := attackers.StdinPipe()
	if err != nil {
		return err
	}
	var statuses bytes.Buffer
	attackers.Stdout = &statuses
	if err := attackers.Start(); err != nil {
		return err
	}
	warmUp := o.warmUp
	if name == allButImages || name == allAtOnce {
		warmUp = stay
	}
	time.Sleep(warmUp)
	deadline := time.Now().Add(o.duration)
	var honest sync.WaitGroup
	var rest, graphql []time.Duration
	var failed atomic.Int64
	honest.Go(func() { rest = a.honest(deadline, &failed, a.honestREST) })
	honest.Go(func() { graphql = a.honest(deadline, &failed, a.honestGraphQL) })
	honest.Wait()
	fmt.Printf("%-22s%14.1f /%10.1f%14.1f /%10.1f%12d MiB", name, quantile(rest, 0.5), quantile(rest, 0.99), quantile(graphql, 0.5), quantile(graphql, 0.99), peakMemory(a.process.Process.Pid))
	if n := failed.Load(); n > 0 {
		fmt.Printf("  %d of %d failed", n, len(rest)+len(graphql))
	}
	if err := errors.Join(stdin.Close(), attackers.Wait()); err != nil {
		return err
	}
	fmt.Printf("  attackers got %s\n", &statuses)
	return nil
}

// attackFor attacks until standard input ends, and prints the number of responses of
// each status.
func attackFor(address, name string) {
	canvas := image.NewPaletted(image.Rect(0, 0, 7000, 7000), color.Palette{color.Black, color.White})
	var encoded bytes.Buffer
	_ = png.Encode(&encoded, canvas) // into memory
	a := &victim{system: &system{address: address}, client: newClient(), png: encoded.Bytes()}
	for _, attack := range allAttacks() {
		if attack.includedIn(name) {
			for range attack.clients {
				go func() {
					for {
						attack.once(a)
					}
				}()
			}
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	statuses := map[any]int64{}
	a.status.Range(func(status, count any) bool { statuses[status] = count.(*atomic.Int64).Load(); return true })
	fmt.Print(statuses)
}

func (a *victim) honest(deadline time.Time, failed *atomic.Int64, request func() bool) (waits []time.Duration) {
	for time.Now().Before(deadline) {
		start := time.Now()
		if !request() {
			failed.Add(1)
		}
		waits = append(waits, time.Since(start))
	}
	return waits
}

func (a *victim) honestREST() bool {
	id := 1 + rand.IntN(a.links)
	request, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/api/portfolios/%d/links/%d", a.address, (id-1)/100+1, id), nil)
	return a.succeeds(request)
}

func (a *victim) honestGraphQL() bool {
	body := fmt.Sprintf(`{"query":"query($id:ID!){portfolioLink(id:$id){name imageData{url thumbnails{url}}}}","variables":{"id":%d}}`, 1+rand.IntN(a.links))
	request, _ := http.NewRequest(http.MethodPost, "http://"+a.address+"/graphql", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	return a.succeeds(request)
}

func (a *victim) succeeds(request *http.Request) bool {
	request.Header.Set("Authorization", "Token "+token)
	response, err := a.client.Do(request)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(response.Body)
	return errors.Join(err, response.Body.Close()) == nil && response.StatusCode == http.StatusOK && !bytes.Contains(body, []byte(`"errors"`))
}

// send sends a request of an attacker and counts the status of its response.
func (a *victim) send(request *http.Request) {
	response, err := a.client.Do(request)
	if err != nil {
		a.count("no response")
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	a.count(response.StatusCode)
}

func (a *victim) count(status any) {
	counter, _ := a.status.LoadOrStore(status, new(atomic.Int64))
	counter.(*atomic.Int64).Add(1)
}

func (a *victim) get(accept string) {
	request, _ := http.NewRequest(http.MethodGet, "http://"+a.address+"/api/portfolios/1/links/1", nil)
	request.Header.Set("Accept", accept)
	a.send(request)
}

func (a *victim) post(key, body string) {
	request, _ := http.NewRequest(http.MethodPost, "http://"+a.address+"/graphql", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Token "+key)
	}
	a.send(request)
}

func (a *victim) query(query string) { a.post(token, document(query)) }

func document(query string) string {
	text, _ := json.Marshal(query) // a text always has a JSON form
	return `{"query":` + string(text) + `}`
}

func (a *victim) upload() {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("operations", `{"query":"mutation($i:Upload!){uploadImage(input:{image:$i}){image{id}}}","variables":{"i":null}}`)
	_ = form.WriteField("map", `{"0":["variables.i"]}`)
	file, _ := form.CreateFormFile("0", "bomb.png")
	_, _ = file.Write(a.png)
	_ = form.Close()
	request, _ := http.NewRequest(http.MethodPost, "http://"+a.address+"/graphql", &body)
	request.Header.Set("Content-Type", form.FormDataContentType())
	request.Header.Set("Authorization", "Token "+token)
	a.send(request)
}

// dawdle requests a large response and hardly reads it.
func (a *victim) dawdle() {
	connection, err := net.Dial("tcp", a.address)
	if err != nil {
		a.count("no connection")
		return
	}
	defer func() { _ = connection.Close() }()
	_ = connection.(*net.TCPConn).SetReadBuffer(4 << 10)
	body := document(largeQuery)
	_, _ = fmt.Fprintf(connection, "POST /graphql HTTP/1.1\r\nHost: h\r\nAuthorization: Token %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body)
	status := "no response"
	buffer := make([]byte, 100)
	for range 50 {
		_ = connection.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := connection.Read(buffer)
		if err != nil {
			break
		}
		if line := string(buffer[:n]); strings.HasPrefix(line, "HTTP/1.1 ") {
			status = line[9:12]
		}
		if status != "200" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	a.count(status + " slowly")
}

func numbered(n int, format string) string {
	var text strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

// quantile returns a quantile in milliseconds.
func quantile(waits []time.Duration, q float64) float64 {
	if len(waits) == 0 {
		return 0
	}
	slices.Sort(waits)
	return float64(waits[int(float64(len(waits)-1)*q)]) / float64(time.Millisecond)
}

// attackAll attacks the server on each database.
func attackAll(o options, server, directory, postgres string) error {
	for i, database := range []string{postgres + "&dbname=attacked", "sqlite:" + filepath.Join(directory, "attacked.db")} {
		s := &system{
			name: []string{"PostgreSQL", "SQLite"}[i], database: database, links: o.links, address: fmt.Sprintf("127.0.0.1:%d", 8100+i),
		}
		s.command = []string{server, "serve", "--playground", "off", "--addr", s.address, "--media-store", "file:" + filepath.Join(directory, "media")}
		if err := errors.Join(s.fill(server, postgres), os.RemoveAll(filepath.Join(directory, "media"))); err != nil {
			return err
		}
		if err := attackServer(o, s); err != nil {
			return err
		}
	}
	return nil
}
