package graphqlhttp

import (
	"context"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db"
	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

const (
	multipartType   = "multipart/form-data"
	maxUploads      = 10               // of one request
	maxMap          = 16 << 10         // bytes
	maxPartOverhead = 16 << 10         // bytes: headers, and bytes that are read ahead
	receiveTimeout  = 10 * time.Minute // of all files
)

func isMultipart(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if contentType == jsonType { // the value of most clients
		return false
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == multipartType
}

func (h *Handler) isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && h.MaxUpload > 0 && isMultipart(r)
}

// respondToUpload returns the response to a request of the GraphQL multipart request
// specification. The parts are the operation, a map from files to paths in the variables, and
// the files. It checks the permissions of the user before it reads the files. It keeps the
// files on disk until the request ends.
func (h *Handler) respondToUpload(w http.ResponseWriter, r *http.Request) response {
	limit := maxBody + maxMap + maxUploads*h.MaxUpload + (maxUploads+2)*maxPartOverhead
	switch {
	case isAnonymous(r) && r.ContentLength > maxAnonymousBody:
		return tooLarge("The body", maxAnonymousBody).response()
	case isAnonymous(r): // browsers send this type to other sites without a CORS preflight, but never with a token
		return errorResponse(http.StatusUnauthorized, apierror.New(apierror.Unauthenticated, "Authentication is required."))
	case r.ContentLength > limit:
		return tooLarge("The body", limit).response()
	}
	start := time.Now()
	session, err := h.executor.authenticate(r.Context(), r.Header.Get("Authorization"))
	var viewer *db.User
	if err == nil {
		viewer, err = session.Refresh(r.Context())
	}
	if err != nil {
		return h.failureResponse(r.Context(), err)
	}
	telemetry.RequestFrom(r.Context()).UserID = viewer.ID
	ctx := storage.WithBaseURL(auth.WithViewer(r.Context(), viewer), h.MediaURL.For(r.Context(), r.Host))
	connection := http.NewResponseController(w)
	defer func() { _ = connection.SetWriteDeadline(time.Now().Add(h.StallTimeout)) }() // receiving may have taken long
	form := h.newForm(r, connection)
	op, files, failure := h.readOperation(ctx, form, h.Timeout-time.Since(start))
	if failure != nil {
		return *failure
	}
	defer files.close()
	if reqErr := form.readFiles(files); reqErr != nil {
		return reqErr.response()
	}
	ctx, cancel := context.WithTimeout(ctx, h.UploadTimeout)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	op.limiter = h.Admission.Uploads
	res, err := h.executor.run(ctx, session, op, &slot)
	if err != nil {
		return h.failureResponse(ctx, err)
	}
	return res.response()
}

// newForm returns a reader of the body of a request.
func (h *Handler) newForm(r *http.Request, connection *http.ResponseController) multipartReader {
	_, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body := &progressReader{body: r.Body, connection: connection, timeout: h.StallTimeout, deadline: time.Now().Add(receiveTimeout)}
	form := multipartReader{body: &io.LimitedReader{R: body}}
	form.parts = multipart.NewReader(form.body, options["boundary"])
	return form
}

// readOperation reads the operation and the map, and prepares the operation in a slot. It
// releases the memory of both, before the files are received.
func (h *Handler) readOperation(ctx context.Context, form multipartReader, timeout time.Duration) (*operation, *fileSet, *response) {
	operations, reqErr := form.text("operations", maxBody, h.Admission.Bodies)
	if reqErr != nil {
		return failUpload(reqErr.response())
	}
	defer operations.release()
	paths, reqErr := form.text("map", maxMap, h.Admission.Bodies)
	if reqErr != nil {
		return failUpload(reqErr.response())
	}
	defer paths.release()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Acquire(ctx, h.Admission.Lookups); err != nil {
		return failUpload(response{result: h.executor.unavailable(ctx, err)})
	}
	return h.prepareUpload(ctx, operations.content, paths.content)
}

func failUpload(r response) (*operation, *fileSet, *response) { return nil, nil, &r }

// prepareUpload checks and prepares an operation before its files are read. The viewer must have
// the permissions that its fields require. Each path of the map must be a value of type Upload.
func (h *Handler) prepareUpload(ctx context.Context, operations, paths []byte) (*operation, *fileSet, *response) {
	request, reqErr := parseJSON(operations, h.MaxValues)
	if reqErr != nil {
		return failUpload(reqErr.response())
	}
	var parts map[string][]string
	if reqErr := checkJSON(paths, h.MaxValues); reqErr != nil {
		return failUpload(reqErr.response())
	}
	if decodeJSON(string(paths), &parts) != nil {
		return failUpload(badRequest("The part map must be a JSON object of lists of paths.").response())
	}
	files := &fileSet{budget: h.Admission.Files, maxBytes: h.MaxUpload}
	if reqErr := files.replaceNulls(request.Variables, parts); reqErr != nil {
		return failUpload(reqErr.response())
	}
	op, errs := h.executor.resolve(ctx, request)
	if errs != nil {
		return failUpload(response{result: result{errors: errs}})
	}
	for _, path := range slices.Concat(slices.Collect(maps.Values(parts))...) {
		if !h.takesFile(op.Operation, path) {
			return failUpload(badRequest("The map has a path that is not a file of the operation.").response())
		}
	}
	if op.kind() == ast.Subscription {
		return failUpload(errNotEvents.response())
	}
	if errs := h.executor.prepare(ctx, op, request.Variables); errs != nil {
		return failUpload(response{result: result{errors: errs}})
	}
	files.setFields(op.Operation)
	for _, field := range rootFields(op.Operation.SelectionSet) {
		if err := h.Authorize(ctx, field.Definition); err != nil {
			return failUpload(response{result: result{errors: gqlerror.List{h.PresentError(ctx, err)}}})
		}
	}
	return op, files, nil
}

// rootFields returns the root fields of an operation, even those that the
// directives @skip and @include exclude.
func rootFields(set ast.SelectionSet) []*ast.Field {
	var fields []*ast.Field
	for _, selection := range set {
		switch selection := selection.(type) {
		case *ast.Field:
			fields = append(fields, selection)
		case *ast.InlineFragment:
			fields = append(fields, rootFields(selection.SelectionSet)...)
		case *ast.FragmentSpread:
			fields = append(fields, rootFields(selection.Definition.SelectionSet)...)
		}
	}
	return fields
}

// takesFile reports whether the value at a path such as variables.input.images.0 is of type
// Upload. Where a list is expected, another value is coerced to a list of one element (section
// 3.11 of the specification).
func (h *Handler) takesFile(operation *ast.OperationDefinition, path string) bool {
	names := strings.Split(path, ".")
	if len(names) < 2 {
		return false
	}
	variable := operation.VariableDefinitions.ForName(names[1])
	if variable == nil {
		return false
	}
	valueType := variable.Type
	for _, name := range names[2:] {
		if _, err := strconv.Atoi(name); err == nil && valueType.Elem != nil {
			valueType = valueType.Elem
			continue
		}
		field := h.Documents.Schema.Types[valueType.Name()].Fields.ForName(name)
		if field == nil {
			return false
		}
		valueType = field.Type
	}
	return valueType.Name() == "Upload"
}
