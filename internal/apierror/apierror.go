// Package apierror defines the codes and messages of GraphQL errors.
package apierror

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Code is the extensions.code of an error.
type Code string

// The codes of errors.
const (
	Unauthenticated Code = "UNAUTHENTICATED"
	Forbidden       Code = "FORBIDDEN"
	BadUserInput    Code = "BAD_USER_INPUT"
	NotFound        Code = "NOT_FOUND"
	Conflict        Code = "CONFLICT"
	Unavailable     Code = "UNAVAILABLE"
	Internal        Code = "INTERNAL"

	RateLimited            Code = "RATE_LIMITED"              // HTTP 429
	PersistedQueryNotFound Code = "PERSISTED_QUERY_NOT_FOUND" // Apollo's name: send the text
)

// Maximum errors in a response.
const (
	MaxErrors        = 1000
	MaxRequestErrors = 50 // if nothing is executed: a short document can have many errors
)

// Limit returns at most limit errors, the first by their paths. The order of errs varies, since fields
// are resolved concurrently. If Limit leaves errors out, the last error has their number.
func Limit(errs gqlerror.List, limit int) gqlerror.List {
	if len(errs) <= limit {
		return errs
	}
	errs = slices.Clone(errs)
	slices.SortStableFunc(errs, func(a, b *gqlerror.Error) int { return strings.Compare(a.Path.String(), b.Path.String()) })
	first, rest := errs[:limit-1], errs[limit-1:]
	code, _ := rest[0].Extensions["code"].(Code)
	return append(slices.Clip(first), New(code, fmt.Sprintf("%d more errors are left out.", len(rest))))
}

// Maximum bytes of client text that an error repeats.
const (
	maxMessage    = 300
	MaxClientName = 100 // of an alias, or of a field of an input
)

// New returns an error for a client.
func New(code Code, message string) *gqlerror.Error {
	return Wrap(&gqlerror.Error{}, code, message)
}

// BadInput returns an error of the code BAD_USER_INPUT.
func BadInput(format string, args ...any) *gqlerror.Error {
	return New(BadUserInput, fmt.Sprintf(format, args...))
}

// Wrap returns an error for a client with the path and locations of err. The message and the
// extensions of err stay on the server.
func Wrap(err *gqlerror.Error, code Code, message string) *gqlerror.Error {
	return &gqlerror.Error{
		Message:    truncate(message, maxMessage),
		Path:       err.Path,
		Locations:  err.Locations,
		Extensions: map[string]any{"code": code},
	}
}

// Is reports whether err has the code.
func Is(err *gqlerror.Error, code Code) bool { return err.Extensions["code"] == code }

// UnknownOutcome returns the error of a change that may or may not have been stored, with the
// path and locations of err.
func UnknownOutcome(err *gqlerror.Error) *gqlerror.Error {
	unknown := Wrap(err, Unavailable, "It is not known whether the change was stored. Read the data before you try again.")
	unknown.Extensions["outcome"] = "unknown"
	return unknown
}

// IsRefusal reports whether err means that nothing was changed.
func IsRefusal(err *gqlerror.Error) bool {
	if err.Extensions["outcome"] != nil {
		return false
	}
	switch err.Extensions["code"] {
	case Unauthenticated, Forbidden, BadUserInput, NotFound, Conflict, Unavailable:
		return true
	}
	return false
}

func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// OneOf returns a list of the names for a message, such as "A, B or C".
func OneOf[T ~string](names []T) string {
	var text strings.Builder
	for i, name := range names {
		switch {
		case i > 0 && i == len(names)-1:
			text.WriteString(" or ")
		case i > 0:
			text.WriteString(", ")
		}
		text.WriteString(string(name))
	}
	return text.String()
}

// InputError is a validation error in the value of a field.
type InputError struct {
	Code    Code
	Field   []any  // the path of the value below the arguments
	Message string // follows the name of the field, such as "must not be null"
}

// Invalid returns an InputError of the code BAD_USER_INPUT.
func Invalid(message string, field ...any) *InputError {
	return &InputError{BadUserInput, field, message}
}

// Error returns the name of the field followed by the message.
func (e *InputError) Error() string {
	for _, element := range slices.Backward(e.Field) {
		if name, ok := element.(string); ok {
			return truncate(name, MaxClientName) + " " + e.Message + "."
		}
	}
	return e.Message + "."
}

// Present returns the error for a client, with the path and locations of located.
func (e *InputError) Present(located *gqlerror.Error) *gqlerror.Error {
	public := Wrap(located, e.Code, e.Error())
	field := slices.Clone(e.Field)
	for i, element := range field {
		if name, ok := element.(string); ok {
			field[i] = truncate(name, MaxClientName)
		}
	}
	public.Extensions["field"] = field
	return public
}
