// Package admission limits concurrency and memory across all requests.
package admission

import (
	"runtime"
	"time"
)

// Admission holds the limiters and budgets that requests share. Each kind of work has a limiter
// of its own, so that one kind of work does not delay another.
type Admission struct {
	Lookups *Limiter // decoding a request, and a few milliseconds of work
	Heavy   *Limiter // searches, counts and large responses
	Uploads *Limiter // image processing

	AnonymousBodies *Budget // memory of request bodies that are read before a slot is acquired
	Bodies          *Budget
	Responses       *Budget // memory of large responses until they are sent
	Events          *Shares // of Responses, for large events
	Documents       *Budget // memory of cached documents
	LiveQueries     *Budget // memory of live queries and their subscriptions
	Files           *Budget // disk space of uploads
}

const (
	maxWait       = 2 * time.Second
	maxUploadWait = 30 * time.Second
	backlogFactor = 16 // lookups that may wait for each slot
	maxBacklog    = 64 // heavy requests, or uploads, that may wait

	// Limits of budgets in bytes.
	anonymousBodies = 16 << 20
	bodies          = 48 << 20
	documents       = 16 << 20
	liveQueries     = 64 << 20
	files           = 1 << 30

	largeResponses = 4 // responses of the maximum size that fit into the budget
)

// SubscriptionParts is the number of parts into which subscriptions and their memory are divided.
// Each Owner may hold one part.
const SubscriptionParts = 4

// New returns an Admission with the given number of slots for lookups. Heavy requests take at
// most half of the database connections, and at most all CPUs. Uploads leave one CPU to other
// requests. The budget of responses is four times maxResponse, in bytes. New calls
// onMemoryChange, unless it is nil, with each change of the memory that requests hold, in bytes.
func New(lookups, connections int, maxResponse int64, onMemoryChange func(delta int64)) *Admission {
	memory := func(limit int64) *Budget {
		return NewBudget(limit, func(delta int64) {
			if onMemoryChange != nil {
				onMemoryChange(heldFactor * delta)
			}
		})
	}
	cpus := runtime.GOMAXPROCS(0)
	responses := memory(largeResponses * maxResponse)
	return &Admission{
		Lookups:         NewLimiter(lookups, backlogFactor*lookups, maxWait),
		Heavy:           NewLimiter(max(1, min(cpus, connections/2)), maxBacklog, maxWait),
		Uploads:         NewLimiter(max(1, cpus-1), maxBacklog, maxUploadWait),
		AnonymousBodies: memory(anonymousBodies),
		Bodies:          memory(bodies),
		Responses:       responses,
		Events:          NewShares(responses, largeResponses),
		Documents:       memory(documents),
		LiveQueries:     memory(liveQueries),
		Files:           NewBudget(files, nil),
	}
}
