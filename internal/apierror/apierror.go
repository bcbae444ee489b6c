// Package apierror defines the codes and messages of GraphQL errors.
package apierror

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
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

// MaxErrors is the maximum number of errors in a response.
const MaxErrors = 10

// Maximum bytes of client text that an error repeats.
const (
	maxMessage    = 300
	MaxClientName = 100 // of an alias, or of a key of the variables
)

// New returns an error for a client.
func New(code Code, message string) *gqlerror.Error {
	return Wrap(&gqlerror.Error{}, code, message)
}

// BadInput returns an error of the code BAD_USER_INPUT.
func BadInput(format string, args ...any) *gqlerror.Error {
	return New(BadUserInput, fmt.Sprintf(format, args...))
}

// Wrap returns an error for a client with the path and locations of err. What
// err says otherwise stays on the server.
func Wrap(err *gqlerror.Error, code Code, message string) *gqlerror.Error {
	return &gqlerror.Error{
		Message:    shorten(message, maxMessage),
		Path:       ShortenPath(err.Path),
		Locations:  err.Locations,
		Extensions: map[string]any{"code": code},
	}
}

// Is reports whether err has the code.
func Is(err *gqlerror.Error, code Code) bool { return err.Extensions["code"] == code }

// ShortenPath returns path with its names shortened: those of variables are
// chosen by clients.
func ShortenPath(path ast.Path) ast.Path {
	for i, element := range path {
		if name, ok := element.(ast.PathName); ok && len(name) > MaxClientName {
			path = slices.Clone(path)
			path[i] = ast.PathName(shorten(string(name), MaxClientName))
		}
	}
	return path
}

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// InputError is a client's mistake with the value of a field.
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
		switch element.(type) {
		case string, ast.PathName:
			return fmt.Sprint(element, " ", e.Message, ".")
		}
	}
	return e.Message + "."
}
