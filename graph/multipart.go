package graph

import (
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"portfolio/internal/admission"
	"slices"
	"strconv"
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

// respondToUpload answers a request of the GraphQL multipart request
// specification: the operation, a map of where in its variables files belong,
// and the files, in this order. The files are read once it is known that the
// viewer may send them, and kept on disk until the request ends.
func (h *Handler) respondToUpload(ctx context.Context, w http.ResponseWriter, r *http.Request, left time.Duration) response {
	if isAnonymous(r) { // a browser sends these to anybody without asking first, but never with a token
		return failed(http.StatusUnauthorized, h.present(ctx, errUnauthenticated))
	}
	_, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	from := &progressReader{from: r.Body, connection: http.NewResponseController(w), timeout: h.options.StallTimeout}
	form := multipartForm{body: &io.LimitedReader{R: from}}
	form.parts = multipart.NewReader(form.body, options["boundary"])
	operations, failure := form.text("operations", maxBody, h.admission.Bodies)
	if failure != nil {
		return refused(failure)
	}
	defer operations.release()
	paths, failure := form.text("map", maxMap, h.admission.Bodies)
	if failure != nil {
		return refused(failure)
	}
	defer paths.release()

	preparing, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	var slot admission.Slot
	defer slot.Release()
	if err := slot.Move(preparing, h.admission.Lookups); err != nil {
		return h.unavailable(ctx, err)
	}
	operation, files, refusal := h.prepareUpload(preparing, operations.text, paths.text)
	if refusal != nil {
		return *refusal
	}
	slot.Release()
	defer files.close()
	if failure := form.files(files); failure != nil {
		return refused(failure)
	}
	_ = from.connection.SetWriteDeadline(time.Now().Add(h.options.UploadTimeout + h.options.StallTimeout))

	executing, cancel := context.WithTimeout(ctx, h.options.UploadTimeout)
	defer cancel()
	if err := slot.Move(executing, h.admission.Uploads); err != nil {
		return h.unavailable(ctx, err)
	}
	return h.execute(executing, operation, &slot)
}

// prepareUpload checks the operation before its files are read: the viewer
// must have the permissions of its fields, and the files must have their
// places in its variables.
func (h *Handler) prepareUpload(ctx context.Context, operations, paths []byte) (*operation, *uploads, *response) {
	refuse := func(failure *badParams) (*operation, *uploads, *response) {
		refusal := refused(failure)
		return nil, nil, &refusal
	}
	params, failure := h.options.Limits.jsonParams(operations)
	if failure != nil {
		return refuse(failure)
	}
	var parts map[string][]string
	if failure := h.options.Limits.checkJSON(paths); failure != nil {
		return refuse(failure)
	}
	if decode(string(paths), &parts) != nil {
		return refuse(badForm("The part map must be a JSON object of lists of paths."))
	}
	files := &uploads{budget: h.admission.Files, maxBytes: h.pictures.MaxBytes()}
	if failure := files.findPlaces(params.Variables, parts); failure != nil {
		return refuse(failure)
	}
	document, refusal := h.find(ctx, params)
	if refusal != nil {
		return nil, nil, refusal
	}
	for _, path := range slices.Concat(slices.Collect(maps.Values(parts))...) {
		if !h.takesFile(document.Operations.ForName(params.OperationName), path) {
			return refuse(badForm("The map has a path that is no file of the operation."))
		}
	}
	operation, refusal := h.prepare(ctx, document, params, http.MethodPost)
	if refusal != nil {
		return nil, nil, refusal
	}
	root := h.documents.schema.Query
	if operation.Operation.Operation == ast.Mutation {
		root = h.documents.schema.Mutation
	}
	for _, field := range graphql.CollectFields(operation.OperationContext, operation.Operation.SelectionSet, []string{root.Name}) {
		if err := checkRequires(ctx, field.Definition); err != nil {
			return nil, nil, &response{errors: gqlerror.List{h.present(ctx, err)}}
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
		field := h.documents.schema.Types[at.NamedType].Fields.ForName(name)
		if field == nil {
			return false
		}
		at = field.Type
	}
	return at.NamedType == "Upload"
}

// progressReader reads from a client as long as that sends on, however slowly.
type progressReader struct {
	from       io.Reader
	connection *http.ResponseController
	timeout    time.Duration // for the next chunk
	left       int           // bytes of the chunk
}

func (r *progressReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		r.left = chunk
		_ = r.connection.SetReadDeadline(time.Now().Add(r.timeout)) // a recorder in a test has none
	}
	n, err := r.from.Read(p)
	r.left -= n
	return n, err
}

func badForm(message string) *badParams {
	return &badParams{status: http.StatusBadRequest, message: message}
}

// uploads are the files of one request.
type uploads struct {
	budget   *admission.Budget
	maxBytes int64               // of each file
	waiting  map[string][]upload // places without a file yet, by the name of its part
	spooled  []*os.File
	taken    int64 // bytes of the budget
}

// upload stands in the variables for a file that is to come.
type upload struct{ *incoming }

type incoming struct {
	graphql.Upload
	path string
}

// findPlaces finds every path of the map in the variables, by the name of the
// part with the file. There must be null, and one file for it.
func (u *uploads) findPlaces(variables map[string]any, parts map[string][]string) *badParams {
	count := 0
	u.waiting = make(map[string][]upload, len(parts))
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		paths := parts[part]
		if count += max(1, len(paths)); count > maxUploads {
			return badForm("The map may have at most " + strconv.Itoa(maxUploads) + " files.")
		}
		if len(paths) == 0 {
			return badForm("The map has a part without a path.")
		}
		for _, path := range paths {
			set := findNull(variables, path)
			if set == nil {
				return badForm("The map has a path that is not null in the variables, or has it twice.")
			}
			place := upload{&incoming{path: path}}
			set(place) // no longer null: the next that asks for it is refused
			u.waiting[part] = append(u.waiting[part], place)
		}
	}
	return nil
}

func (u *uploads) close() {
	for _, file := range u.spooled {
		_ = file.Close()
	}
	u.budget.Give(u.taken)
}

// findNull finds the null at a path such as variables.input.images.0 and
// returns what replaces it, nil where there is none.
func findNull(variables map[string]any, path string) (set func(upload)) {
	var at any = map[string]any{"variables": variables}
	for name := range strings.SplitSeq(path, ".") {
		switch inside := at.(type) {
		case map[string]any:
			value, ok := inside[name]
			if !ok {
				return nil
			}
			at, set = value, func(place upload) { inside[name] = place }
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(inside) {
				return nil
			}
			at, set = inside[index], func(place upload) { inside[index] = place }
		default:
			return nil
		}
	}
	if at != nil {
		return nil
	}
	return set
}

// multipartForm reads part by part. The limit of body is set for each step:
// mime/multipart itself would take headers of 10 MB.
type multipartForm struct {
	body  *io.LimitedReader
	parts *multipart.Reader
}

// next is nil after the last part.
func (f multipartForm) next() (*multipart.Part, *badParams) {
	f.body.N = maxPartOverhead
	part, err := f.parts.NextRawPart()
	if err != nil && (err != io.EOF || f.body.N == 0) {
		return nil, badForm("The body is not well-formed multipart/form-data.")
	}
	return part, nil
}

func (f multipartForm) text(name string, limit int64, budget *admission.Budget) (*body, *badParams) {
	part, failure := f.next()
	if failure != nil {
		return nil, failure
	}
	if part == nil || part.FormName() != name {
		return nil, badForm("The parts must be operations, map and then the files; " + name + " is not in its place.")
	}
	f.body.N = limit + maxPartOverhead
	return readBody(part, "The part "+name, limit, budget)
}

// files reads every file that the map has, and no other.
func (f multipartForm) files(files *uploads) *badParams {
	for len(files.waiting) > 0 {
		part, failure := f.next()
		if failure != nil {
			return failure
		}
		if part == nil {
			return badForm("There are fewer parts than the map has.")
		}
		places, known := files.waiting[part.FormName()]
		if !known {
			return badForm("There is a part that the map does not have, or has only once.")
		}
		delete(files.waiting, part.FormName())
		f.body.N = files.maxBytes + maxPartOverhead
		file, size, failure := files.spool(part, places[0].path)
		if failure != nil {
			return failure
		}
		for _, place := range places {
			place.Upload = graphql.Upload{
				File: io.NewSectionReader(file, 0, size), Filename: part.FileName(), Size: size, ContentType: part.Header.Get("Content-Type"),
			}
		}
	}
	if part, failure := f.next(); part != nil || failure != nil {
		return badForm("There are more parts than the map has.")
	}
	return nil
}

// spool writes a file to disk. It loses its name before it has content, so that
// no more than an empty file is left behind if the process dies.
func (u *uploads) spool(part io.Reader, path string) (*os.File, int64, *badParams) {
	unavailable := &badParams{status: http.StatusServiceUnavailable, message: "The upload cannot be kept. Try again later.", code: CodeUnavailable}
	file, err := os.CreateTemp("", "upload-")
	if err != nil {
		return nil, 0, unavailable
	}
	u.spooled = append(u.spooled, file)
	if err := os.Remove(file.Name()); err != nil {
		return nil, 0, unavailable
	}
	for size := int64(0); ; {
		n, err := io.CopyN(file, part, chunk)
		size += n
		if _, ours := errors.AsType[*os.PathError](err); ours || !u.budget.Take(n) {
			return nil, 0, unavailable
		}
		u.taken += n
		switch {
		case size > u.maxBytes:
			return nil, 0, tooLarge(path, u.maxBytes)
		case errors.Is(err, io.EOF):
			return file, size, nil
		case err != nil:
			return nil, 0, readFailure(err, path)
		}
	}
}
