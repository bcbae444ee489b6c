package graphqlhttp

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
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
	"portfolio/internal/document"
)

// request holds the parameters of a GraphQL request.
type request struct {
	graphql.RawParams
	documentID string        // of a persisted document
	hash       document.Hash // Apollo's, of a document that the server may know
	can        accepted      // what its client can receive
}

var (
	errNotJSON   = newRequestError(http.StatusNotAcceptable, "Queries and mutations are answered in application/graphql-response+json or application/json.")
	errNotEvents = newRequestError(http.StatusNotAcceptable, "Subscriptions are sent in text/event-stream or over WebSocket.")
)

var errNotUnicode = badRequest("The request must be UTF-8, without unpaired surrogates.")

// refuse returns an error if the operation must not be executed by the method, or its
// result is not what the client accepts.
func (r *request) refuse(named *ast.OperationDefinition, method string) *requestError {
	switch {
	case named.Operation == ast.Subscription && (!r.can.events || method == http.MethodHead):
		return errNotEvents
	case named.Operation != ast.Subscription && r.can.events && r.can.json == "":
		return errNotJSON
	case named.Operation == ast.Mutation && method != http.MethodPost:
		return methodNotAllowed("Only queries and subscriptions may be sent by GET.", http.MethodPost)
	}
	return nil
}

// encode returns the request as JSON, without its extensions. It has the text of a document
// that only its hash names, which may be forgotten.
func (r *request) encode(found *document.Document) []byte {
	fields := map[string]any{"query": r.Query, "operationName": r.OperationName}
	if len(r.Variables) > 0 {
		fields["variables"] = r.Variables
	}
	switch {
	case r.Query != "":
	case r.documentID != "":
		fields["documentId"] = r.documentID
	default:
		fields["query"] = found.Text
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	return text
}

// requestError is a mistake in the HTTP request: there is nothing to execute.
type requestError struct {
	status int
	err    *gqlerror.Error
	allow  string // methods, for http.StatusMethodNotAllowed
}

func newRequestError(status int, message string) *requestError {
	return &requestError{status: status, err: apierror.New(apierror.BadUserInput, message)}
}

func badRequest(message string) *requestError {
	return newRequestError(http.StatusBadRequest, message)
}

// fromQuery reads the request of a query string.
func (h *Handler) fromQuery(query string) (*request, *requestError) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("The query string is malformed.")
	}
	for _, name := range []string{"query", "documentId", "operationName", "variables", "extensions"} {
		if len(values[name]) > 1 {
			return nil, badRequest("The parameter " + name + " is repeated.")
		}
		if !utf8.ValidString(values.Get(name)) {
			return nil, errNotUnicode
		}
	}
	read := &request{
		RawParams:  graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")},
		documentID: values.Get("documentId"),
	}
	if err := h.decodeParameter(values, "variables", &read.Variables); err != nil {
		return nil, err
	}
	if err := h.decodeParameter(values, "extensions", &read.Extensions); err != nil {
		return nil, err
	}
	return validate(read)
}

// decodeParameter decodes the JSON object of a parameter, if there is one.
func (h *Handler) decodeParameter(values url.Values, name string, into *map[string]any) *requestError {
	text := values.Get(name)
	if text == "" {
		return nil
	}
	if err := h.checkJSON([]byte(text)); err != nil {
		return err
	}
	if decodeJSON(text, into) != nil {
		return badRequest("The parameter " + name + " must be a JSON object.")
	}
	return nil
}

// checkContentType accepts no type that browsers send from other sites without a
// CORS preflight, so cross-site forms cannot run mutations.
func checkContentType(header http.Header) *requestError {
	contentType := header.Get("Content-Type")
	if contentType == jsonType && header.Get("Content-Encoding") == "" { // of most clients
		return nil
	}
	mediaType, options, err := mime.ParseMediaType(contentType)
	charset := options["charset"]
	if err != nil || mediaType != jsonType || charset != "" && !strings.EqualFold(charset, "utf-8") || header.Get("Content-Encoding") != "" {
		return newRequestError(http.StatusUnsupportedMediaType, "Send application/json in UTF-8, not compressed.")
	}
	return nil
}

// fromJSON reads the request of a JSON object.
func (h *Handler) fromJSON(text []byte) (*request, *requestError) {
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("[")) {
		return nil, badRequest("Batching is not supported. Send one operation per request.")
	}
	if err := h.checkJSON(text); err != nil {
		return nil, err
	}
	read := &request{}
	if read.decode(bytes.NewReader(text)) != nil {
		return nil, badRequest("The request must be one JSON object with a query, and may have operationName, variables and extensions.")
	}
	return validate(read)
}

// decode reads one JSON object. The names of its members are case-sensitive, and
// known ones must not be repeated, so that a proxy and this server cannot disagree
// about the request.
func (r *request) decode(text io.Reader) error {
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
		into := r.member(name)
		switch {
		case into == nil:
			into = &json.RawMessage{} // unknown members are ignored
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
	return expectEOF(decoder)
}

func (r *request) member(name json.Token) any {
	switch name {
	case "query":
		return &r.Query
	case "documentId":
		return &r.documentID
	case "operationName":
		return &r.OperationName
	case "variables":
		return &r.Variables
	case "extensions":
		return &r.Extensions
	}
	return nil
}

var errNotOneObject = errors.New("not one JSON object")

// validate reads Apollo's hash and returns an error if the request names no
// document.
func validate(read *request) (*request, *requestError) {
	persisted, _ := read.Extensions["persistedQuery"].(map[string]any)
	text, hashed := persisted["sha256Hash"].(string)
	if hashed {
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != len(read.hash) {
			return nil, badRequest("extensions.persistedQuery.sha256Hash must be a SHA-256 hash in hexadecimal digits.")
		}
		copy(read.hash[:], hash)
		if read.Query != "" && sha256.Sum256([]byte(read.Query)) != read.hash {
			return nil, badRequest("extensions.persistedQuery.sha256Hash is not the hash of the query.")
		}
	}
	if read.Query == "" && read.documentID == "" && !hashed {
		return nil, badRequest("The request has no query.")
	}
	return read, nil
}

// decodeJSON reads exactly one JSON value. Numbers keep their text.
func decodeJSON(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	return expectEOF(decoder)
}

// expectEOF returns an error unless the input is exhausted.
func expectEOF(decoder *json.Decoder) error {
	_, err := decoder.Token()
	if err == io.EOF {
		return nil
	}
	return cmp.Or(err, errNotOneObject)
}

// checkJSON returns an error if a JSON text is not Unicode, or has too many values or
// levels, before memory is allocated for them. It counts at least the values of the text,
// and does not check its syntax.
func (h *Handler) checkJSON(text []byte) *requestError {
	if !document.IsUnicode(text) {
		return errNotUnicode
	}
	values, level := 1, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i+1)
		case '{', '[':
			values++
			level++
		case '}', ']':
			level--
		case ',':
			values++
		}
		if values > h.MaxValues {
			return badRequest("The variables and extensions may have at most " + strconv.Itoa(h.MaxValues) + " values.")
		}
		if level > maxNesting {
			return badRequest("The variables and extensions may have at most " + strconv.Itoa(maxNesting) + " levels.")
		}
	}
	return nil
}

// endOfString returns the index of the quote that ends a JSON string.
func endOfString(text []byte, from int) int {
	for from < len(text) && text[from] != '"' {
		if text[from] == '\\' {
			from++ // what is escaped
		}
		from++
	}
	return from
}
