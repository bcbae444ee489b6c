//go:build ops

package ops

import (
	"slices"
	"sync"
	"time"
)

// register is a number that grows, and that responses show.
type register struct {
	name   string
	maxAge time.Duration // of responses, when a fault hides changes

	mu      sync.Mutex
	begun   int64
	starts  map[int64]time.Time // when each value was begun
	commits []commit            // acknowledged, in ascending order
}

// commit is an acknowledged change of a register.
type commit struct {
	value        int64
	acknowledged time.Time
	binding      time.Time // responses to later requests show this value or a later one
}

func newRegister(name string, maxAge time.Duration) *register {
	return &register{name: name, maxAge: maxAge, starts: map[int64]time.Time{}, commits: []commit{{}}}
}

// begin adds a value that responses may show from now on.
func (r *register) begin(value int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = value
	r.starts[value] = time.Now()
}

// next begins the next value and returns it. A register has one writer.
func (r *register) next() int64 {
	r.mu.Lock()
	value := r.begun + 1
	r.mu.Unlock()
	r.begin(value)
	return value
}

// start returns when a value was begun.
func (r *register) start(value int64) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starts[value]
}

// acknowledge records that a value is committed. Requests that begin within the grace
// period may still get an older one.
func (r *register) acknowledge(value int64, grace time.Duration) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits = append(r.commits, commit{value, now, now.Add(grace)})
}

// binding returns when the last commit must be visible everywhere.
func (r *register) binding() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commits[len(r.commits)-1].binding
}

// reading is the value of a register in a response.
type reading struct {
	value, oldest, newest int64         // oldest to newest are allowed
	age                   time.Duration // from the commit of the next value to the request
}

func (r reading) isAllowed() bool { return r.oldest <= r.value && r.value <= r.newest }

// judge compares a value with the values that are allowed in a response that arrives now. The
// request began at the time began.
func (r *register) judge(value int64, began time.Time) reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := reading{value: value, newest: r.begun}
	for _, c := range slices.Backward(r.commits) {
		if c.value > value && c.acknowledged.Before(began) {
			result.age = began.Sub(c.acknowledged)
		}
		if !c.binding.After(began) {
			result.oldest = max(result.oldest, c.value)
		}
		if c.value <= value {
			break
		}
	}
	return result
}

// judgeRight is like judge for a right that a user has at even values. It assumes the newest
// value that agrees with the response.
func (r *register) judgeRight(granted bool, began time.Time) reading {
	r.mu.Lock()
	value := r.begun
	r.mu.Unlock()
	if granted != (value%2 == 0) {
		value--
	}
	return r.judge(value, began)
}
