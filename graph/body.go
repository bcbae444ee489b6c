package graph

import (
	"errors"
	"io"
	"net/http"
	"os"
	"portfolio/internal/admission"
	"strconv"
	"sync"
)

const (
	maxBody          = 1 << 20   // bytes
	maxAnonymousBody = 128 << 10 // bytes
	maxNesting       = 50        // levels of lists and objects in JSON

	firstBody = 4 << 10 // bytes of memory that a body begins with
)

// body is text from a client, in memory that a budget counts.
type body struct {
	text   []byte
	budget *admission.Budget
}

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, firstBody); return &b }}

// readBody reads up to limit bytes. Who sends them slowly holds no more of the
// budget than what has come.
func readBody(from io.Reader, what string, limit int64, budget *admission.Budget) (*body, *badParams) {
	if !budget.Take(firstBody) {
		return nil, errBusyReading
	}
	b := &body{text: (*bodies.Get().(*[]byte))[:0:firstBody], budget: budget}
	for {
		n, err := from.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		switch {
		case int64(len(b.text)) > limit:
			b.release()
			return nil, tooLarge(what, limit)
		case err == io.EOF:
			return b, nil
		case err != nil:
			b.release()
			return nil, readFailure(err, what)
		case len(b.text) < cap(b.text):
		case budget.Take(int64(cap(b.text))):
			b.text = append(make([]byte, 0, 2*cap(b.text)), b.text...)
		default:
			b.release()
			return nil, errBusyReading
		}
	}
}

var errBusyReading = &badParams{status: http.StatusServiceUnavailable, message: "The server is busy. Try again later.", code: CodeUnavailable}

func readFailure(err error, what string) *badParams {
	if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(what, limit.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &badParams{status: http.StatusRequestTimeout, message: what + " took too long."}
	}
	return &badParams{status: http.StatusBadRequest, message: what + " is cut off."}
}

func tooLarge(what string, limit int64) *badParams {
	return &badParams{status: http.StatusRequestEntityTooLarge, message: what + " may have at most " + strconv.FormatInt(limit, 10) + " bytes."}
}

// release gives the memory back. Nothing may use the text any more.
func (b *body) release() {
	b.budget.Give(int64(cap(b.text)))
	if cap(b.text) == firstBody {
		bodies.Put(&b.text)
	}
}

// checkJSON refuses a text with too many values or levels, before memory is
// taken for them. It counts at least the values that are there; whether the
// text is JSON at all is not its concern.
func (l Limits) checkJSON(text []byte) *badParams {
	values, level := 1, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i+1)
		case '{', '[':
			values++
			level++
		case '}', ']':
			level--
		case ',':
			values++
		}
		if values > l.Values {
			return &badParams{status: http.StatusBadRequest, message: "The variables and extensions may have at most " + strconv.Itoa(l.Values) + " values."}
		}
		if level > maxNesting {
			return &badParams{status: http.StatusBadRequest, message: "The variables and extensions may have at most " + strconv.Itoa(maxNesting) + " levels."}
		}
	}
	return nil
}

// endOfString returns the index of the quote that ends a string of JSON.
func endOfString(text []byte, from int) int {
	for from < len(text) && text[from] != '"' {
		if text[from] == '\\' {
			from++ // what is escaped
		}
		from++
	}
	return from
}
