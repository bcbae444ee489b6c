package graph

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

const (
	multipartType   = "multipart/form-data"
	maxUploads      = 10       // of one request
	maxMap          = 16 << 10 // bytes
	maxPartOverhead = 16 << 10 // bytes: headers and what is read ahead

	uploadTimeout = 3 * time.Minute // for the files to come, and again for what is made of them
)

func isMultipart(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == multipartType
}

// multipartParams reads a request of the GraphQL multipart request
// specification: the operation, a map of where in its variables files belong,
// and the files, in this order. The files are put into the variables, and
// away when the request ends.
func (h *Handler) multipartParams(w http.ResponseWriter, r *http.Request) (*params, *badParams) {
	connection, now := http.NewResponseController(w), time.Now()
	_ = connection.SetReadDeadline(now.Add(uploadTimeout)) // a recorder in a test has none
	_ = connection.SetWriteDeadline(now.Add(2 * uploadTimeout))
	_, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body := &io.LimitedReader{R: r.Body}
	form := multipartForm{body, multipart.NewReader(body, options["boundary"])}
	operations, failure := form.text("operations", maxBody)
	if failure != nil {
		return nil, failure
	}
	params, failure := jsonParams(bytes.NewReader(operations))
	if failure != nil {
		return nil, failure
	}
	text, failure := form.text("map", maxMap)
	if failure != nil {
		return nil, failure
	}
	var paths map[string][]string
	if decode(string(text), &paths) != nil {
		return nil, badForm("The part map must be a JSON object of lists of paths.")
	}
	places, failure := findPlaces(params.Variables, paths)
	if failure != nil {
		return nil, failure
	}
	for len(places) > 0 {
		part, failure := form.next()
		if failure != nil {
			return nil, failure
		}
		if part == nil {
			return nil, badForm("There are fewer parts than the map has.")
		}
		waiting, known := places[part.FormName()]
		if !known {
			return nil, badForm("There is a part that the map does not have, or has only once.")
		}
		delete(places, part.FormName())
		upload, failure := form.spool(r.Context(), part, waiting[0].path, h.pictures.MaxBytes())
		if failure != nil {
			return nil, failure
		}
		for _, place := range waiting {
			place.set(graphql.Upload{
				File: io.NewSectionReader(upload, 0, upload.size), Filename: part.FileName(), Size: upload.size, ContentType: part.Header.Get("Content-Type"),
			})
		}
	}
	if part, failure := form.next(); part != nil || failure != nil {
		return nil, badForm("There are more parts than the map has.")
	}
	return params, nil
}

func badForm(message string) *badParams {
	return &badParams{status: http.StatusBadRequest, message: message}
}

// place is where in the variables a file belongs.
type place struct {
	path string
	set  func(graphql.Upload)
}

// findPlaces finds every path of the map in the variables, by the name of the
// part with the file. There must be null, and one file for it.
func findPlaces(variables map[string]any, paths map[string][]string) (map[string][]place, *badParams) {
	places, count := map[string][]place{}, 0
	for _, part := range slices.Sorted(maps.Keys(paths)) {
		if count += max(1, len(paths[part])); count > maxUploads {
			return nil, badForm("The map may have at most " + strconv.Itoa(maxUploads) + " files.")
		}
		if len(paths[part]) == 0 {
			return nil, badForm("The map has a part without a path.")
		}
		for _, path := range paths[part] {
			set := findNull(variables, path)
			if set == nil {
				return nil, badForm("The map has a path that is not null in the variables, or has it twice.")
			}
			set(graphql.Upload{}) // no longer null: the next that asks for it is refused
			places[part] = append(places[part], place{path, set})
		}
	}
	return places, nil
}

// findNull finds the null at a path such as variables.input.images.0 and
// returns what replaces it, nil where there is none.
func findNull(variables map[string]any, path string) (set func(graphql.Upload)) {
	var at any = map[string]any{"variables": variables}
	for name := range strings.SplitSeq(path, ".") {
		switch inside := at.(type) {
		case map[string]any:
			value, ok := inside[name]
			if !ok {
				return nil
			}
			at, set = value, func(upload graphql.Upload) { inside[name] = upload }
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(inside) {
				return nil
			}
			at, set = inside[index], func(upload graphql.Upload) { inside[index] = upload }
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

func (f multipartForm) text(name string, limit int64) ([]byte, *badParams) {
	part, failure := f.next()
	if failure != nil {
		return nil, failure
	}
	if part == nil || part.FormName() != name {
		return nil, badForm("The parts must be operations, map and then the files; " + name + " is not in its place.")
	}
	f.body.N = limit + maxPartOverhead
	text, err := io.ReadAll(io.LimitReader(part, limit+1))
	switch {
	case int64(len(text)) > limit:
		return nil, tooLarge("The part "+name, limit)
	case err != nil:
		return nil, badForm("The part " + name + " is cut off.")
	}
	return text, nil
}

func tooLarge(what string, limit int64) *badParams {
	return &badParams{status: http.StatusRequestEntityTooLarge, message: what + " may have at most " + strconv.FormatInt(limit, 10) + " bytes."}
}

// spooled is an uploaded file.
type spooled struct {
	*os.File
	size int64
}

// spool keeps a file on disk until the request ends. It loses its name before
// it has content, so that no more than an empty file is left behind if the
// process dies.
func (f multipartForm) spool(ctx context.Context, part *multipart.Part, path string, limit int64) (*spooled, *badParams) {
	unavailable := &badParams{status: http.StatusServiceUnavailable, message: "The upload cannot be kept. Try again later.", code: CodeUnavailable}
	file, err := os.CreateTemp("", "upload-")
	if err != nil {
		return nil, unavailable
	}
	context.AfterFunc(ctx, func() { _ = file.Close() })
	if err := os.Remove(file.Name()); err != nil {
		return nil, unavailable
	}
	f.body.N = limit + maxPartOverhead
	size, err := io.Copy(file, io.LimitReader(part, limit+1))
	if _, ours := errors.AsType[*os.PathError](err); ours {
		return nil, unavailable
	}
	switch {
	case size > limit:
		return nil, tooLarge(path, limit)
	case err != nil:
		return nil, badForm(path + " is cut off.")
	}
	return &spooled{file, size}, nil
}
