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
	"os"
	"slices"
	"strconv"
	"strings"

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

func readParams(w http.ResponseWriter, r *http.Request) (*params, *badParams) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return queryParams(r)
	case http.MethodPost:
		return bodyParams(w, r)
	}
	return nil, &badParams{http.StatusMethodNotAllowed, "Send GET or POST.", "GET, HEAD, POST", ""}
}

func queryParams(r *http.Request) (*params, *badParams) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &badParams{status: http.StatusBadRequest, message: "The query string is malformed."}
	}
	read := &params{
		RawParams:  graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")},
		documentID: values.Get("documentId"),
	}
	for name, into := range map[string]*map[string]any{"variables": &read.Variables, "extensions": &read.Extensions} {
		if text := values.Get(name); text != "" && decode(text, into) != nil {
			return nil, &badParams{status: http.StatusBadRequest, message: "The parameter " + name + " must be a JSON object."}
		}
	}
	return checked(read)
}

// bodyParams takes no type that a browser sends from a foreign page without
// asking first: nobody's form runs a mutation.
func bodyParams(w http.ResponseWriter, r *http.Request) (*params, *badParams) {
	mediaType, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := options["charset"]
	if err != nil || mediaType != jsonType || charset != "" && !strings.EqualFold(charset, "utf-8") || r.Header.Get("Content-Encoding") != "" {
		return nil, &badParams{status: http.StatusUnsupportedMediaType, message: "Send application/json in UTF-8, not compressed."}
	}
	return jsonParams(http.MaxBytesReader(w, r.Body, maxBody))
}

// jsonParams reads the JSON of one operation.
func jsonParams(text io.Reader) (*params, *badParams) {
	read := &params{}
	err := read.decode(text)
	if err == nil {
		return checked(read)
	}
	if limit, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &badParams{status: http.StatusRequestEntityTooLarge, message: "The body may hold at most " + strconv.FormatInt(limit.Limit, 10) + " bytes."}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &badParams{status: http.StatusRequestTimeout, message: "The body took too long."}
	}
	return nil, &badParams{status: http.StatusBadRequest, message: "The body must be one JSON object with a query, and may have operationName, variables and extensions."}
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
	var newer, older preference
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
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

// reply writes the answer to one request.
type reply struct {
	w         http.ResponseWriter
	mediaType string
}

// fail answers a request of which nothing was executed.
func (r reply) fail(status int, err *gqlerror.Error) {
	switch status {
	case http.StatusUnauthorized:
		r.w.Header().Set("WWW-Authenticate", "Token")
	case http.StatusServiceUnavailable:
		r.w.Header().Set("Retry-After", "1")
	}
	r.write(status, gqlerror.List{err}, nil)
}

// requestErrors answers a document that could not be executed. Clients of
// plain JSON take any other status than 200 for a fault of the network.
func (r reply) requestErrors(errs gqlerror.List) {
	status := http.StatusOK
	if r.mediaType == responseJSONType {
		status = http.StatusBadRequest
	}
	r.write(status, errs, nil)
}

func (r reply) result(response *graphql.Response) {
	data := response.Data
	if data == nil {
		data = []byte("null")
	}
	r.write(http.StatusOK, response.Errors, data)
}

// cacheable writes the result of a query that was sent by GET. Caches keep it,
// and ask each time whether it is still so.
func (r reply) cacheable(response *graphql.Response, personal bool, request *http.Request) {
	if len(response.Errors) > 0 {
		r.result(response)
		return
	}
	scope := "public"
	if personal {
		scope = "private"
	}
	hash := sha256.Sum256(response.Data)
	tag := `W/"` + hex.EncodeToString(hash[:16]) + `"`
	r.w.Header().Set("Cache-Control", scope+", no-cache")
	r.w.Header().Set("ETag", tag)
	if matches(request.Header.Values("If-None-Match"), tag) {
		r.w.WriteHeader(http.StatusNotModified)
		return
	}
	r.result(response)
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

func (r reply) write(status int, errs gqlerror.List, data []byte) {
	var before bytes.Buffer // all but the data, which may be large
	before.WriteByte('{')
	if len(errs) > 0 {
		before.WriteString(`"errors":`)
		encoder := json.NewEncoder(&before)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(errs[:min(len(errs), maxErrors)]); err != nil { // a path or extension that has no JSON form: there is none
			panic(err)
		}
		before.Truncate(before.Len() - 1) // the encoder ends the line
		if data != nil {
			before.WriteByte(',')
		}
	}
	if data != nil {
		before.WriteString(`"data":`)
	}
	header := r.w.Header()
	header.Set("Content-Type", r.mediaType+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(before.Len()+len(data)+len("}")))
	r.w.WriteHeader(status)
	_, _ = r.w.Write(before.Bytes())
	_, _ = r.w.Write(data)
	_, _ = io.WriteString(r.w, "}")
}
