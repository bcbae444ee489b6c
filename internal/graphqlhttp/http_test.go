package graphqlhttp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/document"
)

// exchange is a request, and what of the answer must be so.
type exchange struct {
	name    string
	method  string // POST where there is a body, else GET
	query   string // string of the address
	headers map[string]string
	body    string

	status  int
	answer  string
	answers map[string]string // headers
}

const (
	newer = "application/graphql-response+json"
	older = "application/json"
)

func checkExchange(t *testing.T, server *httptest.Server, golden *graphtest.Golden, e exchange) {
	t.Helper()
	method := e.method
	if method == "" && e.body != "" {
		method = http.MethodPost
	}
	header := http.Header{}
	if e.body != "" {
		header.Set("Content-Type", older)
	}
	for name, value := range e.headers {
		header.Set(name, value)
	}
	response, body := graphtest.Send(t, server, method, "/graphql?"+e.query, header, []byte(e.body))
	golden.Check(t, e.name, response, body)
	got := map[string]string{}
	for name := range e.answers {
		got[name] = strings.Join(response.Header.Values(name), ", ")
	}
	if response.StatusCode != e.status || body != e.answer || !maps.Equal(got, e.answers) {
		t.Errorf("- wanted, + got:\n%s%s%s", cmp.Diff(e.status, response.StatusCode), cmp.Diff(e.answer, body), cmp.Diff(e.answers, got))
	}
}

func get(document string) string { return "query=" + url.QueryEscape(document) }

func sha(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

const (
	typename    = `{"data":{"__typename":"Query"}}`
	noSuchField = `{"errors":[{"message":"Cannot query field \"nme\" on type \"PortfolioLink\". Did you mean \"name\"?","locations":[{"line":1,"column":22}],"extensions":{"code":"BAD_USER_INPUT"}}]}`
)

func largerThan(limit int) string {
	return fmt.Sprintf(`{"errors":[{"message":"The body may have at most %d bytes.","extensions":{"code":"BAD_USER_INPUT"}}]}`, limit)
}

func TestHTTP(t *testing.T) {
	bearer := map[string]string{"Authorization": "Bearer " + graphtest.Staff4242}
	cases := []exchange{
		{name: "a query", body: `{"query":"{__typename}"}`, status: 200, answer: typename, answers: map[string]string{"Content-Type": older + "; charset=utf-8", "Vary": "Accept, Authorization", "Cache-Control": "no-store"}},
		{name: "by GET", query: get("{__typename}"), status: 200, answer: typename, answers: map[string]string{"Cache-Control": "public, no-cache", "ETag": `W/"0384bd78b8b987171b0ce4f29e771044"`}},
		{name: "by HEAD", method: "HEAD", query: get("{__typename}"), status: 200, answers: map[string]string{"Content-Length": "31"}},
		{name: "as it was", query: get("{__typename}"), headers: map[string]string{"If-None-Match": `"other", W/"0384bd78b8b987171b0ce4f29e771044"`}, status: 304, answers: map[string]string{"Cache-Control": "public, no-cache", "Content-Length": ""}},
		{name: "not as it was", query: get("{__typename}"), headers: map[string]string{"If-None-Match": `"other"`}, status: 200, answer: typename},
		{name: "of the viewer", query: get("{viewer{username}}"), headers: map[string]string{"Authorization": "Token " + graphtest.Staff4242}, status: 200, answer: `{"data":{"viewer":{"username":"staff-4242"}}}`, answers: map[string]string{"Cache-Control": "private, no-cache"}},
		{name: "of a guarded field", query: get("query($i:ID!){...F} fragment F on Query{portfolioLink(id:$i){name}}") + `&variables={"i":"4"}`, headers: map[string]string{"Authorization": "Bearer " + graphtest.Staff4242}, status: 200, answer: `{"data":{"portfolioLink":{"name":"دمو پروژه"}}}`, answers: map[string]string{"Cache-Control": "private, no-cache"}},
		{name: "with errors", query: get("{portfolioLink(id:4){name}}"), status: 200, answer: `{"errors":[{"message":"Authentication is required.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"portfolioLink":null}}`, answers: map[string]string{"Cache-Control": "no-store", "ETag": ""}},
		{name: "no escapes for HTML", body: `{"query":"{a:portfolioLink(id:\"<&>\"){name}}"}`, headers: map[string]string{"Authorization": "Token " + graphtest.Staff4242}, status: 200, answer: `{"errors":[{"message":"id must be a whole number between -9223372036854775808 and 9223372036854775807.","path":["a"],"locations":[{"line":1,"column":2}],"extensions":{"code":"BAD_USER_INPUT","field":["id"]}}],"data":{"a":null}}`},

		{name: "operation name", body: `{"query":"query A{viewer{id}} query B{x:viewer{id}}","operationName":"B"}`, status: 200, answer: `{"data":{"x":null}}`},
		{name: "variables by GET", query: get("query($a:Boolean!){viewer@include(if:$a){id}}") + "&variables=" + url.QueryEscape(`{"a":true}`), status: 200, answer: `{"data":{"viewer":null}}`},

		{name: "newer type", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": newer}, status: 200, answer: typename, answers: map[string]string{"Content-Type": newer + "; charset=utf-8"}},
		{name: "Apollo's types", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": newer + "," + older + ";q=0.9"}, status: 200, answer: typename, answers: map[string]string{"Content-Type": newer + "; charset=utf-8"}},
		{name: "urql's types", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": newer + ", application/graphql+json, " + older + ", text/event-stream, multipart/mixed"}, status: 200, answer: typename, answers: map[string]string{"Content-Type": newer + "; charset=utf-8"}},
		{name: "weights", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": newer + ";q=0.5, " + older + ";q=0.6"}, status: 200, answer: typename, answers: map[string]string{"Content-Type": older + "; charset=utf-8"}},
		{name: "refused type", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": newer + ";q=0, */*"}, status: 200, answer: typename, answers: map[string]string{"Content-Type": older + "; charset=utf-8"}},
		{name: "the most specific range", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": "*/*, " + older + ";q=0.1"}, status: 200, answer: typename, answers: map[string]string{"Content-Type": newer + "; charset=utf-8"}},
		{name: "no type of ours", body: `{"query":"{__typename}"}`, headers: map[string]string{"Accept": "text/html"}, status: 406, answer: `{"errors":[{"message":"Responses are application/graphql-response+json or application/json.","extensions":{"code":"BAD_USER_INPUT"}}]}`},

		{name: "invalid, newer type", body: `{"query":"{portfolioLink(id:1){nme}}"}`, headers: map[string]string{"Accept": newer}, status: 400, answer: noSuchField},
		{name: "invalid, older type", body: `{"query":"{portfolioLink(id:1){nme}}"}`, status: 200, answer: noSuchField},
		{name: "no GraphQL", body: `{"query":"{"}`, headers: map[string]string{"Accept": newer}, status: 400, answer: `{"errors":[{"message":"Expected Name, found <EOF>","locations":[{"line":1,"column":2}],"extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "no variable", body: `{"query":"query($i:ID!){portfolioLink(id:$i){id}}"}`, headers: map[string]string{"Accept": newer}, status: 400, answer: `{"errors":[{"message":"must be defined","path":["variable","i"],"extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "no operation of that name", body: `{"query":"query A{__typename}","operationName":"B"}`, status: 200, answer: `{"errors":[{"message":"Unknown operation name, or operationName is required because the document has several operations.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "only a fragment", body: `{"query":"fragment F on Query{__typename}"}`, status: 200, answer: `{"errors":[{"message":"The document has no operation.","extensions":{"code":"BAD_USER_INPUT"}}]}`},

		{name: "no query", body: `{}`, status: 400, answer: `{"errors":[{"message":"The request has no query.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "no query by GET", status: 400, answer: `{"errors":[{"message":"The request has no query.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "nulls", body: `{"query":"{__typename}","operationName":null,"variables":null,"extensions":null}`, status: 200, answer: typename},
		{name: "no JSON", body: `{"query":`, status: 400, answer: badBody},
		{name: "a query that is no text", body: `{"query":1}`, status: 400, answer: badBody},
		{name: "variables that are no object", body: `{"query":"{__typename}","variables":[]}`, status: 400, answer: badBody},
		{name: "a batch", body: `[{"query":"{__typename}"}]`, status: 400, answer: badBody},
		{name: "more after it", body: `{"query":"{__typename}"} trailing`, status: 400, answer: badBody},
		{name: "a name twice", body: `{"query":"{__typename}","query":"{__typename}"}`, status: 400, answer: badBody},
		{name: "a name in another case", body: `{"Query":"{__typename}"}`, status: 400, answer: `{"errors":[{"message":"The request has no query.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "names that mean nothing", body: `{"id":1,"id":[{}],"query":"{__typename}"}`, status: 200, answer: typename},
		{name: "an object cut short", body: `{"query":"{__typename}"`, status: 400, answer: badBody},
		{name: "an empty body", method: "POST", headers: map[string]string{"Content-Type": older}, status: 400, answer: badBody},
		{name: "two values", body: `{"query":"{__typename}"}{}`, status: 400, answer: badBody},
		{name: "the most that anybody may send", body: strings.Repeat("x", 128<<10), status: 400, answer: badBody},
		{name: "more than that", body: strings.Repeat("x", 128<<10+1), status: 413, answer: largerThan(128 << 10)},
		{name: "the most that a viewer may send", body: strings.Repeat("x", 1<<20), headers: bearer, status: 400, answer: badBody},
		{name: "more than that of a viewer", body: strings.Repeat("x", 1<<20+1), headers: bearer, status: 413, answer: largerThan(1 << 20)},
		{name: "as many values as there may be", body: `{"query":"{__typename}","variables":{"a":[` + strings.Repeat(`0,`, 1995) + `0]}}`, status: 200, answer: typename},
		{name: "more values", body: `{"query":"{__typename}","variables":{"a":[` + strings.Repeat(`0,`, 1996) + `0]}}`, status: 400, answer: manyValues},
		{name: "empty values", body: `{"query":"{__typename}","variables":{"a":[` + strings.Repeat(`[],`, 1000) + `0]}}`, status: 400, answer: manyValues},
		{name: "what looks like values", body: `{"query":"{__typename}","operationName":"` + strings.Repeat(`[{\\\",`, 2000) + `"}`, status: 200, answer: `{"errors":[{"message":"Unknown operation name, or operationName is required because the document has several operations.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "50 levels", body: `{"query":"{__typename}","variables":{"a":` + strings.Repeat("[", 48) + strings.Repeat("]", 48) + `}}`, status: 200, answer: typename},
		{name: "51 levels", body: `{"query":"{__typename}","variables":{"a":` + strings.Repeat("[", 49) + strings.Repeat("]", 49) + `}}`, status: 400, answer: manyLevels},
		{name: "many values by GET", query: get("{__typename}") + `&variables={"a":[` + strings.Repeat(`0,`, 2000) + `0]}`, status: 400, answer: manyValues},
		{name: "bad variables by GET", query: get("{__typename}") + "&variables=1", status: 400, answer: `{"errors":[{"message":"The parameter variables must be a JSON object.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "bad extensions by GET", query: get("{__typename}") + "&extensions=x", status: 400, answer: `{"errors":[{"message":"The parameter extensions must be a JSON object.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "a broken query string", query: "query=%zz", status: 400, answer: `{"errors":[{"message":"The query string is malformed.","extensions":{"code":"BAD_USER_INPUT"}}]}`},

		{name: "text", body: `{"query":"{__typename}"}`, headers: map[string]string{"Content-Type": "text/plain"}, status: 415, answer: badType},
		{name: "a form", body: `query=mutation{__typename}`, headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, answer: badType},
		{name: "no type", body: `{"query":"{__typename}"}`, headers: map[string]string{"Content-Type": ""}, status: 415, answer: badType},
		{name: "GraphQL as type", body: `{__typename}`, headers: map[string]string{"Content-Type": "application/graphql"}, status: 415, answer: badType},
		{name: "UTF-16", body: `{"query":"{__typename}"}`, headers: map[string]string{"Content-Type": "application/json; charset=utf-16"}, status: 415, answer: badType},
		{name: "UTF-8", body: `{"query":"{__typename}"}`, headers: map[string]string{"Content-Type": "application/json; charset=UTF-8"}, status: 200, answer: typename},
		{name: "gzip", body: "\x1f\x8b", headers: map[string]string{"Content-Encoding": "gzip"}, status: 415, answer: badType},
		{name: "an unknown method", method: "DELETE", query: get("{__typename}"), status: 405, answer: `{"errors":[{"message":"Send GET or POST.","extensions":{"code":"BAD_USER_INPUT"}}]}`, answers: map[string]string{"Allow": "GET, HEAD, POST"}},

		{name: "an unknown token", query: get("{__typename}"), headers: map[string]string{"Authorization": "Token nobody"}, status: 401, answer: `{"errors":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}`, answers: map[string]string{"WWW-Authenticate": "Token"}},

		{name: "a hash that is not known", body: `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + sha("{unknown}") + `"}}}`, status: 200, answer: notPersisted},
		{name: "a hash that is not known, newer type", body: `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + sha("{unknown}") + `"}}}`, headers: map[string]string{"Accept": newer}, status: 400, answer: notPersisted},
		{name: "a hash with its text", body: `{"query":"{a:__typename}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + sha("{a:__typename}") + `"}}}`, status: 200, answer: `{"data":{"a":"Query"}}`},
		{name: "a hash that is known", query: `extensions={"persistedQuery":{"version":1,"sha256Hash":"` + sha("{a:__typename}") + `"}}`, status: 200, answer: `{"data":{"a":"Query"}}`},
		{name: "the hash of another text", body: `{"query":"{b:__typename}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + sha("{a:__typename}") + `"}}}`, status: 400, answer: `{"errors":[{"message":"extensions.persistedQuery.sha256Hash is not the hash of the query.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "no hash", body: `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"12"}}}`, status: 400, answer: `{"errors":[{"message":"extensions.persistedQuery.sha256Hash must be a SHA-256 hash in hexadecimal digits.","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{name: "an id that is not known", body: `{"documentId":"sha256:1"}`, status: 200, answer: notPersisted},
	}
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, graphtest.Recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { checkExchange(t, server, golden, c) })
		}
	})
}

const (
	manyValues   = `{"errors":[{"message":"The variables and extensions may have at most 2000 values.","extensions":{"code":"BAD_USER_INPUT"}}]}`
	manyLevels   = `{"errors":[{"message":"The variables and extensions may have at most 50 levels.","extensions":{"code":"BAD_USER_INPUT"}}]}`
	badBody      = `{"errors":[{"message":"The body must be one JSON object with a query, and may have operationName, variables and extensions.","extensions":{"code":"BAD_USER_INPUT"}}]}`
	badType      = `{"errors":[{"message":"Send application/json in UTF-8, not compressed.","extensions":{"code":"BAD_USER_INPUT"}}]}`
	notPersisted = `{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}`
)

func TestPersistedDocuments(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	folder := t.TempDir()
	for name, text := range map[string]string{
		"codegen.json":    `{"sha256:1":"query A{a:__typename}","2":"{b:__typename}"}`,
		"apollo.json":     `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"3","name":"C","type":"query","body":"query C{c:__typename}"}]}`,
		"sub/d.graphql":   "{d:__typename}",
		"sub/ignored.txt": "x",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts, err := document.ReadPersisted(folder)
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		for onlyPersisted, stranger := range map[bool]string{
			false: typename,
			true:  `{"errors":[{"message":"Only persisted documents are accepted.","extensions":{"code":"FORBIDDEN"}}]}`,
		} {
			server := graphtest.Serve(t, database, func(o *graphtest.Options) { o.Persisted, o.OnlyPersisted = texts, onlyPersisted })
			for _, c := range []exchange{
				{name: "graphql-codegen", body: `{"documentId":"sha256:1"}`, status: 200, answer: `{"data":{"a":"Query"}}`},
				{name: "Relay", query: "documentId=2", status: 200, answer: `{"data":{"b":"Query"}}`},
				{name: "Apollo", body: `{"documentId":"3"}`, status: 200, answer: `{"data":{"c":"Query"}}`},
				{name: "a file", body: `{"documentId":"sha256:` + sha("{d:__typename}") + `"}`, status: 200, answer: `{"data":{"d":"Query"}}`},
				{name: "Apollo's hash", body: `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + sha("{d:__typename}") + `"}}}`, status: 200, answer: `{"data":{"d":"Query"}}`},
				{name: "its text", body: `{"query":"{d:__typename}"}`, status: 200, answer: `{"data":{"d":"Query"}}`},
				{name: "a stranger", body: `{"query":"{__typename}"}`, status: 200, answer: stranger},
			} {
				if onlyPersisted {
					c.name += ", only persisted"
				}
				t.Run(c.name, func(t *testing.T) { checkExchange(t, server, golden, c) })
			}
		}
	})
}

func TestIntrospection(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	const (
		schema = `{"data":{"__schema":{"queryType":{"name":"Query"}}}}`
		off    = `{"errors":[{"message":"Introspection is off.","extensions":{"code":"FORBIDDEN"}}]}`
		token  = `{"errors":[{"message":"Introspection requires authentication.","extensions":{"code":"UNAUTHENTICATED"}}]}`
	)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, graphtest.Recorded)
		database := dbtest.Open(t, dsn)
		for mode, want := range map[document.Introspection]struct{ anonymous, authenticated string }{
			document.IntrospectionOn:            {schema, schema},
			document.IntrospectionAuthenticated: {token, schema},
			document.IntrospectionOff:           {off, off},
		} {
			server := graphtest.Serve(t, database, func(o *graphtest.Options) { o.Introspection = mode })
			for range 2 { // the second time the document is known
				checkExchange(t, server, golden, exchange{name: "authenticated, introspection " + string(mode), body: `{"query":"{...F} fragment F on Query{__schema{queryType{name}}}"}`, status: 200, headers: map[string]string{"Authorization": "Token " + graphtest.Staff4242}, answer: want.authenticated})
				checkExchange(t, server, golden, exchange{name: "anonymous, introspection " + string(mode), body: `{"query":"{...F} fragment F on Query{__schema{queryType{name}}}"}`, status: 200, answer: want.anonymous})
			}
		}
		server := graphtest.Serve(t, database, func(o *graphtest.Options) { o.Introspection = document.IntrospectionOff })
		for query, want := range map[string]string{
			`{viewr{id}}`:                     `Cannot query field "viewr" on type "Query".`,
			`{portfolioLink(idd:1,id:1){id}}`: `Unknown argument "idd" on field "Query.portfolioLink".`,
			`query($i:IDD){viewer{id}}`:       `Unknown type "IDD".`,
			`{viewer}`:                        `Field "viewer" of type "Viewer" must have a selection of subfields.`,
			`{...on Viewr{id}}`:               `Unknown type "Viewr".`,
			`{viewer{id @when(if:true)}}`:     `Unknown directive "@when".`,
			`{viewer{id @include(iff:true)}}`: `Directive "@include" argument "if" of type "Boolean!" is required, but it was not provided.`,
			`{viewer{...Fragmen}} fragment Fragment on Viewer{id}`: `Unknown fragment "Fragmen".`,
		} {
			_, body := graphtest.Query(t, server, "", query, nil)
			if !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), want) || strings.Contains(body, "Did you mean") {
				t.Errorf("%s: %s", query, body)
			}
		}
	})
}

// TestBusy: without a slot nothing of a request is looked at.
func TestBusy(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		server := graphtest.Serve(t, database, func(o *graphtest.Options) {
			o.Admission.Lookups = admission.NewThrottle(0, 0, time.Minute)
		})
		for _, body := range []string{`{"query":"{__typename}"}`, `{"query":"{portfolioLink(id:1){nme}}"}`, `x`} {
			checkExchange(t, server, golden, exchange{
				name: map[string]string{`{"query":"{__typename}"}`: "valid query", `{"query":"{portfolioLink(id:1){nme}}"}`: "invalid query", "x": "not JSON"}[body], body: body, status: 503,
				answer:  `{"errors":[{"message":"The server is busy. Try again later.","extensions":{"code":"UNAVAILABLE"}}]}`,
				answers: map[string]string{"Retry-After": "1"},
			})
		}
	})
}

// TestSlotsByKind: where no slot is left for one kind of work, the others go
// on.
func TestSlotsByKind(t *testing.T) {
	none := admission.NewThrottle(0, 0, time.Minute)
	const (
		lookup = `{portfolioLink(id:4){name imageData{thumbnails{id}}}}`
		page   = `{portfolioLinks(first:100){nodes{id name imageData{id thumbnails{id url}}}}}`
		search = `{portfolioLinks(filter:{search:"x"}){nodes{id}}}`
		count  = `{portfolioLinks{totalCount}}`
		nested = `{portfolios(first:60){nodes{links(first:20){nodes{id name}}}}}`
		write  = `mutation{updatePortfolioLink(input:{id:4}){portfolioLink{id}}}`
	)
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, graphtest.Recorded)
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Admission.Heavy, o.Admission.Uploads = none, none })
		for query, want := range map[string]int{lookup: 200, page: 200, write: 200, search: 503, count: 503, nested: 503} {
			response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, query, nil)
			status := response.StatusCode
			if busy := strings.Contains(body, "The server is busy."); status != want || busy != (want == 503) {
				t.Errorf("%s: %d %.300s", query, status, body)
			}
		}
	})
}

// TestLargeResponseIsHeavy: a cheap document whose response grows is moved to
// the slots of heavy work.
func TestLargeResponseIsHeavy(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, graphtest.Recorded)
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET description = $1 WHERE id = 4", strings.Repeat("x", 1<<20))
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Admission.Heavy = admission.NewThrottle(0, 0, time.Minute) })
		for query, want := range map[string]int{`{portfolioLink(id:4){name}}`: 200, `{portfolioLink(id:4){description}}`: 503} {
			if response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, query, nil); response.StatusCode != want {
				status := response.StatusCode
				t.Errorf("%s: %d %.300s", query, status, body)
			}
		}
	})
}
