// Package admission bounds what all requests take together: slots by kind of
// work, and bytes.
package admission

import (
	"runtime"
	"time"
)

// Admission holds what all requests share: slots by kind of work, so that no
// kind keeps another waiting, and budgets of bytes.
type Admission struct {
	Lookups *Throttle // reading a request, and work that takes a few milliseconds
	Heavy   *Throttle // searches, counts and large responses
	Uploads *Throttle // image work

	AnonymousBodies *Budget // memory of bodies that are read before they have a slot
	Bodies          *Budget
	Responses       *Budget // memory of large responses until they are sent
	Documents       *Budget // memory of parsed documents that are kept
	Files           *Budget // disk space of uploads
}

const (
	maxWait       = 2 * time.Second
	maxUploadWait = 30 * time.Second

	anonymousBodies = 16 << 20 // bytes
	bodies          = 64 << 20
	responses       = 4 // of the largest size
	documents       = 16 << 20
	files           = 1 << 30
)

// NewAdmission lets so many lookups work at once, sixteen times as many may
// wait. Heavy requests take at most half of the database's connections and no
// more processors than there are; image work leaves a processor to the others.
// There is room for four responses of maxResponse bytes.
// It tells memory by how much the bytes change that requests hold.
func NewAdmission(lookups, connections int, maxResponse int64, memory func(by int64)) *Admission {
	processors := runtime.GOMAXPROCS(0)
	return &Admission{
		Lookups:         NewThrottle(lookups, 16*lookups, maxWait),
		Heavy:           NewThrottle(max(1, min(processors, connections/2)), 64, maxWait),
		Uploads:         NewThrottle(max(1, processors-1), 64, maxUploadWait),
		AnonymousBodies: NewBudget(anonymousBodies, memory),
		Bodies:          NewBudget(bodies, memory),
		Responses:       NewBudget(responses*maxResponse, memory),
		Documents:       NewBudget(documents, memory),
		Files:           NewBudget(files, nil),
	}
}
