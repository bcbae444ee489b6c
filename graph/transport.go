package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
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
}

func readParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, *badParams) {
	switch r.Method {
	case http.MethodGet:
		return queryParams(r)
	case http.MethodPost:
		return bodyParams(w, r)
	}
	return nil, &badParams{http.StatusMethodNotAllowed, "Send GET or POST.", "GET, POST"}
}

func queryParams(r *http.Request) (*graphql.RawParams, *badParams) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &badParams{status: http.StatusBadRequest, message: "The query string is malformed."}
	}
	params := &graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName"), Headers: r.Header}
	for name, into := range map[string]*map[string]any{"variables": &params.Variables, "extensions": &params.Extensions} {
		if text := values.Get(name); text != "" && decode([]byte(text), into) != nil {
			return nil, &badParams{status: http.StatusBadRequest, message: "The parameter " + name + " must be a JSON object."}
		}
	}
	return checked(params)
}

func bodyParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, *badParams) {
	mediaType, options, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := options["charset"]
	if err != nil || mediaType != jsonType || charset != "" && !strings.EqualFold(charset, "utf-8") || r.Header.Get("Content-Encoding") != "" {
		return nil, &badParams{status: http.StatusUnsupportedMediaType, message: "Send application/json in UTF-8, not compressed."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, &badParams{status: http.StatusRequestEntityTooLarge, message: "The body may hold at most " + strconv.Itoa(maxBody) + " bytes."}
		}
		return nil, &badParams{status: http.StatusBadRequest, message: "The body could not be read."}
	}
	var request struct {
		Query         *string        `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	if err := decode(body, &request); err != nil {
		return nil, &badParams{status: http.StatusBadRequest, message: "The body must be one JSON object with a query, and may have operationName, variables and extensions."}
	}
	params := &graphql.RawParams{OperationName: request.OperationName, Variables: request.Variables, Extensions: request.Extensions, Headers: r.Header}
	if request.Query != nil {
		params.Query = *request.Query
	}
	return checked(params)
}

func checked(params *graphql.RawParams) (*graphql.RawParams, *badParams) {
	if params.Query == "" {
		return nil, &badParams{status: http.StatusBadRequest, message: "There is no query."}
	}
	return params, nil
}

// decode reads exactly one JSON value, with numbers as they are written.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("more than one value")
	}
	return nil
}

// negotiate chooses between the two media types of GraphQL over HTTP by the
// weights in Accept; the older one where the client does not care.
func negotiate(accept []string) string {
	best, chosen := 0.0, ""
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, options, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		offered := jsonType
		switch name {
		case responseJSONType:
			offered = responseJSONType
		case jsonType, "application/*", "*/*":
		default:
			continue
		}
		weight := 1.0
		if q, err := strconv.ParseFloat(options["q"], 64); err == nil {
			weight = q
		}
		if weight > best {
			best, chosen = weight, offered
		}
	}
	if chosen == "" {
		return jsonType
	}
	return chosen
}

// reply writes the answer to one request.
type reply struct {
	w         http.ResponseWriter
	mediaType string
}

// fail answers a request of which nothing was executed.
func (r reply) fail(status int, err *gqlerror.Error) {
	if status == http.StatusUnauthorized {
		r.w.Header().Set("WWW-Authenticate", "Token")
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

func (r reply) write(status int, errs gqlerror.List, data []byte) {
	body := make([]byte, 0, len(data)+16)
	body = append(body, '{')
	if len(errs) > 0 {
		text, err := json.Marshal(errs[:min(len(errs), maxErrors)])
		if err != nil { // a path or extension that has no JSON form: there is none
			panic(err)
		}
		body = append(append(body, `"errors":`...), text...)
		if data != nil {
			body = append(body, ',')
		}
	}
	if data != nil {
		body = append(append(body, `"data":`...), data...)
	}
	body = append(body, '}')
	header := r.w.Header()
	header.Set("Content-Type", r.mediaType+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	r.w.WriteHeader(status)
	_, _ = r.w.Write(body)
}
