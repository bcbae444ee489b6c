// Package e2e compares the server with graphql-js on random documents.
package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/document"
	"portfolio/internal/graphqlhttp"
)

const seeds = 1500 // of the gate

// FuzzDifferential sends random documents to the server and to two versions of graphql-js.
// Both must accept or reject a document, coerce its variables to the same values, and return
// the same data and errors. The input is a seed.
func FuzzDifferential(f *testing.F) {
	if _, err := os.Stat("node_modules/graphql17"); err != nil && os.Getenv("CI") == "" {
		f.Skipf("graphql-js is not installed: run make e2e\n%v", err)
	}
	dsn := dbtest.LoadedSQLite(f, "../../compat/testdata/fixtures.json")
	for _, table := range []string{"portfolio_links", "images"} { // reference.mjs has one page of each
		dbtest.Exec(f, dsn, "DELETE FROM "+table+" WHERE id NOT IN (SELECT id FROM "+table+" ORDER BY id LIMIT 60)")
	}
	handler := graphtest.NewHandler(f, &graph.Resolver{DB: dbtest.Open(f, dsn)}, func(o *graphtest.Options) {
		o.Limits.Cost, o.Limits.Duplicates, o.Limits.Aliases = 1e9, 1000, 1000
	})
	server := &server{handler}
	reference := startReference(f, server)
	for seed := range uint64(seeds) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		sent := newRequest(handler.Documents.Schema, seed)
		got, ok := server.answer(t, sent)
		if !ok {
			return
		}
		var problems []string
		for _, want := range reference.ask(t, sent) {
			problem := got.compare(want)
			if problem == "" { // the versions differ where drafts of the specification do
				return
			}
			problems = append(problems, problem)
		}
		t.Errorf("seed %d\n%s\nvariables %s\ngraphql-js 16: %s\ngraphql-js 17: %s\ngot %+v", seed, sent.Query, encode(sent.Variables), problems[0], problems[1], got)
	})
}

// answer is what a server does with a request.
type answer struct {
	Valid     bool                // the document
	Errors    []string            // of the document, the operationName or the variables
	Locations []gqlerror.Location // of the errors of an invalid document
	Coerced   map[string]any      // the variables, if there are no errors
	Data      string              // "" if nothing was executed
	Paths     [][]any             // of the errors of fields
}

// compare returns the difference from what graphql-js does, or "".
func (a answer) compare(want answer) string {
	switch {
	case a.Valid != want.Valid:
		return fmt.Sprintf("valid: %t %q", want.Valid, want.Errors)
	case !a.Valid && !a.hasLocations(want):
		return fmt.Sprintf("%q at %v", want.Errors, want.Locations)
	case (a.Errors == nil) != (want.Errors == nil):
		return fmt.Sprintf("errors %q", want.Errors)
	case !reflect.DeepEqual(a.Coerced, want.Coerced):
		return "coerced " + encode(want.Coerced)
	case a.Data == "" || want.Data == "":
		return ""
	case !slices.Equal(tokens(a.Data), tokens(want.Data)):
		return "data " + want.Data
	case len(a.Paths) > 0 && len(want.Paths) == 0, slices.ContainsFunc(want.Paths, func(path []any) bool { return !a.hasError(path) }):
		return fmt.Sprintf("errors at %v", want.Paths)
	}
	return ""
}

// hasLocations reports whether the errors of an invalid document have the locations that graphql-js
// gives them.
func (a answer) hasLocations(want answer) bool {
	if strings.HasPrefix(want.Errors[0], "Syntax Error") && !strings.Contains(a.Errors[0], "<Invalid>") {
		return slices.Equal(a.Locations, want.Locations)
	}
	return slices.ContainsFunc(want.Errors, isUnlocated) || slices.Equal(sorted(a.Locations), sorted(want.Locations))
}

// isUnlocated reports whether an error may have other locations than the error of graphql-js.
func isUnlocated(message string) bool {
	return !slices.ContainsFunc([]string{"Unknown argument", "Unknown type", "Unknown fragment", "Int cannot", "String cannot", "Boolean cannot", "Enum "}, func(prefix string) bool {
		return strings.HasPrefix(message, prefix)
	})
}

func sorted(locations []gqlerror.Location) []gqlerror.Location {
	return slices.SortedFunc(slices.Values(locations), func(a, b gqlerror.Location) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// tokens returns the tokens of a JSON text. The order of the members of objects counts.
func tokens(text string) (list []json.Token) {
	decoder := json.NewDecoder(strings.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			return list
		}
		list = append(list, token)
	}
}

// hasError reports whether there is an error at a path.
func (a answer) hasError(path []any) bool {
	return slices.ContainsFunc(a.Paths, func(own []any) bool { return slices.Equal(own, path) })
}

type server struct{ *graphqlhttp.Handler }

// isLimit reports whether an error is one of a limit, which graphql-js does not have.
func isLimit(err *gqlerror.Error) bool {
	return strings.HasPrefix(err.Message, "The document has more than") || strings.HasPrefix(err.Message, "The document has an alias") || strings.HasPrefix(err.Message, "exceeded token limit")
}

// answer reports false if the document exceeds a limit.
func (s *server) answer(t *testing.T, sent request) (a answer, ok bool) {
	t.Helper()
	found, errs := s.Documents.Resolve(document.Request{Text: sent.Query}, true)
	if errs != nil {
		for _, err := range errs {
			a.Errors, a.Locations = append(a.Errors, err.Message), append(a.Locations, err.Locations...)
		}
		return a, !isLimit(errs[0])
	}
	a.Valid = true
	operation := found.Operations.ForName(sent.OperationName)
	if operation == nil {
		a.Errors = []string{"operationName"}
		return a, true
	}
	var given map[string]any
	decode(t, encode(sent.Variables), &given)
	coerced, errs := s.Documents.CoerceVariables(operation, given)
	if errs != nil {
		for _, err := range errs {
			a.Errors = append(a.Errors, err.Message)
		}
		return a, true
	}
	if err := json.Unmarshal([]byte(encode(coerced)), &a.Coerced); err != nil {
		t.Fatal(err)
	}
	if operation.Operation == ast.Query {
		a.execute(t, s.post(t, encode(sent)))
	}
	return a, true
}

// execute sets the data and the paths of errors of a response.
func (a *answer) execute(t *testing.T, body string) {
	t.Helper()
	var response struct {
		Data   json.RawMessage
		Errors []struct{ Path []any }
	}
	if err := json.Unmarshal([]byte(body), &response); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	a.Data = string(response.Data)
	for _, err := range response.Errors {
		a.Paths = append(a.Paths, err.Path)
	}
}

// post sends a body as an admin and returns the body of the response.
func (s *server) post(t testing.TB, body string) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), "POST", "/graphql", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Token "+graphtest.Admin)
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, request)
	return recorder.Body.String()
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// world returns all rows of the server by type.
func (s *server) world(t testing.TB) map[string]json.RawMessage {
	t.Helper()
	const thumbnail = `__typename nodeId id url size width height fileSize`
	var response struct {
		Data map[string]struct{ Nodes json.RawMessage }
	}
	decode(t, s.post(t, encode(request{Query: `{
		Portfolio: portfolios(first: 100) { nodes { __typename nodeId id name createdAt updatedAt } }
		PortfolioLink: portfolioLinks(first: 100) { nodes { __typename nodeId id name url description position createdAt updatedAt
			imageData { id } portfolio { id } previous { id } next { id } } }
		Image: images(first: 100) { nodes { __typename nodeId id type name alt size humanReadableSize url width height mode mimeType placeholder srcset createdAt
			thumbnails { ` + thumbnail + ` } } }
		User: users(first: 100) { nodes { __typename nodeId id username isActive isStaff isAdmin permissions createdAt } }
		Token: tokens(first: 100) { nodes { __typename nodeId id username label createdAt expiresAt } }
	}`})), &response)
	world := map[string]json.RawMessage{}
	for name, list := range response.Data {
		world[name] = list.Nodes
	}
	var images []struct{ Thumbnails []json.RawMessage }
	decode(t, string(world["Image"]), &images)
	var thumbnails []json.RawMessage
	for _, image := range images {
		thumbnails = append(thumbnails, image.Thumbnails...)
	}
	world["Thumbnail"] = json.RawMessage(encode(thumbnails))
	return world
}

// reference is a process of reference.mjs.
type reference struct {
	requests  io.Writer
	responses *bufio.Reader
}

func startReference(f *testing.F, s *server) *reference {
	f.Helper()
	schema, err := os.ReadFile(filepath.Join("..", "..", "schema.graphqls"))
	if err != nil {
		f.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(f.Context()), "node", "reference.mjs") // it ends with its input
	command.Stderr = os.Stderr
	requests, err := command.StdinPipe()
	if err != nil {
		f.Fatal(err)
	}
	responses, err := command.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := command.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = requests.Close()
		if err := command.Wait(); err != nil {
			f.Error(err)
		}
	})
	r := &reference{requests, bufio.NewReader(responses)}
	r.send(f, map[string]any{"schema": string(schema), "world": s.world(f)})
	return r
}

func (r *reference) send(t testing.TB, message any) {
	t.Helper()
	if _, err := fmt.Fprintln(r.requests, encode(message)); err != nil {
		t.Fatal(err)
	}
}

// ask returns what each version of graphql-js does with a request.
func (r *reference) ask(t *testing.T, sent request) (answers []answer) {
	t.Helper()
	r.send(t, sent)
	line, err := r.responses.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &answers)
	}
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, line, encode(sent))
	}
	return answers
}
