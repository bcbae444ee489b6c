package graphqlhttp

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/document"
	"portfolio/internal/livequery"
	"portfolio/internal/telemetry"
)

// executor executes operations. It does not depend on the transport.
type executor struct{ *Options }

// operation is an operation of a validated document.
type operation struct {
	*graphql.OperationContext
	document *document.Document
	cost     document.Cost
	limiter  *admission.Limiter // of the slot that the operation needs; nil if a slot of Lookups is enough
}

func (o *operation) kind() ast.Operation { return o.Operation.Operation }

// result is the result of an operation, or the errors that prevented its execution.
type result struct {
	operation    *operation // nil if there is none
	errors       gqlerror.List
	data         []byte           // nil if nothing was executed
	meter        *admission.Meter // nil if nothing was executed
	hasEffect    bool             // whether a mutation with an UNAVAILABLE error may have taken effect
	subscription string           // text of the subscription, "" unless the client subscribes
}

// release releases the memory of a result once it is sent, or discarded.
func (r result) release() {
	if r.meter != nil {
		r.meter.Release()
	}
}

// authenticate begins a session for the token of an Authorization header. The session is nil
// if the header is empty. It returns the errors of auth.Authenticator.Authenticate.
func (e *executor) authenticate(ctx context.Context, header string) (*auth.Session, error) {
	if header == "" {
		return nil, nil
	}
	key, err := parseAuthorization(header)
	if err != nil {
		return nil, err
	}
	return e.Auth.Authenticate(ctx, key)
}

// unauthenticated returns the result for a token that is invalid or could not be looked up.
func (e *executor) unauthenticated(ctx context.Context, err error) result {
	if _, ok := errors.AsType[*auth.RateLimitError](err); ok {
		return result{errors: gqlerror.List{errRateLimited}}
	}
	return result{errors: gqlerror.List{e.PresentError(ctx, err)}}
}

// parseAuthorization returns the key in an Authorization header. The error is
// auth.ErrInvalidToken.
func parseAuthorization(header string) (key string, err error) {
	scheme, key, err := auth.ParseHeader(header)
	if err != nil || scheme != "token" && scheme != "bearer" {
		return "", auth.ErrInvalidToken
	}
	return key, nil
}

// execute executes the operation of a request in a slot. It does not execute a subscription, but
// returns its text. Before the execution, checkKind may reject the kind of operation. The error
// comes from checkKind or auth.Session.Refresh. All other errors are in the result.
func (e *executor) execute(ctx context.Context, session *auth.Session, request *request, slot *admission.Slot, checkKind func(ast.Operation) error) (result, error) {
	op, errs := e.resolve(ctx, request)
	if errs != nil {
		return result{errors: errs}, nil //nolint:nilerr // the result has them
	}
	if err := checkKind(op.kind()); err != nil {
		return result{}, err
	}
	if errs := e.prepare(ctx, op, request.Variables); errs != nil {
		return result{errors: errs}, nil //nolint:nilerr // the result has them
	}
	if op.kind() == ast.Subscription {
		return result{operation: op, subscription: request.subscription(op)}, nil
	}
	return e.run(ctx, session, op, slot)
}

// resolve returns the operation that a request names.
func (e *executor) resolve(ctx context.Context, request *request) (*operation, gqlerror.List) {
	doc, errs := e.Documents.Resolve(document.Request{Text: request.Query, ID: request.documentID, Hash: request.hash}, !auth.IsAnonymous(ctx))
	if errs != nil {
		return nil, errs
	}
	definition := doc.Operations.ForName(request.OperationName)
	if definition == nil {
		return nil, gqlerror.List{noOperation(doc)}
	}
	record := telemetry.RequestFrom(ctx)
	record.Type, record.Operation = string(definition.Operation), definition.Name
	return &operation{OperationContext: &graphql.OperationContext{Doc: doc.QueryDocument, Operation: definition}, document: doc}, nil
}

// prepare coerces the variables of an operation, and prices it.
func (e *executor) prepare(ctx context.Context, op *operation, variables map[string]any) (errs gqlerror.List) {
	if op.Variables, errs = e.Documents.CoerceVariables(op.Operation, variables); errs != nil {
		return errs
	}
	cost, err := e.Documents.Cost(op.Operation, op.Variables)
	telemetry.RequestFrom(ctx).Cost = cost.Fields
	if err != nil {
		return gqlerror.List{err}
	}
	op.cost = cost
	if cost.Heavy() {
		op.limiter = e.Admission.Heavy
	}
	return nil
}

// noOperation returns the error of a request that names no operation of its document. The error
// has the locations of the operations.
func noOperation(doc *document.Document) *gqlerror.Error {
	err := apierror.BadInput("Unknown operation name, or operationName is required because the document has several operations.")
	for _, operation := range doc.Operations[:min(len(doc.Operations), maxLocations)] {
		err.Locations = append(err.Locations, gqlerror.Location{Line: operation.Position.Line, Column: operation.Position.Column})
	}
	return err
}

const maxLocations = 10 // of an error

// run runs a prepared operation. Before a mutation, it refreshes the session, and returns the
// errors of auth.Session.Refresh. A query may acquire a heavy slot when its response grows
// large. A mutation does not: it must not wait after its commit.
func (e *executor) run(ctx context.Context, session *auth.Session, op *operation, slot *admission.Slot) (result, error) {
	meterSlot := slot
	if op.limiter != nil {
		meterSlot = nil
		if err := slot.Acquire(ctx, op.limiter); err != nil {
			return e.unavailable(ctx, err), nil
		}
	}
	if op.kind() == ast.Mutation {
		meterSlot = nil
		viewer, err := session.Refresh(ctx)
		if err != nil {
			return result{}, err
		}
		ctx = auth.WithViewer(ctx, viewer)
	}
	if err := ctx.Err(); err != nil {
		return e.unavailable(ctx, err), nil
	}
	meter := e.Admission.NewMeter(int64(e.MaxResponse), meterSlot)
	spanCtx, endSpan := telemetry.StartOperation(ctx)
	resp := e.Execute(admission.WithMeter(spanCtx, meter), op.OperationContext)
	endSpan(len(resp.Errors) > 0)
	if err := meter.Err(); err != nil {
		meter.Release()
		return e.incomplete(ctx, op, err), nil
	}
	meter.ReleaseRows()
	data := []byte(resp.Data)
	if data == nil && op.kind() != ast.Subscription {
		data = []byte("null")
	}
	return result{operation: op, errors: resp.Errors, data: data, meter: meter, hasEffect: hasEffect(op, resp.Errors)}, nil
}

// hasEffect reports whether a mutation with an UNAVAILABLE error may have taken effect: one of
// its fields has succeeded, or only the selections of a payload have failed.
func hasEffect(op *operation, errs gqlerror.List) bool {
	if op.kind() != ast.Mutation || !slices.ContainsFunc(errs, isUnavailable) {
		return false
	}
	failed := map[ast.PathElement]bool{} // an input may have several errors
	for _, err := range errs {
		if len(err.Path) == 1 && apierror.IsRefusal(err) {
			failed[err.Path[0]] = true
		}
	}
	return len(failed) < len(graphql.CollectFields(op.OperationContext, op.Operation.SelectionSet, []string{"Mutation"}))
}

func isUnavailable(err *gqlerror.Error) bool { return apierror.Is(err, apierror.Unavailable) }

// incomplete returns the result of an operation whose response could not be built.
func (e *executor) incomplete(ctx context.Context, op *operation, err error) result {
	prefix := ""
	if op.kind() == ast.Mutation {
		prefix = "The mutation was executed, but its response is not available. "
	}
	switch {
	case errors.Is(err, admission.ErrTooLarge):
		return result{errors: gqlerror.List{apierror.BadInput("%sThe response would have more than %d bytes. Ask for smaller pages or fewer fields.", prefix, e.MaxResponse)}}
	case prefix != "" && errors.Is(err, admission.ErrBusy):
		return result{errors: gqlerror.List{apierror.New(apierror.Internal, prefix+"The server is busy.")}, hasEffect: true}
	}
	return e.unavailable(ctx, err)
}

// unavailable returns the result of an operation that has run out of time, or has got no slot.
func (e *executor) unavailable(ctx context.Context, err error) result {
	return result{errors: gqlerror.List{e.PresentError(ctx, err)}}
}

// executeEvent executes the operation of a subscription once, like a query.
func (e *executor) executeEvent(ctx context.Context, text string) (event livequery.Result) {
	defer func() {
		if value := recover(); value != nil {
			e.Log.ErrorContext(ctx, "panic", "value", value, "stack", string(debug.Stack()))
			event = livequery.Result{Errors: gqlerror.List{apierror.New(apierror.Internal, "Internal error.")}}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Acquire(ctx, e.Admission.Lookups); err != nil {
		return e.unavailable(ctx, err).event()
	}
	request := new(request)
	if err := request.decode(strings.NewReader(text)); err != nil {
		panic(err) // it was encoded
	}
	op, errs := e.resolve(ctx, request)
	if errs == nil {
		errs = e.prepare(ctx, op, request.Variables)
	}
	if errs != nil {
		return result{errors: errs}.event()
	}
	res, err := e.run(ctx, nil, op, &slot)
	if err != nil {
		panic(err) // only a mutation refreshes a session
	}
	defer res.release()
	if auth.IsPrivate(ctx) {
		panic("subscribers with the same rights would get a private result")
	}
	return res.event()
}

// event returns the result as a result of a live query.
func (r result) event() livequery.Result {
	if r.data == nil || slices.ContainsFunc(r.errors, isUnavailable) {
		return livequery.Result{Errors: r.errors, Retryable: slices.ContainsFunc(r.errors, isUnavailable)}
	}
	return livequery.Result{Payload: slices.Concat(r.prefix(), r.data, []byte("}"))}
}
