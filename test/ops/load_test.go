//go:build ops

package ops

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a set of clients that read and write until stopped. Each writer has
// links of its own, so that it knows what every response must be.
type load struct {
	t        *testing.T
	clients  []*client // one a server
	expected []error   // what may happen to a request
	pause    time.Duration
	ledger   *ledger

	stopped atomic.Bool
	running sync.WaitGroup
	labels  atomic.Int64

	mu     sync.Mutex
	events []event
	wrong  int
}

// event is what came of a request.
type event struct {
	server     int // index
	write      bool
	begun, end time.Time
	err        error
}

// startLoad starts as many writers and readers. Each sends its next request pause
// after its last response.
func startLoad(t *testing.T, clients []*client, writers int, pause time.Duration, expected ...error) *load {
	t.Helper()
	l := &load{t: t, clients: clients, expected: expected, pause: pause, ledger: newLedger()}
	link, list := l.fixed()
	for i := range writers {
		l.running.Go(func() {
			for n := i; !l.stopped.Load(); n++ {
				l.writeLink(n)
			}
		})
		l.running.Go(func() {
			for n := i; !l.stopped.Load(); n++ {
				l.readFixed(n, link, list)
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

// stop waits until every client has its last response.
func (l *load) stop() {
	l.stopped.Store(true)
	l.running.Wait()
}

// do sends a request by one of the clients and records what came of it. It reports
// whether there is a response to look at.
func (l *load) do(n int, write bool, what string, send func(c *client) error) bool {
	time.Sleep(l.pause)
	server := n % len(l.clients)
	e := event{server: server, write: write, begun: time.Now()}
	e.err = send(l.clients[server])
	e.end = time.Now()
	l.mu.Lock()
	l.events = append(l.events, e)
	l.mu.Unlock()
	if e.err == nil {
		return true
	}
	for _, expected := range l.expected {
		if errors.Is(e.err, expected) {
			return false
		}
	}
	l.fail("%s, server %d, after %s: %v", what, server, e.end.Sub(e.begun).Round(time.Millisecond), e.err)
	return false
}

// fail reports what is wrong, the first few times.
func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrong++; l.wrong <= 10 {
		l.t.Errorf(format, args...)
	}
}

const (
	createLink = `mutation($name: String!, $portfolio: ID!) { createPortfolioLink(input: {portfolioId: $portfolio, name: $name}) { portfolioLink { id name } } }`
	updateLink = `mutation($name: String!, $id: ID!) { updatePortfolioLink(input: {id: $id, name: $name}) { portfolioLink { id name } } }`
	deleteLink = `mutation($id: ID!) { deletePortfolioLink(input: {id: $id}) { portfolioLink { id } } }`
	readLink   = `query($id: ID!) { portfolioLink(id: $id) { name } }`
	listLinks  = `query($portfolio: ID!) { portfolioLinks(portfolioId: $portfolio, first: 50) { totalCount nodes { id name imageData { id name thumbnails { id size } } } } }`
)

// writeLink creates a link, changes it twice, reads it by other servers in between,
// and deletes every second one.
func (l *load) writeLink(n int) {
	label := "link-" + strconv.FormatInt(l.labels.Add(1), 10)
	id := ""
	for version := range 4 {
		name := label + ":" + strconv.Itoa(version)
		if version == 3 {
			if n%2 == 0 {
				return
			}
			name = ""
		}
		l.ledger.request(label, name)
		if !l.write(n, &id, name, label) {
			return
		}
		l.ledger.acknowledge(label, name)
		for range storedReads + 1 {
			l.readWritten(n+1, id, name)
		}
	}
}

// storedReads is the number of reads after which a response is in the cache.
const storedReads = 2

// write gives a link its next name, creates it if it has no ID, or deletes it if the
// name is empty.
func (l *load) write(n int, id *string, name, label string) bool {
	type payload struct{ PortfolioLink struct{ ID, Name string } }
	var data struct{ CreatePortfolioLink, UpdatePortfolioLink payload }
	query, variables := updateLink, map[string]any{"id": *id, "name": name}
	switch {
	case *id == "":
		query, variables = createLink, map[string]any{"portfolio": writtenPortfolio, "name": name}
	case name == "":
		query, variables = deleteLink, map[string]any{"id": *id}
	}
	if !l.do(n, true, "change of "+label, func(c *client) error { return c.graphql(query, variables, &data) }) {
		return false
	}
	if *id == "" {
		*id = data.CreatePortfolioLink.PortfolioLink.ID
	}
	return true
}

// readWritten reads a link over both APIs.
func (l *load) readWritten(n int, id, name string) {
	var data struct{ PortfolioLink *struct{ Name string } }
	if l.do(n, false, "query", func(c *client) error { return c.graphql(readLink, map[string]any{"id": id}, &data) }) {
		got := ""
		if data.PortfolioLink != nil {
			got = data.PortfolioLink.Name
		}
		if got != name {
			l.fail("GraphQL: link %s has the name %q, want %q", id, got, name)
		}
	}
	var body []byte
	if l.do(n, false, "REST", func(c *client) (err error) { body, err = c.rest(writtenPortfolio, id); return err }) {
		if want := fmt.Sprintf(`"name":%q`, name); (name == "") != (body == nil) || name != "" && !strings.Contains(string(body), want) {
			l.fail("REST: link %s is %s, want %s", id, body, want)
		}
	}
}

// startUploads starts clients that upload images.
func (l *load) startUploads(clients int) {
	image := photograph(l.t)
	for n := range clients {
		l.running.Go(func() {
			for ; !l.stopped.Load(); n++ {
				id := ""
				if l.do(n, true, "upload", func(c *client) (err error) { id, err = c.upload(image); return err }) {
					l.ledger.uploaded(id)
				}
			}
		})
	}
}

// photograph returns a JPEG.
func photograph(t *testing.T) []byte {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for i := range picture.Pix {
		picture.Pix[i] = uint8(i/300 + rand.IntN(24))
	}
	var encoded bytes.Buffer
	if err := jpeg.Encode(&encoded, picture, nil); err != nil {
		t.Fatal(err)
	}
	return encoded.Bytes()
}

// fixed returns the responses for rows that do not change.
func (l *load) fixed() (link, list string) {
	l.t.Helper()
	body, err := l.clients[0].rest(fixedPortfolio, "7")
	if err != nil || body == nil {
		l.t.Fatalf("%s %v", body, err)
	}
	var data any
	if err := l.clients[0].graphql(listLinks, map[string]any{"portfolio": fixedPortfolio}, &data); err != nil {
		l.t.Fatal(err)
	}
	return withoutHost(string(body), l.clients[0].base), fmt.Sprint(data)
}

func withoutHost(body, base string) string { return strings.ReplaceAll(body, base, "BASE") }

// readFixed reads rows that do not change.
func (l *load) readFixed(n int, link, list string) {
	if n%2 == 0 {
		var data any
		if l.do(n/2, false, "list", func(c *client) error {
			return c.graphql(listLinks, map[string]any{"portfolio": fixedPortfolio}, &data)
		}) && fmt.Sprint(data) != list {
			l.fail("the list is %v", data)
		}
		return
	}
	var body []byte
	if l.do(n/2, false, "REST", func(c *client) (err error) { body, err = c.rest(fixedPortfolio, "7"); return err }) {
		if got := withoutHost(string(body), l.clients[n/2%len(l.clients)].base); got != link {
			l.fail("the link is %s", got)
		}
	}
}

// counts returns the number of requests, and of those without the response that was
// asked for.
func (l *load) counts() (requests, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.err != nil {
			failed++
		}
	}
	return len(l.events), failed
}

// awaitWrites waits until n more writes are acknowledged.
func (l *load) awaitWrites(n int) {
	l.t.Helper()
	enough := l.ledger.writes() + n
	waitFor(l.t, fmt.Sprintf("%d acknowledged writes", n), func() bool { return l.ledger.writes() >= enough })
}
