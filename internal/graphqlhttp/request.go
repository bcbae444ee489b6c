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
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/internal/apierror"
	"portfolio/internal/document"
)

// request holds the parameters of a GraphQL request.
type request struct {
	graphql.RawParams
	documentID string        // of a persisted document
	hash       document.Hash // Apollo's, of a document that the server may know
}

var (
	errNotJSON   = newRequestError(http.StatusNotAcceptable, "Queries and mutations are answered in application/graphql-response+json or application/json.")
	errNotEvents = newRequestError(http.StatusNotAcceptable, "Subscriptions are sent in text/event-stream or over WebSocket.")
)

var errNotUnicode = badRequest("The request must be UTF-8, without unpaired surrogates.")

// subscription returns the request as JSON, with the coerced variables of its operation and
// without extensions. If only its hash names the document, the text of the document is
// included, since the server may forget the hash.
func (r *request) subscription(op *operation) string {
	fields := map[string]any{"query": r.Query, "operationName": op.Operation.Name}
	if len(op.Variables) > 0 {
		fields["variables"] = op.Variables
	}
	switch {
	case r.Query != "":
	case r.documentID != "":
		fields["documentId"] = r.documentID
	default:
		fields["query"] = op.document.Text
	}
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	return string(text)
}

// requestError is the error of a request that cannot be executed, with its HTTP status.
type requestError struct {
	status int
	err    *gqlerror.Error
	allow  string // methods, for http.StatusMethodNotAllowed
}

// Error implements error.
func (e *requestError) Error() string { return e.err.Message }

func newRequestError(status int, message string) *requestError {
	return &requestError{status: status, err: apierror.New(apierror.BadUserInput, message)}
}

func badRequest(message string) *requestError {
	return newRequestError(http.StatusBadRequest, message)
}

// parseQuery parses a query string. Its JSON may have maxValues values.
func parseQuery(query string, maxValues int) (*request, *requestError) {
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
	parsed := &request{
		RawParams:  graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")},
		documentID: values.Get("documentId"),
	}
	if err := decodeParameter(values, "variables", &parsed.Variables, maxValues); err != nil {
		return nil, err
	}
	if err := decodeParameter(values, "extensions", &parsed.Extensions, maxValues); err != nil {
		return nil, err
	}
	return parsed.validate()
}

// decodeParameter decodes the JSON object of a parameter, if there is one.
func decodeParameter(values url.Values, name string, object *map[string]any, maxValues int) *requestError {
	text := values.Get(name)
	if text == "" {
		return nil
	}
	if err := checkJSON([]byte(text), maxValues); err != nil {
		return err
	}
	if decodeJSON(text, object) != nil {
		return badRequest("The parameter " + name + " must be a JSON object.")
	}
	return nil
}

// checkContentType accepts no type that browsers send from other sites without a
// CORS preflight, so cross-site forms cannot run mutations.
func checkContentType(header http.Header) *requestError {
	contentType := header.Get("Content-Type")
	if contentType == jsonType && header.Get("Content-Encoding") == "" { // the value of most clients
		return nil
	}
	mediaType, options, err := mime.ParseMediaType(contentType)
	charset := options["charset"]
	if err != nil || mediaType != jsonType || charset != "" && !strings.EqualFold(charset, "utf-8") || header.Get("Content-Encoding") != "" {
		return newRequestError(http.StatusUnsupportedMediaType, "Send application/json in UTF-8, not compressed.")
	}
	return nil
}

// parseJSON parses a JSON object of at most maxValues values.
func parseJSON(text []byte, maxValues int) (*request, *requestError) {
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("[")) {
		return nil, badRequest("Batching is not supported. Send one operation per request.")
	}
	if err := checkJSON(text, maxValues); err != nil {
		return nil, err
	}
	parsed := &request{}
	if parsed.decode(bytes.NewReader(text)) != nil {
		return nil, badRequest("The request must be one JSON object with a query, and may have operationName, variables and extensions.")
	}
	return parsed.validate()
}

// decode reads one JSON object. The names of its members are case-sensitive. Known
// members must not be repeated, so that a proxy and this server cannot disagree
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
		member := r.member(name)
		switch {
		case member == nil:
			member = &json.RawMessage{} // unknown members are ignored
		case slices.Contains(seen, name):
			return errNotOneObject
		default:
			seen = append(seen, name)
		}
		if err := decoder.Decode(member); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil { // the end of the object
		return err
	}
	return expectEOF(decoder)
}

// member returns the variable for a member of the request, or nil if the member is unknown.
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
func (r *request) validate() (*request, *requestError) {
	persisted, _ := r.Extensions["persistedQuery"].(map[string]any)
	text, hasHash := persisted["sha256Hash"].(string)
	if hasHash {
		hash, err := hex.DecodeString(text)
		if err != nil || len(hash) != len(r.hash) {
			return nil, badRequest("extensions.persistedQuery.sha256Hash must be a SHA-256 hash in hexadecimal digits.")
		}
		copy(r.hash[:], hash)
		if r.Query != "" && sha256.Sum256([]byte(r.Query)) != r.hash {
			return nil, badRequest("extensions.persistedQuery.sha256Hash is not the hash of the query.")
		}
	}
	if r.Query == "" && r.documentID == "" && !hasHash {
		return nil, badRequest("The request has no query.")
	}
	return r, nil
}

// decodeJSON reads exactly one JSON value. Numbers keep their text.
func decodeJSON(text string, value any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(value); err != nil {
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

// checkJSON returns an error if a JSON text is not Unicode, or has too many values or levels.
// It allocates no memory for them. It does not check the syntax, and may count more values
// than the text has, but never fewer.
func checkJSON(text []byte, maxValues int) *requestError {
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
		if values > maxValues {
			return badRequest("The variables and extensions may have at most " + strconv.Itoa(maxValues) + " values.")
		}
		if level > maxNesting {
			return badRequest("The variables and extensions may have at most " + strconv.Itoa(maxNesting) + " levels.")
		}
	}
	return nil
}

// endOfString returns the index of the quote that ends a JSON string.
func endOfString(text []byte, start int) int {
	i := start
	for i < len(text) && text[i] != '"' {
		if text[i] == '\\' {
			i++ // the escaped character
		}
		i++
	}
	return i
}
