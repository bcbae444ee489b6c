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

// Options configure an Admission.
type Options struct {
	Lookups        int               // slots of lookups
	Connections    int               // of the database
	MaxResponse    int64             // bytes
	OnMemoryChange func(delta int64) // gets each change of the memory of requests in bytes; may be nil
}

// New returns an Admission. Heavy requests take at most half of the database connections, and at most
// all CPUs. Uploads leave one CPU to other requests. There is memory for four responses of
// o.MaxResponse bytes.
func New(o Options) *Admission {
	memory := func(limit int64) *Budget {
		return NewBudget(limit, func(delta int64) {
			if o.OnMemoryChange != nil {
				o.OnMemoryChange(heldFactor * delta)
			}
		})
	}
	cpus := runtime.GOMAXPROCS(0)
	responses := memory(largeResponses * o.MaxResponse)
	return &Admission{
		Lookups:         NewLimiter(o.Lookups, backlogFactor*o.Lookups, maxWait),
		Heavy:           NewLimiter(max(1, min(cpus, o.Connections/2)), maxBacklog, maxWait),
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
