//go:build ops

package ops

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// feedTest is the part of the test that both databases share.
type feedTest struct {
	t       *testing.T
	random  *rand.Rand // of the goroutine that runs faults
	exec    func(statements ...string)
	blob    string // format of a literal
	servers []*server
	http    *http.Client
	key     string // of an admin
	links   []feedLink
	users   []feedUser
	results *feedResults

	descriptions, sizes, rights *register // that faults change
	value                       int64     // of the last change by a fault

	running     sync.WaitGroup
	unsubscribe context.CancelFunc
	stopped     atomic.Bool
	outages     atomic.Int64 // odd while requests may fail
	names       atomic.Int64 // of the portfolio that is renamed
	events      atomic.Int64 // results of subscriptions

	gate  sync.RWMutex // held for reading during a write
	fault *feedFault   // guarded by gate
}

// feedLink is a link whose description and size are registers.
type feedLink struct {
	id, portfolio     int
	description, size *register
}

// feedUser is a user who has rights at even numbers of a register.
type feedUser struct {
	id     int
	name   string
	admin  bool
	rights *register
}

func (u feedUser) hash() []byte { sum := sha256.Sum256([]byte(u.name)); return sum[:] }

// Links of portfolios have ids from the id of the portfolio on.
const (
	writerPortfolio  = 1000
	faultPortfolio   = 2000
	renamedPortfolio = 3000
	linksPerWriter   = 2
	sqlWriter        = 2 // the index of the writer that uses no server
	firstFaultUser   = 1 // the index of the first user whose rights faults revoke
)

func newFeedTest(t *testing.T, limits ages) *feedTest {
	t.Helper()
	f := &feedTest{
		t: t, random: feedRandom(t), results: newFeedResults(t), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		descriptions: newRegister("the description", limits.cache), sizes: newRegister("the size", limits.cache), rights: newRegister("the rights", limits.auth),
	}
	t.Cleanup(f.http.CloseIdleConnections)
	t.Cleanup(f.results.print)
	for i := range (sqlWriter + 1) * linksPerWriter {
		f.links = append(f.links, feedLink{writerPortfolio + i, writerPortfolio, newRegister("the description", limits.cache), newRegister("the size", limits.cache)})
	}
	for i := range 2 {
		f.links = append(f.links, feedLink{faultPortfolio + i, faultPortfolio, f.descriptions, f.sizes})
	}
	f.users = []feedUser{
		{writerPortfolio, "reader", false, newRegister("the permission", limits.auth)},
		{faultPortfolio, "guest", false, f.rights},
		{faultPortfolio + 1, "deputy", true, f.rights},
	}
	return f
}

// startClients starts readers and writers.
func (f *feedTest) startClients() {
	const readers = 4
	for range readers {
		f.running.Go(func() {
			for !f.stopped.Load() {
				f.read(rand.IntN(len(f.servers)))
				time.Sleep(10 * time.Millisecond) // leaves the processors to the others
			}
		})
	}
	for i := range sqlWriter + 1 {
		f.running.Go(func() { f.repeat(func() { f.write(i) }) })
	}
	f.running.Go(func() { f.repeat(f.writePermission) })
	ctx, cancel := context.WithCancel(context.Background())
	for server := range f.servers {
		f.running.Go(func() {
			for !f.stopped.Load() {
				f.subscribe(ctx, server)
				time.Sleep(50 * time.Millisecond) // the user may have no rights
			}
		})
	}
	f.unsubscribe = cancel
	f.t.Cleanup(f.stop)
}

// subscribe receives the changes of a link until the server ends the subscription. Its user
// has rights that faults revoke, and must receive no change that begins later.
func (f *feedTest) subscribe(ctx context.Context, server int) {
	link, guest := f.links[0], f.users[firstFaultUser]
	r := feedResponse{feedRequest: feedRequest{"POST", "/graphql", query(fmt.Sprintf("subscription{portfolioLinkChanged(id:%d){description}}", link.id))}, server: server}
	request, err := http.NewRequestWithContext(ctx, r.method, "http://"+f.servers[server].address+r.path, strings.NewReader(r.content))
	if err != nil {
		f.t.Error(err)
		return
	}
	request.Header = http.Header{"Authorization": {"Bearer " + guest.name}, "Accept": {"text/event-stream"}, "Content-Type": {"application/json"}}
	subscribed := time.Now()
	response, err := f.http.Do(request)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	r.status = response.StatusCode
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		r.body = lines.Text()
		match := numbers.FindStringSubmatch(r.body)
		if match == nil || f.outages.Load()%2 == 1 {
			continue
		}
		number, _ := strconv.ParseInt(match[1], 10, 64)
		r.began, r.fault = later(subscribed, link.description.start(number)), f.results.fault()
		f.results.add(r, guest.rights, guest.rights.judgeRight(true, r.began))
		f.events.Add(1)
	}
}

// repeat calls write until the test stops.
func (f *feedTest) repeat(write func()) {
	for !f.stopped.Load() {
		f.gate.RLock()
		write()
		f.gate.RUnlock()
		time.Sleep(20 * time.Millisecond) // lets responses come from memory
	}
}

func (f *feedTest) stop() {
	f.stopped.Store(true)
	f.unsubscribe()
	f.running.Wait()
}

// write changes a link of a writer, by its server or by plain SQL.
func (f *feedTest) write(writer int) {
	link := f.links[writer*linksPerWriter+rand.IntN(linksPerWriter)]
	target := link.description
	if writer == sqlWriter && rand.IntN(2) == 0 {
		target = link.size
	}
	value := target.next()
	switch {
	case writer != sqlWriter:
		if !f.mutate(writer%len(f.servers), f.key, fmt.Sprintf(`mutation { updatePortfolioLink(input: {id: %d, description: "%d"}) { portfolioLink { id } } }`, link.id, value)) {
			return
		}
	case target == link.size:
		f.exec(fmt.Sprintf("UPDATE images SET size = %d WHERE id = %d", value, link.id))
	default:
		f.exec(fmt.Sprintf("UPDATE portfolio_links SET description = '%d' WHERE id = %d", value, link.id))
	}
	target.acknowledge(value, f.grace(target))
}

// writePermission grants or revokes a permission, unless a fault hides changes. Its
// notification would make servers read all users again.
func (f *feedTest) writePermission() {
	if f.fault != nil && f.fault.hides {
		return
	}
	user := f.users[0]
	value := user.rights.next()
	statement := "DELETE FROM user_permissions WHERE user_id = %d"
	if value%2 == 0 {
		statement = "INSERT INTO user_permissions (user_id, code) VALUES (%d, 4242)"
	}
	f.exec(fmt.Sprintf(statement, user.id))
	user.rights.acknowledge(value, 0)
}

// rename changes a portfolio by each server, as a user whose rights faults revoke.
func (f *feedTest) rename() {
	for server := range f.servers {
		name := "n" + strconv.FormatInt(f.names.Add(1), 10)
		f.readRight(server, f.users[firstFaultUser+1], feedRequest{"POST", "/graphql", query(fmt.Sprintf(`mutation { updatePortfolio(input: {id: %d, name: "%s"}) { portfolio { id } } }`, renamedPortfolio, name))})
	}
}

// feedRequest is a request whose response has values of registers.
type feedRequest struct{ method, path, content string }

// read sends a random request to a server.
func (f *feedTest) read(server int) {
	if n := rand.IntN(len(f.links) + len(f.users)); n < len(f.links) {
		f.readLink(server, f.links[n], rand.IntN(3))
	} else {
		f.readRights(server, f.users[n-len(f.links)], rand.IntN(2))
	}
}

// sweep sends each request to each server.
func (f *feedTest) sweep() {
	for server := range f.servers {
		for i, link := range f.links {
			f.readLink(server, link, 0)
			f.readLink(server, link, 1)
			if i == 0 || f.links[i-1].portfolio != link.portfolio {
				f.readLink(server, link, 2)
			}
		}
		for _, user := range f.users {
			f.readRights(server, user, 0)
			f.readRights(server, user, 1)
		}
	}
}

// readLink reads a link in one of three ways, the last of which reads its portfolio.
func (f *feedTest) readLink(server int, link feedLink, way int) {
	const fields = `{description imageData{size}}`
	registers := []*register{link.description, link.size}
	switch way {
	case 0:
		slices.Reverse(registers) // the legacy endpoint has the description last
		f.readNumbers(server, registers, feedRequest{"GET", fmt.Sprintf("/api/portfolios/%d/links/%d", link.portfolio, link.id), ""})
	case 1:
		f.readNumbers(server, registers, feedRequest{"GET", fmt.Sprintf("/graphql?query={portfolioLink(id:%d)%s}", link.id, strings.ReplaceAll(fields, " ", "+")), ""})
	case 2:
		registers = nil
		for _, l := range f.links {
			if l.portfolio == link.portfolio {
				registers = append(registers, l.description, l.size)
			}
		}
		f.readNumbers(server, registers, feedRequest{"POST", "/graphql", query(fmt.Sprintf(`{portfolioLinks(portfolioId:%d){nodes%s}}`, link.portfolio, fields))})
	}
}

var numbers = regexp.MustCompile(`"(?:description|size)":"?(\d+)`)

// readNumbers sends a request whose response has the values of registers, in their order.
func (f *feedTest) readNumbers(server int, registers []*register, request feedRequest) {
	r, ok := f.fetch(server, f.key, request)
	if !ok {
		return
	}
	matches := numbers.FindAllStringSubmatch(r.body, -1)
	if len(matches) != len(registers) {
		f.results.wrong(r, "want %d numbers", len(registers))
		return
	}
	for i, match := range matches {
		number, _ := strconv.ParseInt(match[1], 10, 64)
		f.results.add(r, registers[i], registers[i].judge(number, r.began))
	}
}

// readRights reads a link that never changes, in one of two ways.
func (f *feedTest) readRights(server int, user feedUser, way int) {
	requests := []feedRequest{
		{"GET", fmt.Sprintf("/api/portfolios/%d/links/7", fixedPortfolio), ""},
		{"POST", "/graphql", query("{portfolioLink(id:7){id}}")},
	}
	f.readRight(server, user, requests[way])
}

// readRight sends a request that needs a right of the user.
func (f *feedTest) readRight(server int, user feedUser, request feedRequest) {
	r, ok := f.fetch(server, user.name, request)
	if !ok {
		return
	}
	granted := r.status == http.StatusOK && !strings.Contains(r.body, `"errors"`)
	if !granted && r.status != http.StatusUnauthorized && r.status != http.StatusForbidden && !strings.Contains(r.body, `"FORBIDDEN"`) && !strings.Contains(r.body, `"UNAUTHENTICATED"`) {
		f.results.wrong(r, "want data or a refusal")
		return
	}
	f.results.add(r, user.rights, user.rights.judgeRight(granted, r.began))
}

// mutate runs a mutation. It reports whether the server acknowledged it.
func (f *feedTest) mutate(server int, key, mutation string) bool {
	r, ok := f.fetch(server, key, feedRequest{"POST", "/graphql", query(mutation)})
	if ok && strings.Contains(r.body, `"errors"`) {
		f.results.wrong(r, "want no errors")
		return false
	}
	return ok
}

// feedResponse is a response with the time of its request.
type feedResponse struct {
	feedRequest
	server int
	began  time.Time
	status int
	body   string
	fault  string // in progress when the request began
	outage bool
}

// fetch sends a request. It reports whether the response has data or a refusal. A response that
// is UNAVAILABLE, or fails during an outage, has neither.
func (f *feedTest) fetch(server int, key string, request feedRequest) (r feedResponse, ok bool) {
	var content []byte
	if request.content != "" {
		content = []byte(request.content)
	}
	outages := f.outages.Load()
	r = feedResponse{feedRequest: request, server: server, fault: f.results.fault(), began: time.Now()}
	c := client{"http://" + f.servers[server].address, key, f.http}
	status, body, err := c.send(request.method, request.path, "application/json", content, slowest)
	r.status, r.body = status, string(body)
	r.outage = outages%2 == 1 || f.outages.Load() != outages
	switch {
	case r.outage && (err != nil || status != http.StatusOK || strings.Contains(r.body, `"errors"`) || strings.Contains(r.body, "null")):
		return r, false
	case status == http.StatusServiceUnavailable:
		f.results.unavailable(r)
		return r, false
	case err != nil:
		f.results.wrong(r, "%v", errors.Unwrap(err))
		return r, false
	}
	return r, true
}
