package graphqlhttp

import (
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
	"portfolio/internal/document"
)

// progressReader reads a request body and extends the read deadline before each
// chunk.
type progressReader struct {
	body       io.Reader
	connection *http.ResponseController
	timeout    time.Duration // for the next chunk
	deadline   time.Time     // for all chunks
	remaining  int           // bytes of the chunk
}

func (r *progressReader) Read(p []byte) (int, error) {
	if r.remaining <= 0 {
		r.remaining = chunk
		deadline := time.Now().Add(r.timeout)
		if deadline.After(r.deadline) {
			deadline = r.deadline
		}
		_ = r.connection.SetReadDeadline(deadline) // a recorder in a test has none
	}
	n, err := r.body.Read(p)
	r.remaining -= n
	return n, err
}

// fileSet holds the files of one request.
type fileSet struct {
	budget   *admission.Budget
	maxBytes int64             // of each file
	unread   map[string][]file // files to read, by the encoded name of the part
	temps    []*os.File
	reserved int64 // bytes of the budget
}

// file is a value of the variables. readFiles sets its content once the variables are checked.
type file struct{ *upload }

type upload struct {
	content graphql.Upload
	path    string // in the request, such as variables.input.image
	field   []any  // path in the arguments
}

// Upload returns the file for the resolver.
func (f file) Upload() graphql.Upload { return f.content }

// replaceNulls puts a file at every path of the map, each of which must be null
// in the variables.
func (s *fileSet) replaceNulls(variables map[string]any, parts map[string][]string) *requestError {
	count := 0
	s.unread = make(map[string][]file, len(parts))
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		paths := parts[part]
		if count += max(1, len(paths)); count > maxUploads {
			return badRequest("The map may have at most " + strconv.Itoa(maxUploads) + " files.")
		}
		if len(paths) == 0 {
			return badRequest("The map has a part without a path.")
		}
		for _, path := range paths {
			set := findNull(variables, path)
			if set == nil {
				return badRequest("The map has a path that is not null in the variables, or has it twice.")
			}
			value := file{&upload{path: path}}
			set(value)
			name := encodeName(part)
			s.unread[name] = append(s.unread[name], value)
		}
	}
	return nil
}

// setFields sets the paths of the files in the arguments of the operation.
func (s *fileSet) setFields(operation *ast.OperationDefinition) {
	for _, files := range s.unread {
		for _, file := range files {
			names := strings.Split(file.path, ".")[1:]
			var subpath []any
			for _, name := range names[1:] {
				if index, err := strconv.Atoi(name); err == nil {
					subpath = append(subpath, index)
				} else {
					subpath = append(subpath, name)
				}
			}
			file.field = document.FieldPath(operation, names[0], subpath...)
		}
	}
}

func (s *fileSet) close() {
	for _, file := range s.temps {
		_ = file.Close()
	}
	s.budget.Release(s.reserved)
}

// findNull returns a function that replaces the null at a path such as
// variables.input.images.0, or nil if there is none.
func findNull(variables map[string]any, path string) (set func(file)) {
	var current any = map[string]any{"variables": variables}
	for name := range strings.SplitSeq(path, ".") {
		switch parent := current.(type) {
		case map[string]any:
			value, ok := parent[name]
			if !ok {
				return nil
			}
			current, set = value, func(value file) { parent[name] = value }
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(parent) {
				return nil
			}
			current, set = parent[index], func(value file) { parent[index] = value }
		default:
			return nil
		}
	}
	if current != nil {
		return nil
	}
	return set
}

// multipartReader reads a body part by part. It limits the bytes of each part and of its
// headers, because mime/multipart accepts 10 MB of headers.
type multipartReader struct {
	body  *io.LimitedReader
	parts *multipart.Reader
}

// next returns the next part, or nil after the last.
func (f multipartReader) next() (*multipart.Part, *requestError) {
	f.body.N = maxPartOverhead
	part, err := f.parts.NextRawPart()
	if err != nil && (err != io.EOF || f.body.N == 0) {
		return nil, badRequest("The body is not well-formed multipart/form-data.")
	}
	return part, nil
}

func (f multipartReader) text(name string, limit int64, budget *admission.Budget) (*body, *requestError) {
	part, err := f.next()
	if err != nil {
		return nil, err
	}
	if part == nil || part.FormName() != name {
		return nil, badRequest("The parts must be operations, map and then the files, but " + name + " is missing.")
	}
	f.body.N = limit + maxPartOverhead
	return readBody(part, "The part "+name, limit, budget)
}

// readFiles reads the files of the map.
func (f multipartReader) readFiles(set *fileSet) *requestError {
	for len(set.unread) > 0 {
		part, err := f.next()
		if err != nil {
			return err
		}
		if part == nil {
			return badRequest("A file of the map is missing.")
		}
		name, filename := namesOf(part)
		targets, ok := set.unread[name]
		if !ok {
			return badRequest("Unexpected part: its name is not in the map, or it was already sent.")
		}
		delete(set.unread, name)
		f.body.N = set.maxBytes + maxPartOverhead
		temp, size, err := set.saveTemp(part, targets[0])
		if err != nil {
			return err
		}
		for _, target := range targets {
			target.content = graphql.Upload{
				File: io.NewSectionReader(temp, 0, size), Filename: filename, Size: size, ContentType: part.Header.Get("Content-Type"),
			}
		}
	}
	if part, err := f.next(); part != nil || err != nil {
		return badRequest("Unexpected part after the files of the map.")
	}
	return nil
}

// encodeName encodes the name of a part by the multipart/form-data encoding algorithm of the HTML
// standard, as browsers do. It does not change an encoded name.
func encodeName(name string) string { return nameEncoder.Replace(name) }

var (
	nameEncoder = strings.NewReplacer("\r\n", "%0D%0A", "\r", "%0D%0A", "\n", "%0D%0A", `"`, "%22")
	nameDecoder = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%22", `"`)
)

// browserDisposition matches the header Content-Disposition of a file from a browser. Unlike RFC
// 2183, browsers never escape with a backslash.
var browserDisposition = regexp.MustCompile(`^form-data; name="([^"]*)"; filename="([^"]*)"$`)

// namesOf returns the encoded name of a part, and the name of its file.
func namesOf(part *multipart.Part) (name, filename string) {
	match := browserDisposition.FindStringSubmatch(part.Header.Get("Content-Disposition"))
	if match == nil {
		return encodeName(part.FormName()), part.FileName()
	}
	return match[1], nameDecoder.Replace(match[2])
}

// saveTemp writes a part to a temporary file. The file is unlinked before it is
// written, so a crash leaves at most an empty file.
func (s *fileSet) saveTemp(part io.Reader, target file) (*os.File, int64, *requestError) {
	unavailable := &requestError{status: http.StatusServiceUnavailable, err: apierror.New(apierror.Unavailable, "The upload could not be stored. Try again later.")}
	temp, err := os.CreateTemp("", "upload-")
	if err != nil {
		return nil, 0, unavailable
	}
	s.temps = append(s.temps, temp)
	if err := os.Remove(temp.Name()); err != nil {
		return nil, 0, unavailable
	}
	for size := int64(0); ; {
		n, err := io.CopyN(temp, part, chunk)
		size += n
		if _, isWriteError := errors.AsType[*os.PathError](err); isWriteError || !s.budget.Reserve(n) {
			return nil, 0, unavailable
		}
		s.reserved += n
		switch {
		case size > s.maxBytes:
			err := apierror.Invalid("must have at most "+strconv.FormatInt(s.maxBytes, 10)+" bytes", target.field...).Present(&gqlerror.Error{})
			return nil, 0, &requestError{status: http.StatusRequestEntityTooLarge, err: err}
		case errors.Is(err, io.EOF):
			return temp, size, nil
		case err != nil:
			return nil, 0, readError(err, target.path)
		}
	}
}
