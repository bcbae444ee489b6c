package graph_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/document"
	"portfolio/internal/graphqlhttp"
)

// goWords are words of Go's errors, which no client should read.
var goWords = []string{"cannot use", "interface", "reflect", "map[", "json.Number", "strconv", "slice", "float64", "int64", "runtime", "%!"}

// FuzzVariables sends any JSON as the variables of a field. They are coerced or
// refused with a readable error, and coerced values stay the same when they are
// sent again.
func FuzzVariables(f *testing.F) {
	handler := newFuzzHandler(f)
	fields := fieldsWithArguments(handler.Documents.Schema)
	for choice := range fields {
		f.Add(uint8(choice), `{"id":"4","portfolioId":1,"size":64,"name":"Query","first":2.0,"after":"x","orderBy":{"field":"NAME"},"filter":{"search":"x","createdAt":{"from":"2026-01-13T10:05:43Z"}}}`)
		f.Add(uint8(choice), `{"id":[4.5],"portfolioId":{},"size":1e99,"first":"2","orderBy":{"field":"name","direction":1},"filter":{"hasImage":"x","updatedAt":[]}}`)
		f.Add(uint8(choice), `{"input":{"id":4,"portfolioId":1,"name":"x","url":null,"description":"","imageId":12,"expectedUpdatedAt":null}}`)
		f.Add(uint8(choice), `{"input":{"username":"x","isStaff":true,"isAdmin":false,"permissions":"PORTFOLIO_LINK","label":"x","expiresAt":"2999-01-01T00:00:00.000001+03:30"}}`)
		f.Add(uint8(choice), `{"input":{"id":true,"name":5,"permissions":[1,"2",[3]],"isStaff":null,"image":"x","expiresAt":0,"unknown":{}}}`)
		f.Add(uint8(choice), `{"input":[{"name":"x"}]}`)
	}
	f.Fuzz(func(t *testing.T, choice uint8, variables string) {
		var given map[string]any
		if decodeNumbers(variables, &given) != nil {
			return
		}
		query := fields[int(choice)%len(fields)].withVariables()
		checkReadable(t, handler, query, given)
		found, errs := handler.Documents.Resolve(document.Request{Text: query}, true)
		if errs != nil {
			t.Fatal(query, errs)
		}
		coerced, errs := handler.Documents.CoerceVariables(found.Operations[0], given)
		if errs != nil {
			return
		}
		text, err := json.Marshal(coerced)
		if err != nil {
			t.Fatal(err)
		}
		var sent map[string]any
		if err := decodeNumbers(string(text), &sent); err != nil {
			t.Fatal(err)
		}
		again, errs := handler.Documents.CoerceVariables(found.Operations[0], sent)
		if diff := cmp.Diff(coerced, again); errs != nil || diff != "" {
			t.Errorf("%s %s: %v %s", query, text, errs, diff)
		}
	})
}

// FuzzArguments sends any text as the arguments of a field.
func FuzzArguments(f *testing.F) {
	handler := newFuzzHandler(f)
	fields := fieldsWithArguments(handler.Documents.Schema)
	for choice := range fields {
		f.Add(uint8(choice), `id:4,portfolioId:"1",first:2,last:null,after:"",orderBy:{field:NAME,direction:DESC},filter:{search:"x",hasImage:true,createdAt:{from:"2026-01-13T10:05:43Z"}}`)
		f.Add(uint8(choice), `id:{},first:{},after:[],orderBy:{field:{},direction:"ASC"},filter:{search:5,hasImage:X,createdAt:{from:{},before:[2026]}}`)
		f.Add(uint8(choice), `input:{id:4,portfolioId:1,name:"x",url:null,imageId:12,username:"x",permissions:PORTFOLIO_LINK,isStaff:true,expiresAt:"2999-01-01T00:00:00Z"}`)
		f.Add(uint8(choice), `input:{id:99999999999999999999,name:"""x""",permissions:{},image:"x",expiresAt:1e400,expectedUpdatedAt:{a:$b}}`)
		f.Add(uint8(choice), `id:3000000000,size:-2147483649,name:1){__typename} a:viewer@skip(if:{}){id} b:portfolio(id:1`)
	}
	f.Fuzz(func(t *testing.T, choice uint8, arguments string) {
		checkReadable(t, handler, fields[int(choice)%len(fields)].with(arguments), nil)
	})
}

// fuzzField is a field of Query or Mutation.
type fuzzField struct {
	operation string
	*ast.FieldDefinition
}

func fieldsWithArguments(schema *ast.Schema) (fields []fuzzField) {
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range root.Fields {
			if len(field.Arguments) > 0 {
				fields = append(fields, fuzzField{strings.ToLower(root.Name), field})
			}
		}
	}
	return fields
}

func (f fuzzField) with(arguments string) string {
	return f.operation + "{" + f.Name + "(" + arguments + "){__typename}}"
}

// withVariables returns a document in which each argument is a variable of its
// name.
func (f fuzzField) withVariables() string {
	var variables, arguments strings.Builder
	for _, argument := range f.Arguments {
		variables.WriteString("$" + argument.Name + ":" + argument.Type.String() + " ")
		arguments.WriteString(argument.Name + ":$" + argument.Name + " ")
	}
	return f.operation + "(" + variables.String() + "){" + f.Name + "(" + arguments.String() + "){__typename}}"
}

func newFuzzHandler(f *testing.F) *graphqlhttp.Handler {
	f.Helper()
	dsn := dbtest.LoadedSQLite(f, recorded)
	return graphtest.NewHandler(f, &graph.Resolver{DB: dbtest.Open(f, dsn)}, nil)
}

// checkReadable checks that the response has no error of the server and no words of
// Go that the request does not have.
func checkReadable(t *testing.T, handler http.Handler, query string, variables object) {
	t.Helper()
	body, err := json.Marshal(object{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, newRequest(t, admin, body))
	answer := recorder.Body.String()
	if !json.Valid([]byte(answer)) || strings.Contains(answer, `"code":"INTERNAL"`) {
		t.Errorf("%s: %s", body, answer)
	}
	for _, word := range goWords {
		if strings.Contains(answer, word) && !strings.Contains(string(body), word) {
			t.Errorf("%s: %s", body, answer)
		}
	}
}

// decodeNumbers decodes JSON and keeps the text of numbers.
func decodeNumbers(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
