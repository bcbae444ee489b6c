package graphqlhttp

import (
	"context"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"slices"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

const (
	multipartType   = "multipart/form-data"
	maxUploads      = 10       // of one request
	maxMap          = 16 << 10 // bytes
	maxPartOverhead = 16 << 10 // bytes: headers and what is read ahead
)

func isMultipart(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == multipartType
}

// respondToUpload responds to a request as the GraphQL multipart request
// specification defines it: the operation, a map from files to their places in
// the variables, and the files. The files are read after it is known that the
// viewer may send them, and stored on disk until the request ends.
func (h *Handler) respondToUpload(ctx context.Context, w http.ResponseWriter, r *http.Request, timeout time.Duration) response {
	if isAnonymous(r) { // browsers send this type to other sites without a CORS preflight, but never with a token
		return errorResponse(http.StatusUnauthorized, apierror.New(apierror.Unauthenticated, "Authentication is required."))
	}
	_, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	from := &progressReader{from: r.Body, connection: http.NewResponseController(w), timeout: h.StallTimeout}
	form := multipartReader{body: &io.LimitedReader{R: from}}
	form.parts = multipart.NewReader(form.body, options["boundary"])
	operations, err := form.text("operations", maxBody, h.Admission.Bodies)
	if err != nil {
		return err.response()
	}
	defer operations.release()
	paths, err := form.text("map", maxMap, h.Admission.Bodies)
	if err != nil {
		return err.response()
	}
	defer paths.release()

	preparing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Move(preparing, h.Admission.Lookups); err != nil {
		return h.unavailable(ctx, err)
	}
	operation, files, refused := h.prepareUpload(preparing, operations.text, paths.text)
	if refused != nil {
		return *refused
	}
	slot.Release()
	defer files.close()
	if err := form.files(files); err != nil {
		return err.response()
	}
	_ = from.connection.SetWriteDeadline(time.Now().Add(h.UploadTimeout + h.StallTimeout))

	executing, cancel := context.WithTimeout(ctx, h.UploadTimeout)
	defer cancel()
	if err := slot.Move(executing, h.Admission.Uploads); err != nil {
		return h.unavailable(ctx, err)
	}
	return h.execute(executing, operation, &slot)
}

// prepareUpload checks the operation before its files are read: the viewer must
// have the permissions of its fields, and its variables must have the files.
func (h *Handler) prepareUpload(ctx context.Context, operations, paths []byte) (*operation, *uploads, *response) {
	refuse := func(err *requestError) (*operation, *uploads, *response) {
		refused := err.response()
		return nil, nil, &refused
	}
	request, err := h.fromJSON(operations)
	if err != nil {
		return refuse(err)
	}
	var parts map[string][]string
	if err := h.checkJSON(paths); err != nil {
		return refuse(err)
	}
	if decodeJSON(string(paths), &parts) != nil {
		return refuse(badRequest("The part map must be a JSON object of lists of paths."))
	}
	files := &uploads{budget: h.Admission.Files, maxBytes: h.MaxUpload}
	if err := files.replaceNulls(request.Variables, parts); err != nil {
		return refuse(err)
	}
	found, refused := h.resolve(ctx, request)
	if refused != nil {
		return nil, nil, refused
	}
	for _, path := range slices.Concat(slices.Collect(maps.Values(parts))...) {
		if !h.takesFile(found.Operations.ForName(request.OperationName), path) {
			return refuse(badRequest("The map has a path that is not a file of the operation."))
		}
	}
	operation, refused := h.prepare(ctx, found, request, http.MethodPost)
	if refused != nil {
		return nil, nil, refused
	}
	root := h.Documents.Schema.Query
	if operation.Operation.Operation == ast.Mutation {
		root = h.Documents.Schema.Mutation
	}
	for _, field := range graphql.CollectFields(operation.OperationContext, operation.Operation.SelectionSet, []string{root.Name}) {
		if err := h.Authorize(ctx, field.Definition); err != nil {
			return nil, nil, &response{errors: gqlerror.List{h.PresentError(ctx, err)}}
		}
	}
	return operation, files, nil
}

// takesFile reports whether the value at a path such as
// variables.input.images.0 is of type Upload.
func (h *Handler) takesFile(operation *ast.OperationDefinition, path string) bool {
	names := strings.Split(path, ".")
	if len(names) < 2 {
		return false
	}
	variable := operation.VariableDefinitions.ForName(names[1])
	if variable == nil {
		return false
	}
	at := variable.Type
	for _, name := range names[2:] {
		if at.Elem != nil {
			at = at.Elem
			continue
		}
		field := h.Documents.Schema.Types[at.NamedType].Fields.ForName(name)
		if field == nil {
			return false
		}
		at = field.Type
	}
	return at.NamedType == "Upload"
}
