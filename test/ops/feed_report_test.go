//go:build ops

package ops

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// feedResults counts responses by fault.
type feedResults struct {
	t     *testing.T
	began time.Time

	mu      sync.Mutex
	current string
	tallies map[string]*feedTally
}

// feedTally counts the responses of a fault.
type feedTally struct {
	runs, responses, refused, violations int
	allowed, stale                       time.Duration // greatest ages
}

func newFeedResults(t *testing.T) *feedResults {
	t.Helper()
	return &feedResults{t: t, began: time.Now(), current: "no fault", tallies: map[string]*feedTally{}}
}

// enter begins to count for a fault.
func (r *feedResults) enter(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = fault
	r.tally(fault).runs++
}

// fault returns the current fault.
func (r *feedResults) fault() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// tally returns the counts of a fault. The caller holds the lock.
func (r *feedResults) tally(fault string) *feedTally {
	if r.tallies[fault] == nil {
		r.tallies[fault] = &feedTally{}
	}
	return r.tallies[fault]
}

// unavailable counts a response without data.
func (r *feedResults) unavailable(response feedResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally(response.fault).refused++
}

// add counts a value of a register in a response.
func (r *feedResults) add(response feedResponse, register *register, got reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tally := r.tally(response.fault)
	tally.responses++
	if got.isAllowed() {
		tally.allowed = max(tally.allowed, got.age)
		return
	}
	tally.stale = max(tally.stale, got.age)
	r.violation(response, "%s is %d, and changed %s before the request; want %d to %d", register.name, got.value, got.age.Round(time.Millisecond), got.oldest, got.newest)
}

// wrong reports a response without values, unless there was an outage.
func (r *feedResults) wrong(response feedResponse, format string, args ...any) {
	if response.outage {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violation(response, format, args...)
}

// violation counts a wrong response, and prints the first ones of each fault. The caller
// holds the lock.
func (r *feedResults) violation(response feedResponse, format string, args ...any) {
	const printed = 3
	tally := r.tally(response.fault)
	if tally.violations++; tally.violations <= printed {
		r.t.Errorf("%s, at %.3f s: server %d, %s %s %s: %d %.400s: %s", response.fault, response.began.Sub(r.began).Seconds(), response.server,
			response.method, response.path, response.content, response.status, response.body, fmt.Sprintf(format, args...))
	}
}

// print prints the tallies.
func (r *feedResults) print() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Logf("%-55s %5s %9s %11s %10s %10s %10s", "fault", "runs", "readings", "UNAVAILABLE", "oldest", "violations", "oldest")
	for _, name := range slices.Sorted(maps.Keys(r.tallies)) {
		c := r.tallies[name]
		r.t.Logf("%-55s %5d %9d %11d %10s %10d %10s", name, c.runs, c.responses, c.refused, c.allowed.Round(time.Millisecond), c.violations, c.stale.Round(time.Millisecond))
	}
}
