package graph

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"portfolio/internal/admission"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// badParams is a request of which no operation can be read.
type badParams struct {
	status  int
	message string
	allow   string // methods, where the method is the fault
	code    Code   // BAD_USER_INPUT if empty
}

// params are what a request asks for.
type params struct {
	graphql.RawParams
	documentID string   // of a persisted document
	hash       textHash // Apollo's, of a text that the server may know
}

// queryParams reads the query string of a GET.
func (l Limits) queryParams(query string) (*params, *badParams) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, &badParams{status: http.StatusBadRequest, message: "The query string is malformed."}
	}
	read := &params{
		RawParams:  graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")},
		documentID: values.Get("documentId"),
	}
	for name, into := range map[string]*map[string]any{"variables": &read.Variables, "extensions": &read.Extensions} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		if failure := l.checkJSON([]byte(text)); failure != nil {
			return nil, failure
		}
		if decode(text, into) != nil {
			return nil, &badParams{status: http.StatusBadRequest, message: "The parameter " + name + " must be a JSON object."}
		}
	}
	return checked(read)
}

// checkJSONType takes no type that a browser sends from a foreign page without
// asking first: nobody's form runs a mutation.
func checkJSONType(header http.Header) *badParams {
	mediaType, options, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset := options["charset"]
	if err != nil || mediaType != jsonType || charset != "" && !strings.EqualFold(charset, "utf-8") || header.Get("Content-Encoding") != "" {
		return &badParams{status: http.StatusUnsupportedMediaType, message: "Send application/json in UTF-8, not compressed."}
	}
	return nil
}

// jsonParams reads the JSON of one operation.
func (l Limits) jsonParams(text []byte) (*params, *badParams) {
	if failure := l.checkJSON(text); failure != nil {
		return nil, failure
	}
	read := &params{}
	if read.decode(bytes.NewReader(text)) != nil {
		return nil, &badParams{status: http.StatusBadRequest, message: "The body must be one JSON object with a query, and may have operationName, variables and extensions."}
	}
	return checked(read)
}

// decode reads one JSON object. Its names count as they are written, and once:
// what stands in front of this server must not read another request than it.
func (p *params) decode(text io.Reader) error {
	decoder := json.NewDecoder(text)
	decoder.UseNumber()
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return cmp.Or(err, errNotOneObject)
	}
	var seen []json.Token
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		into := p.member(name)
		switch {
		case into == nil:
			into = &json.RawMessage{} // means nothing here
		case slices.Contains(seen, name):
			return errNotOneObject
		default:
			seen = append(seen, name)
		}
		if err := decoder.Decode(into); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil { // the end of the object
		return err
	}
	return ended(decoder)
}

func (p *params) member(name json.Token) any {
	switch name {
	case "query":
		return &p.Query
	case "documentId":
		return &p.documentID
	case "operationName":
		return &p.OperationName
	case "variables":
		return &p.Variables
	case "extensions":
		return &p.Extensions
	}
	return nil
}

var errNotOneObject = errors.New("not one JSON object")

// checked reads Apollo's hash, and refuses what names no document.
func checked(read *params) (*params, *badParams) {
	persisted, _ := read.Extensions["persistedQuery"].(map[string]any)
	text, hashed := persisted["sha256Hash"].(string)
	if hashed {
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != len(read.hash) {
			return nil, &badParams{status: http.StatusBadRequest, message: "extensions.persistedQuery.sha256Hash must be a SHA-256 hash in hexadecimal digits."}
		}
		copy(read.hash[:], hash)
		if read.Query != "" && sha256.Sum256([]byte(read.Query)) != read.hash {
			return nil, &badParams{status: http.StatusBadRequest, message: "extensions.persistedQuery.sha256Hash is not the hash of the query."}
		}
	}
	if read.Query == "" && read.documentID == "" && !hashed {
		return nil, &badParams{status: http.StatusBadRequest, message: "There is no query."}
	}
	return read, nil
}

// decode reads exactly one JSON value, with numbers as they are written.
func decode(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	return ended(decoder)
}

// ended is nil where nothing follows.
func ended(decoder *json.Decoder) error {
	_, err := decoder.Token()
	if err == io.EOF {
		return nil
	}
	return cmp.Or(err, errNotOneObject)
}

// negotiate chooses between the two media types of GraphQL over HTTP: each
// weighs as the most specific range says that it matches (RFC 9110 section
// 12.5.1). Between equals the newer one is taken where it is named, the older
// one where the client does not care. It is empty where neither is accepted.
func negotiate(accept []string) string {
	if len(accept) == 0 {
		return jsonType
	}
	ranges := strings.Join(accept, ",")
	if len(ranges) > maxAccept {
		return ""
	}
	var newer, older preference
	for part := range strings.SplitSeq(ranges, ",") {
		name, options, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, err := strconv.ParseFloat(options["q"], 64); err == nil {
			weight = q
		}
		switch name {
		case responseJSONType:
			newer.match(named, weight)
		case jsonType:
			older.match(named, weight)
		case "application/*":
			newer.match(subtypes, weight)
			older.match(subtypes, weight)
		case "*/*":
			newer.match(types, weight)
			older.match(types, weight)
		}
	}
	switch {
	case newer.weight <= 0 && older.weight <= 0:
		return ""
	case newer.weight > older.weight, newer.weight == older.weight && newer.specific == named:
		return responseJSONType
	}
	return jsonType
}

// maxAccept is how long an Accept header may be, in bytes: as long as the
// legacy system's server takes a header to be.
const maxAccept = 8190

const (
	types = 1 + iota // */*
	subtypes
	named
)

// preference is the weight that the most specific range gives.
type preference struct {
	specific int
	weight   float64
}

func (p *preference) match(specific int, weight float64) {
	if specific >= p.specific {
		*p = preference{specific, weight}
	}
}

// response is what a request is answered with.
type response struct {
	status     int // of an operation's result 0
	errors     gqlerror.List
	data       []byte        // nil for none
	allow      string        // methods, where the method is the fault
	retryAfter time.Duration // for statuses 429 and 503
	cache      string        // Cache-Control of a result that may be kept, empty for no other
	meter      *meter        // of an operation's result, nil where none was executed
	timeout    time.Duration // for a client to read the next chunk
}

// failed is the response to a request of which nothing was executed.
func failed(status int, err *gqlerror.Error) response {
	return response{status: status, errors: gqlerror.List{err}, retryAfter: time.Second}
}

// refused is the response to a request of which no operation can be read.
func refused(failure *badParams) response {
	refusal := failed(failure.status, coded(&gqlerror.Error{}, cmp.Or(failure.code, CodeBadUserInput), failure.message))
	refusal.allow = failure.allow
	return refusal
}

// isUnavailable reports whether an error says that the same request may
// succeed later.
func isUnavailable(err *gqlerror.Error) bool { return err.Extensions["code"] == CodeUnavailable }

// send writes a response in the media type that was negotiated.
func (r response) send(w http.ResponseWriter, request *http.Request, mediaType string) {
	header := w.Header()
	status := r.status
	if status == 0 {
		status = http.StatusOK
		switch {
		case slices.ContainsFunc(r.errors, isUnavailable):
			status, r.retryAfter = http.StatusServiceUnavailable, time.Second
		case r.data == nil && mediaType == responseJSONType: // clients of plain JSON take any other status for a fault of the network
			status = http.StatusBadRequest
		}
	}
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Token")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		header.Set("Retry-After", admission.Seconds(r.retryAfter))
	}
	if r.allow != "" {
		header.Set("Allow", r.allow)
	}
	if r.cache != "" && len(r.errors) == 0 {
		hash := sha256.Sum256(r.data)
		tag := `W/"` + hex.EncodeToString(hash[:16]) + `"`
		header.Set("Cache-Control", r.cache)
		header.Set("ETag", tag)
		if matches(request.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	var before bytes.Buffer // all but the data, which may be large
	before.WriteByte('{')
	if len(r.errors) > 0 {
		before.WriteString(`"errors":`)
		encoder := json.NewEncoder(&before)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(r.errors[:min(len(r.errors), maxErrors)]); err != nil { // a path or extension that has no JSON form: there is none
			panic(err)
		}
		before.Truncate(before.Len() - 1) // the encoder ends the line
		if r.data != nil {
			before.WriteByte(',')
		}
	}
	if r.data != nil {
		before.WriteString(`"data":`)
	}
	header.Set("Content-Type", mediaType+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(before.Len()+len(r.data)+len("}")))
	w.WriteHeader(status)
	_, _ = w.Write(before.Bytes())
	writeChunks(w, r.data, r.timeout)
	_, _ = io.WriteString(w, "}")
}

const chunk = 64 << 10 // bytes

// writeChunks takes as long as the client reads on, each chunk within timeout.
// The connection of one that stops ends.
func writeChunks(w http.ResponseWriter, data []byte, timeout time.Duration) {
	for connection := http.NewResponseController(w); len(data) > chunk; data = data[chunk:] {
		_ = connection.SetWriteDeadline(time.Now().Add(timeout)) // a recorder in a test has none
		if _, err := w.Write(data[:chunk]); err != nil {
			return
		}
	}
	_, _ = w.Write(data)
}

// matches is the weak comparison of If-None-Match (RFC 9110 section 13.1.2).
func matches(header []string, tag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(header, ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
