package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

var (
	errUnauthenticated = errors.New("authentication is required")
	errForbidden       = errors.New("you do not have permission to do this")
)

// notFoundError reports that the object of a mutation does not exist.
type notFoundError struct {
	object string // such as portfolio
	id     string
}

func (e *notFoundError) Error() string { return "The " + e.object + " " + e.id + " does not exist." }

// nameMissing returns err, or an error that names the object if err is
// db.ErrNotFound.
func nameMissing(err error, object, id string) error {
	if errors.Is(err, db.ErrNotFound) {
		return &notFoundError{object, id}
	}
	return err
}

// publicErrors maps errors to the codes and messages that clients read. The first
// match counts. Errors that need the attention of an operator are logged. ErrBusy is not
// logged, because metrics count it.
var publicErrors = []struct {
	err     error
	code    apierror.Code
	message string
	logged  bool
}{
	{errUnauthenticated, apierror.Unauthenticated, "Authentication is required.", false},
	{errForbidden, apierror.Forbidden, "You do not have permission to do this.", false},
	{auth.ErrInvalidToken, apierror.Unauthenticated, "The token is invalid.", false},
	{auth.ErrInactiveUser, apierror.Unauthenticated, "The user is inactive.", false},
	{admission.ErrTooLarge, apierror.BadUserInput, "The response is too large.", false},
	{admission.ErrBusy, apierror.Unavailable, "The server is busy. Try again later.", false},
	{db.ErrUnavailable, apierror.Unavailable, "The database is unavailable. Try again later.", true},
	{storage.ErrUnavailable, apierror.Unavailable, "File storage is unavailable. Try again later.", true},
	{db.ErrConflict, apierror.Conflict, "Already exists.", false},
	{db.ErrStale, apierror.Conflict, "The object has changed since it was last read.", false},
	{db.ErrNotFound, apierror.NotFound, "Not found.", false},
	{context.DeadlineExceeded, apierror.Unavailable, "The request took too long. Try again later.", true},
	{context.Canceled, apierror.Unavailable, "The request took too long. Try again later.", true},
}

// PresentError returns a function that converts an error to the form that
// clients read. It logs an error that is not meant for clients, and shows it as
// INTERNAL.
func PresentError(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		located, ok := errors.AsType[*gqlerror.Error](err)
		if !ok {
			located = gqlerror.WrapPath(graphql.GetPath(ctx), err)
		}
		if input, ok := errors.AsType[*apierror.InputError](err); ok {
			return presentInputError(ctx, located, input)
		}
		if missing, ok := errors.AsType[*notFoundError](err); ok {
			return apierror.Wrap(located, apierror.NotFound, missing.Error())
		}
		if errors.Is(err, db.ErrCommitUnknown) {
			telemetry.LogFailure(ctx, log, err)
			return apierror.UnknownOutcome(located)
		}
		for _, public := range publicErrors {
			if errors.Is(err, public.err) {
				if public.logged {
					telemetry.LogFailure(ctx, log, err)
				}
				return apierror.Wrap(located, public.code, public.message)
			}
		}
		if _, ok := located.Extensions["code"].(apierror.Code); ok {
			return located
		}
		telemetry.LogFailure(ctx, log, err)
		return apierror.Wrap(located, apierror.Internal, "Internal error.")
	}
}

// presentInputError adds the path of the field to the message. An error of a
// scalar has no Field: the path of gqlgen continues from the resolved field to the
// argument.
func presentInputError(ctx context.Context, located *gqlerror.Error, input *apierror.InputError) *gqlerror.Error {
	if input.Field == nil {
		path := graphql.GetFieldContext(ctx).Path()
		input = apierror.Invalid(input.Message)
		for _, element := range located.Path[len(path):] {
			switch element := element.(type) {
			case ast.PathName:
				input.Field = append(input.Field, string(element))
			case ast.PathIndex:
				input.Field = append(input.Field, int(element))
			}
		}
		located.Path = path
	}
	_ = graphql.AddFieldLocationToError(ctx, located)
	return input.Present(located)
}

// recoverPanic returns a function that logs a panic of a resolver and shows it
// as INTERNAL.
func recoverPanic(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, value any) error {
		log.ErrorContext(ctx, "panic", "value", fmt.Sprint(value), "stack", string(debug.Stack()))
		return apierror.Wrap(&gqlerror.Error{Path: graphql.GetPath(ctx)}, apierror.Internal, "Internal error.")
	}
}
