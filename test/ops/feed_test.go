//go:build ops

package ops

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestFeed reads and writes by servers, and by plain SQL, while faults happen to the
// change feed in random order. A response must have each plain write that was acknowledged
// before its request. Where a fault hides changes, AUTH_MAX_AGE and CACHE_MAX_AGE bound the
// age of responses. Each fault also revokes rights, and users must lose access in time.
//
// The variable TEST_DURATION sets how long it runs, at least until every fault has happened.
// TEST_SEED repeats an order of faults, and TEST_FAULTS is an expression that selects some.
func TestFeed(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		p := startFeedPostgres(t, shortAges())
		p.runAll(p.faults())
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		s := startFeedSQLite(t, shortAges())
		s.runAll(s.faults())
	})
}

// TestFeedDefaults checks the age limits of servers without settings: 5 seconds for rights,
// and a minute for responses, which -short leaves out.
func TestFeedDefaults(t *testing.T) {
	t.Parallel()
	p := startFeedPostgres(t, ages{auth: 5 * time.Second, cache: time.Minute})
	tables := contentAndRights
	if testing.Short() {
		tables = []string{"users"}
	}
	p.run(feedFault{name: "triggers disabled within a transaction", hides: true, do: func() func() { return p.disableBriefly(tables...) }})
}

// ages are the limits of what servers keep in memory.
type ages struct {
	auth, cache time.Duration
	settings    []string
}

// shortAges returns limits that let a fault end soon.
func shortAges() ages {
	limits := ages{auth: time.Second, cache: 3 * time.Second}
	if testing.Short() {
		limits.cache = time.Second
	}
	limits.settings = []string{"AUTH_MAX_AGE=" + limits.auth.String(), "CACHE_MAX_AGE=" + limits.cache.String()}
	return limits
}

// feedFault is an event that disturbs the change feed, or an unusual way to write.
type feedFault struct {
	name  string
	hides bool // changes: then age limits apply
	stops bool // writers, whose changes would be lost
	// detection is how long servers may still read the former server or file.
	detection time.Duration
	// do revokes rights, and changes the links of the faults.
	do func() (undo func())
}

// checkInterval is how often servers compare the database of the feed with the one that
// they read.
const checkInterval = time.Second

// runAll runs faults in random order.
func (f *feedTest) runAll(faults []feedFault) {
	f.t.Helper()
	pattern := regexp.MustCompile(os.Getenv("TEST_FAULTS"))
	faults = slices.DeleteFunc(faults, func(fault feedFault) bool { return !pattern.MatchString(fault.name) })
	end := time.Now().Add(feedTime(f.t))
	f.startClients()
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		for _, i := range f.random.Perm(len(faults)) {
			if round == 0 || time.Now().Before(end) {
				f.run(faults[i])
			}
		}
		f.sweep()
	}
	f.stop()
	if f.events.Load() == 0 {
		f.t.Error("no subscription had a result")
	}
}

// feedTime returns how long TestFeed runs.
func feedTime(t *testing.T) time.Duration {
	t.Helper()
	duration := "4m"
	if testing.Short() {
		duration = "0s"
	}
	parsed, err := time.ParseDuration(cmp.Or(os.Getenv("TEST_DURATION"), duration))
	if err != nil {
		t.Fatalf("TEST_DURATION: %v", err)
	}
	return parsed
}

// feedRandom returns the source of the order of faults, and prints its seed.
func feedRandom(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TEST_SEED: %v", err)
		}
	}
	t.Logf("TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// run runs a fault until its changes must be visible in all responses.
func (f *feedTest) run(fault feedFault) {
	f.t.Helper()
	f.inject(&fault, func() {
		f.warm()
		undo := fault.do()
		f.observe()
		f.rename()
		undo()
	})
	f.grant()
	f.results.enter("after: " + fault.name)
	f.sweep()
}

// inject calls do while the fault is in progress.
func (f *feedTest) inject(fault *feedFault, do func()) {
	f.gate.Lock()
	f.fault = fault
	f.results.enter(fault.name)
	if !fault.stops {
		f.gate.Unlock()
	}
	defer func() {
		if !fault.stops {
			f.gate.Lock()
		}
		f.fault = nil
		f.gate.Unlock()
	}()
	do()
}

// grace returns how long responses may lack a change that is committed now. The caller
// holds gate, or is the goroutine that runs faults.
func (f *feedTest) grace(r *register) time.Duration {
	if f.fault == nil || !f.fault.hides {
		return 0
	}
	return r.maxAge + f.fault.detection
}

// warm reads until all servers respond from memory.
func (f *feedTest) warm() {
	f.t.Helper()
	hits := f.hits()
	waitFor(f.t, "response from memory", func() bool {
		for range storedReads + 1 {
			f.sweep()
		}
		for i, now := range f.hits() {
			if now < hits[i]+float64(len(f.links)) {
				return false
			}
		}
		return true
	})
}

// hits returns how many responses of each server were from memory.
func (f *feedTest) hits() (counts []float64) {
	for _, s := range f.servers {
		counts = append(counts, s.metrics()(`portfolio_cache_hits_total{cache="responses"}`))
	}
	return counts
}

// observe reads until all responses must have the last changes.
func (f *feedTest) observe() {
	until := time.Time{}
	for _, r := range []*register{f.descriptions, f.sizes, f.rights} {
		until = later(until, r.binding())
	}
	f.sweepUntil(until)
}

// sweepUntil reads everything until a time, and once more.
func (f *feedTest) sweepUntil(end time.Time) {
	for time.Now().Before(end) {
		f.sweep()
		time.Sleep(100 * time.Millisecond) // leaves the processors to the others
	}
	f.sweep()
}

// contentAndRights are the tables of a complete change. The last one stands for all tables
// with rights.
var contentAndRights = []string{"portfolio_links", "images", "users"}

// revoke changes the links of the faults and revokes rights, each if its table is named. The
// function commits the statements, or others to the same effect.
func (f *feedTest) revoke(tables []string, commit func(value int64, statements []string)) {
	f.value += 1 + f.value%2
	f.change(tables, commit, func() []string { return f.revocation(tables) })
}

// grant restores the rights, by a plain write.
func (f *feedTest) grant() {
	f.value += 2 - f.value%2
	f.change(contentAndRights, func(_ int64, statements []string) { f.exec(statements...) }, func() []string {
		return f.insertUsers(f.users[firstFaultUser:])
	})
}

func (f *feedTest) change(tables []string, commit func(value int64, statements []string), rights func() []string) {
	var statements []string
	var registers []*register
	for _, table := range tables {
		switch table {
		case "portfolio_links":
			statements = append(statements, fmt.Sprintf("UPDATE portfolio_links SET description = '%d' WHERE portfolio_id = %d", f.value, faultPortfolio))
			registers = append(registers, f.descriptions)
		case "images":
			statements = append(statements, fmt.Sprintf("UPDATE images SET size = %d WHERE id >= %d", f.value, faultPortfolio))
			registers = append(registers, f.sizes)
		default:
			statements = append(statements, rights()...)
			registers = append(registers, f.rights)
		}
	}
	for _, r := range registers {
		r.begin(f.value)
	}
	commit(f.value, statements)
	for _, r := range registers {
		r.acknowledge(f.value, f.grace(r))
	}
}

// revocation returns statements that revoke the rights of users, in a random way if all
// tables may change.
func (f *feedTest) revocation(tables []string) []string {
	users := fmt.Sprintf("(%d, %d)", f.users[firstFaultUser].id, f.users[firstFaultUser+1].id)
	deactivate := []string{"UPDATE users SET is_active = false WHERE id IN " + users}
	deleteTokens := []string{"DELETE FROM tokens WHERE user_id IN " + users}
	switch {
	case tables[len(tables)-1] == "tokens":
		return deleteTokens
	case len(tables) == 1:
		return deactivate
	}
	deletePermissions := "DELETE FROM user_permissions WHERE user_id IN " + users
	all := [][]string{
		deactivate,
		deleteTokens,
		{deletePermissions, "UPDATE users SET is_admin = false WHERE id IN " + users},
		{deletePermissions, deleteTokens[0], "DELETE FROM users WHERE id IN " + users},
	}
	return all[f.random.IntN(len(all))]
}

// insertUsers returns statements that insert users, or restore their rights.
func (f *feedTest) insertUsers(users []feedUser) (statements []string) {
	for _, u := range users {
		statements = append(statements,
			fmt.Sprintf("INSERT INTO users (id, username, is_active, is_staff, is_admin) VALUES (%d, '%s', true, true, %t) ON CONFLICT (id) DO UPDATE SET is_active = true, is_admin = %[3]t", u.id, u.name, u.admin),
			fmt.Sprintf("INSERT INTO user_permissions (user_id, code) VALUES (%d, 4242) ON CONFLICT DO NOTHING", u.id),
			fmt.Sprintf("INSERT INTO tokens (user_id, key_hash) VALUES (%d, "+f.blob+") ON CONFLICT DO NOTHING", u.id, u.hash()))
	}
	return statements
}

// insertLinks returns statements that insert the links with their images and portfolios.
func (f *feedTest) insertLinks() []string {
	statements := []string{fmt.Sprintf("INSERT INTO portfolios (id, name) VALUES (%d, 'of writers'), (%d, 'of faults'), (%d, 'renamed')", writerPortfolio, faultPortfolio, renamedPortfolio)}
	for _, l := range f.links {
		statements = append(statements,
			fmt.Sprintf("INSERT INTO images (id, type, name, path, size) VALUES (%d, 'image', 'i', '', 0)", l.id),
			fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, image_id, name, description) VALUES (%d, %d, %[1]d, 'l', '0')", l.id, l.portfolio))
	}
	return statements
}
