package graphqlhttp

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"

	"portfolio/internal/admission"
)

const (
	maxBody          = 1 << 20   // bytes
	maxAnonymousBody = 128 << 10 // bytes
	maxNesting       = 50        // levels of lists and objects in JSON

	minBody = 4 << 10 // bytes of memory that each body takes from the start
)

// body is text from a client. A budget counts its memory.
type body struct {
	content []byte
	budget  *admission.Budget
}

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, minBody); return &b }}

// readBody reads up to limit bytes. The memory grows with the body. So a slow client holds
// only minBody of the budget, or at most twice the bytes that it has sent.
func readBody(r io.Reader, name string, limit int64, budget *admission.Budget) (*body, *requestError) {
	if !budget.Reserve(minBody) {
		return nil, errBusyReading
	}
	b := &body{content: (*bodies.Get().(*[]byte))[:0:minBody], budget: budget}
	for {
		n, err := r.Read(b.content[len(b.content):cap(b.content)])
		b.content = b.content[:len(b.content)+n]
		switch {
		case int64(len(b.content)) > limit:
			b.release()
			return nil, tooLarge(name, limit)
		case err == io.EOF:
			return b, nil
		case err != nil:
			b.release()
			return nil, readError(err, name)
		case len(b.content) < cap(b.content):
		case budget.Reserve(int64(cap(b.content))):
			b.content = append(make([]byte, 0, 2*cap(b.content)), b.content...)
		default:
			b.release()
			return nil, errBusyReading
		}
	}
}

var errBusyReading = &requestError{status: http.StatusServiceUnavailable, err: errBusy}

func readError(err error, name string) *requestError {
	if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(name, limit.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newRequestError(http.StatusRequestTimeout, name+" took too long.")
	}
	return badRequest(name + " is truncated.")
}

func tooLarge(name string, limit int64) *requestError {
	return newRequestError(http.StatusRequestEntityTooLarge, name+" may have at most "+strconv.FormatInt(limit, 10)+" bytes.")
}

// release returns the memory to the budget. The text must not be used afterwards.
func (b *body) release() {
	if b == nil {
		return
	}
	b.budget.Release(int64(cap(b.content)))
	if cap(b.content) == minBody {
		bodies.Put(&b.content)
	}
}

// shrink replaces the text by part, a smaller copy, and releases the difference.
func (b *body) shrink(part []byte) {
	b.budget.Release(int64(cap(b.content)) - int64(cap(part)))
	b.content = part
}
