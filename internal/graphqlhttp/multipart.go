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

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
)

const (
	multipartType   = "multipart/form-data"
	maxUploads      = 10               // of one request
	maxMap          = 16 << 10         // bytes
	maxPartOverhead = 16 << 10         // bytes: headers and what is read ahead
	receiveTimeout  = 10 * time.Minute // of all files
)

func isMultipart(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if contentType == jsonType { // of most clients
		return false
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == multipartType
}

// respondToUpload responds to a request as the GraphQL multipart request
// specification defines it: the operation, a map from files to their places in
// the variables, and the files. The files are read after it is known that the
// viewer may send them, and stored on disk until the request ends.
func (h *Handler) respondToUpload(from client, w http.ResponseWriter, r *http.Request, timeout time.Duration) response {
	if isAnonymous(r) { // browsers send this type to other sites without a CORS preflight, but never with a token
		return errorResponse(http.StatusUnauthorized, apierror.New(apierror.Unauthenticated, "Authentication is required."))
	}
	_, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	connection := http.NewResponseController(w)
	body := &progressReader{from: r.Body, connection: connection, timeout: h.StallTimeout, deadline: time.Now().Add(receiveTimeout)}
	form := multipartReader{body: &io.LimitedReader{R: body}}
	form.parts = multipart.NewReader(form.body, options["boundary"])
	defer func() { _ = connection.SetWriteDeadline(time.Now().Add(h.StallTimeout)) }() // receiving may have taken long

	var slot admission.Slot
	defer slot.Release()
	ctx := from.context(r.Context())
	operation, files, refused := h.readUpload(ctx, form, &slot, timeout)
	if refused != nil {
		return *refused
	}
	slot.Release()
	defer files.close()
	if err := form.readFiles(files); err != nil {
		return err.response()
	}
	executing, cancel := context.WithTimeout(ctx, h.UploadTimeout)
	defer cancel()
	if err := slot.Move(executing, h.Admission.Uploads); err != nil {
		return h.unavailable(ctx, err)
	}
	if _, err := from.confirmNow(executing); err != nil {
		return h.unauthenticated(executing, err)
	}
	return h.execute(from.context(executing), operation, &slot, true)
}

// readUpload reads the operation and the map, and prepares the operation in a
// slot. The memory of both is released before the files are received.
func (h *Handler) readUpload(ctx context.Context, form multipartReader, slot *admission.Slot, timeout time.Duration) (*operation, *fileSet, *response) {
	operations, err := form.text("operations", maxBody, h.Admission.Bodies)
	if err != nil {
		return refuseUpload(err.response())
	}
	defer operations.release()
	paths, err := form.text("map", maxMap, h.Admission.Bodies)
	if err != nil {
		return refuseUpload(err.response())
	}
	defer paths.release()
	preparing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := slot.Move(preparing, h.Admission.Lookups); err != nil {
		return refuseUpload(h.unavailable(ctx, err))
	}
	return h.prepareUpload(preparing, operations.content, paths.content)
}

func refuseUpload(r response) (*operation, *fileSet, *response) { return nil, nil, &r }

// prepareUpload checks the operation before its files are read: the viewer must
// have the permissions of its fields, and its variables must have the files.
func (h *Handler) prepareUpload(ctx context.Context, operations, paths []byte) (*operation, *fileSet, *response) {
	request, err := h.fromJSON(operations)
	if err != nil {
		return refuseUpload(err.response())
	}
	var parts map[string][]string
	if err := h.checkJSON(paths); err != nil {
		return refuseUpload(err.response())
	}
	if decodeJSON(string(paths), &parts) != nil {
		return refuseUpload(badRequest("The part map must be a JSON object of lists of paths.").response())
	}
	files := &fileSet{budget: h.Admission.Files, maxBytes: h.MaxUpload}
	if err := files.replaceNulls(request.Variables, parts); err != nil {
		return refuseUpload(err.response())
	}
	found, refused := h.resolve(ctx, request)
	if refused != nil {
		return nil, nil, refused
	}
	for _, path := range slices.Concat(slices.Collect(maps.Values(parts))...) {
		if !h.takesFile(found.Operations.ForName(request.OperationName), path) {
			return refuseUpload(badRequest("The map has a path that is not a file of the operation.").response())
		}
	}
	operation, refused := h.prepare(ctx, found, request, http.MethodPost)
	if refused != nil {
		return nil, nil, refused
	}
	files.setFields(operation.Operation)
	for _, field := range rootFields(operation.Operation.SelectionSet) {
		if err := h.Authorize(ctx, field.Definition); err != nil {
			return nil, nil, &response{errors: gqlerror.List{h.PresentError(ctx, err)}}
		}
	}
	return operation, files, nil
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

// takesFile reports whether the value at a path such as
// variables.input.images.0 is of type Upload. A value that is not in a list is the
// only element where a list is expected, section 3.11 of the specification.
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
