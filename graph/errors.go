package graph

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/auth"
	"portfolio/internal/imaging"
)

// Code is the extensions.code of an error.
type Code string

// The codes there are.
const (
	CodeUnauthenticated Code = "UNAUTHENTICATED"
	CodeForbidden       Code = "FORBIDDEN"
	CodeBadUserInput    Code = "BAD_USER_INPUT"
	CodeNotFound        Code = "NOT_FOUND"
	CodeConflict        Code = "CONFLICT"
	CodeUnavailable     Code = "UNAVAILABLE"
	CodeInternal        Code = "INTERNAL"

	CodeRateLimited            Code = "RATE_LIMITED"              // HTTP 429
	CodePersistedQueryNotFound Code = "PERSISTED_QUERY_NOT_FOUND" // Apollo's name: send the text
)

// inputError says what is wrong with a value that the client sent.
type inputError string

func (e inputError) Error() string { return string(e) }

// fault is what is wrong with the value at a path in the arguments.
type fault struct {
	code    Code
	field   []any
	message string // goes on after the name of the field
}

func (f *fault) Error() string { return f.message }

// sentence begins with the name of the field that holds the fault.
func (f *fault) sentence() string {
	for _, element := range slices.Backward(f.field) {
		switch element.(type) {
		case string, ast.PathName:
			return fmt.Sprint(element, " ", f.message, ".")
		}
	}
	return f.message + "."
}

var (
	errUnauthenticated = errors.New("authentication is required")
	errForbidden       = errors.New("you do not have permission to do this")
)

// shown lists the errors that clients see, and as what.
var shown = []struct {
	err     error
	code    Code
	message string
}{
	{errUnauthenticated, CodeUnauthenticated, "Authentication is required."},
	{errForbidden, CodeForbidden, "You do not have permission to do this."},
	{auth.ErrInvalidToken, CodeUnauthenticated, "The token is invalid."},
	{auth.ErrInactiveUser, CodeUnauthenticated, "The user is inactive."},
	{db.ErrUnavailable, CodeUnavailable, "The database does not answer. Try again later."},
	{imaging.ErrUnavailable, CodeUnavailable, "The media store does not answer. Try again later."},
	{db.ErrConflict, CodeConflict, "This exists already."},
	{db.ErrStale, CodeConflict, "It was changed since you read it."},
	{db.ErrNotFound, CodeNotFound, "There is no such thing."},
}

// present makes of any error what the client sees of it. What is not meant
// for clients is logged and shown as INTERNAL.
func (h *Handler) present(ctx context.Context, err error) *gqlerror.Error {
	shownError, ok := errors.AsType[*gqlerror.Error](err)
	if !ok {
		shownError = gqlerror.WrapPath(graphql.GetPath(ctx), err)
	}
	if input, ok := errors.AsType[inputError](err); ok {
		err = faultAt(ctx, shownError, input)
	}
	if fault, ok := errors.AsType[*fault](err); ok {
		_ = graphql.AddFieldLocationToError(ctx, shownError)
		presented := coded(shownError, fault.code, fault.sentence())
		presented.Extensions["field"] = fault.field
		return presented
	}
	for _, known := range shown {
		if errors.Is(err, known.err) {
			if known.code == CodeUnavailable && !errors.Is(ctx.Err(), context.Canceled) {
				h.log.ErrorContext(ctx, "request failed", "error", err)
			}
			return coded(shownError, known.code, known.message)
		}
	}
	if code, ok := shownError.Extensions["code"].(string); ok && (code == errcode.ParseFailed || code == errcode.ValidationFailed) {
		return coded(shownError, CodeBadUserInput, shownError.Message)
	}
	if _, ok := shownError.Extensions["code"].(Code); ok {
		return shownError
	}
	if ctx.Err() == nil {
		h.log.ErrorContext(ctx, "request failed", "error", err)
	}
	return coded(shownError, CodeInternal, "Internal error.")
}

func coded(err *gqlerror.Error, code Code, message string) *gqlerror.Error {
	return &gqlerror.Error{
		Message:    shortened(message, maxMessage),
		Path:       shortPath(err.Path),
		Locations:  err.Locations,
		Extensions: map[string]any{"code": code},
	}
}

const maxMessage = 300 // bytes

// shortened cuts what repeats a text of the client.
func shortened(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// shortPath shortens the keys of variables, which clients choose.
func shortPath(path ast.Path) ast.Path {
	for i, element := range path {
		if name, ok := element.(ast.PathName); ok && len(name) > maxAlias {
			path = slices.Clone(path)
			path[i] = ast.PathName(shortened(string(name), maxAlias))
		}
	}
	return path
}

// faultAt takes apart the path of a value that could not be read: it goes on
// from the field to the argument.
func faultAt(ctx context.Context, err *gqlerror.Error, input inputError) *fault {
	found := &fault{code: CodeBadUserInput, message: string(input)}
	path := graphql.GetFieldContext(ctx).Path()
	for _, element := range shortPath(err.Path)[len(path):] {
		found.field = append(found.field, element)
	}
	err.Path = path
	return found
}

func (h *Handler) recovered(ctx context.Context, value any) error {
	h.log.ErrorContext(ctx, "panic", "value", fmt.Sprint(value), "stack", string(debug.Stack()))
	return coded(&gqlerror.Error{Path: graphql.GetPath(ctx)}, CodeInternal, "Internal error.")
}
