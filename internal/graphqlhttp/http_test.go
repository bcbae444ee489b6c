package graphqlhttp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"portfolio/graph/graphtest"
)

const (
	newType = "application/graphql-response+json"
	oldType = "application/json"

	admin = "Token " + graphtest.Admin
	staff = "Token " + graphtest.Staff4242

	typename      = `{"query":"{__typename}"}`
	unknownField  = `{"query":"{portfolioLink(id:1){nme}}"}`
	withVariables = `{"query":"{__typename}","variables":`
)

// httpCase is a request, whose response is in the golden file of the test.
type httpCase struct {
	name    string
	method  string // default: POST with a body, GET without
	query   string // query string of the URL
	headers map[string]string
	body    string // sent as application/json unless headers say otherwise
}

func checkHTTP(t *testing.T, server *httptest.Server, golden *graphtest.Golden, c httpCase) {
	t.Helper()
	response, body := sendCase(t, server, c)
	golden.Check(t, c.name, response, body)
}

func sendCase(t *testing.T, server *httptest.Server, c httpCase) (*http.Response, string) {
	t.Helper()
	header := http.Header{}
	if c.body != "" {
		header.Set("Content-Type", oldType)
		if c.method == "" {
			c.method = http.MethodPost
		}
	}
	for name, value := range c.headers {
		header.Set(name, value)
	}
	return graphtest.Send(t, server, c.method, "/graphql?"+c.query, header, []byte(c.body))
}

func accept(types string) map[string]string { return map[string]string{"Accept": types} }

func contentType(value string) map[string]string { return map[string]string{"Content-Type": value} }

func authorization(value string) map[string]string { return map[string]string{"Authorization": value} }

// get returns the query string of a GET request.
func get(document string) string { return "query=" + url.QueryEscape(document) }

func sha(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// persisted returns a body with extensions.persistedQuery and no query.
func persisted(hash string) string { return `{` + persistedExtension(hash) + `}` }

func persistedExtension(hash string) string {
	return `"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}`
}

// TestHTTP_Responds compares the responses to requests of each kind.
func TestHTTP_Responds(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := slices.Concat(getCases(), negotiationCases(), documentCases(), bodyCases(), sizeCases(), headerCases(), hashCases())
	graphtest.EachCached(t, graphtest.Recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { checkHTTP(t, server, golden, c) })
		}
	})
}

// TestHTTP_SetsContentLength covers the responses without a body.
func TestHTTP_SetsContentLength(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, graphtest.Recorded, func(t *testing.T, server *httptest.Server) {
		head, _ := sendCase(t, server, httpCase{method: http.MethodHead, query: get("{__typename}")})
		notModified, _ := sendCase(t, server, httpCase{query: get("{__typename}"), headers: map[string]string{"If-None-Match": head.Header.Get("ETag")}})
		if head.Header.Get("Content-Length") != "31" || notModified.Header.Values("Content-Length") != nil {
			t.Errorf("HEAD: %v, %s: %v", head.Header, notModified.Status, notModified.Header)
		}
	})
}

// TestHTTP_AcceptsMissingHost sends requests without a host, as HTTP/1.0 allows: the URLs of files have
// the address that the client has connected to.
func TestHTTP_AcceptsMissingHost(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, graphtest.Recorded, func(t *testing.T, server *httptest.Server) {
		address := server.Listener.Addr().String()
		for _, version := range []string{"1.0", "1.1\r\nHost:"} {
			connection, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.Close() }()
			const query = "query={image(id:6){url%20srcset}}"
			if _, err := fmt.Fprintf(connection, "GET /graphql?%s HTTP/%s\r\nAuthorization: %s\r\nConnection: close\r\n\r\n", query, version, admin); err != nil {
				t.Fatal(err)
			}
			response, err := io.ReadAll(connection)
			if want := `"url":"http://` + address + `/media/core_media/2025/12/02/technology.png"`; err != nil || !strings.Contains(string(response), want) {
				t.Errorf("HTTP/%q: got %s, %v, want %s", version, response, err, want)
			}
		}
	})
}

func getCases() []httpCase {
	const guarded = "query($i:ID!){...F} fragment F on Query{portfolioLink(id:$i){name}}"
	return []httpCase{
		{name: "POST", body: typename},
		{name: "GET", query: get("{__typename}")},
		{name: "HEAD", method: "HEAD", query: get("{__typename}")},
		{name: "GET with the current ETag", query: get("{__typename}"), headers: map[string]string{"If-None-Match": `"other", W/"0384bd78b8b987171b0ce4f29e771044"`}},
		{name: "GET with another ETag", query: get("{__typename}"), headers: map[string]string{"If-None-Match": `"other"`}},
		{name: "GET with a repeated parameter", query: get("{__typename}") + "&" + get("{a:__typename}")},
		{name: "GET of the viewer", query: get("{viewer{username}}"), headers: authorization(staff)},
		{name: "GET of a field that needs a permission", query: get(guarded) + `&variables={"i":"4"}`, headers: authorization("Bearer " + graphtest.Staff4242)},
		{name: "HEAD of a field that needs a permission", method: "HEAD", query: get(guarded) + `&variables={"i":"4"}`, headers: authorization("Bearer " + graphtest.Staff4242)},
		{name: "GET of a field that needs a permission, with the current ETag", query: get(guarded) + `&variables={"i":"4"}`,
			headers: map[string]string{"Authorization": staff, "If-None-Match": `W/"2e04fb14720e93230130002fe2309697"`}},
		{name: "POST of a field that needs a permission", body: `{"query":"{portfolioLink(id:4){name}}"}`, headers: map[string]string{"Authorization": staff, "Accept": newType}},
		{name: "GET with field errors", query: get("{portfolioLink(id:4){name}}")},
		{name: "HTML characters in an ID", body: `{"query":"{a:portfolioLink(id:\"<&>\"){name}}"}`, headers: authorization(staff)},
		{name: "operationName", body: `{"query":"query A{viewer{id}} query B{x:viewer{id}}","operationName":"B"}`},
		{name: "GET with variables", query: get("query($a:Boolean!){viewer@include(if:$a){id}}") + "&variables=" + url.QueryEscape(`{"a":true}`)},
	}
}

func negotiationCases() []httpCase {
	return []httpCase{
		{name: "Accept: new type", body: typename, headers: accept(newType)},
		{name: "Accept of Apollo Client", body: typename, headers: accept(newType + "," + oldType + ";q=0.9")},
		{name: "Accept of urql", body: typename, headers: accept(newType + ", application/graphql+json, " + oldType + ", text/event-stream, multipart/mixed")},
		{name: "Accept: old type has the higher weight", body: typename, headers: accept(newType + ";q=0.5, " + oldType + ";q=0.6")},
		{name: "Accept: new type excluded", body: typename, headers: accept(newType + ";q=0, */*")},
		{name: "Accept: most specific range wins", body: typename, headers: accept("*/*, " + oldType + ";q=0.1")},
		{name: "Accept: no supported type", body: typename, headers: accept("text/html")},
	}
}

func documentCases() []httpCase {
	return []httpCase{
		{name: "invalid document, new type", body: unknownField, headers: accept(newType)},
		{name: "invalid document, old type", body: unknownField},
		{name: "syntax error", body: `{"query":"{"}`, headers: accept(newType)},
		{name: "missing variable", body: `{"query":"query($i:ID!){portfolioLink(id:$i){id}}"}`, headers: accept(newType)},
		{name: "unknown operationName", body: `{"query":"query A{__typename}","operationName":"B"}`},
		{name: "subscription", body: `{"query":"subscription{portfolioLinkChanged(id:4){id}}"}`},
		{name: "defer", body: `{"query":"{portfolioLink(id:4){...@defer{portfolio{id}}}}"}`, headers: authorization(staff)},
		{name: "fragment without an operation", body: `{"query":"fragment F on Query{__typename}"}`},
	}
}

func bodyCases() []httpCase {
	return []httpCase{
		{name: "no query", body: `{}`},
		{name: "GET without a query", method: "GET"},
		{name: "null members", body: `{"query":"{__typename}","operationName":null,"variables":null,"extensions":null}`},
		{name: "malformed JSON", body: `{"query":`},
		{name: "query is a number", body: `{"query":1}`},
		{name: "variables is an array", body: withVariables + `[]}`},
		{name: "batch", body: "[" + typename + "]"},
		{name: "large batch after white space", body: " \r\n\t[" + strings.Repeat(typename+",", 2000) + typename + "]"},
		{name: "text after the object", body: typename + " trailing"},
		{name: "duplicate query", body: `{"query":"{__typename}","query":"{__typename}"}`},
		{name: "Query in upper case", body: `{"Query":"{__typename}"}`},
		{name: "unknown members", body: `{"id":1,"id":[{}],"query":"{__typename}"}`},
		{name: "unclosed object", body: `{"query":"{__typename}"`},
		{name: "empty body", method: "POST", headers: contentType(oldType)},
		{name: "two objects", body: typename + "{}"},
	}
}

func sizeCases() []httpCase {
	list := func(value string, n int) string { return `{"a":[` + strings.Repeat(value+",", n-1) + `0]}` }
	nested := func(levels int) string {
		return `{"a":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + "}"
	}
	body := func(size int) string { return strings.Repeat("x", size) }
	return []httpCase{
		{name: "largest anonymous body", body: body(128 << 10)},
		{name: "anonymous body too large", body: body(128<<10 + 1)},
		{name: "largest authenticated body", body: body(1 << 20), headers: authorization(staff)},
		{name: "authenticated body too large", body: body(1<<20 + 1), headers: authorization(staff)},
		{name: "most values", body: withVariables + list("0", 1996) + "}"},
		{name: "too many values", body: withVariables + list("0", 1997) + "}"},
		{name: "too many empty arrays", body: withVariables + list("[]", 1001) + "}"},
		{name: "brackets and commas in a string", body: `{"query":"{__typename}","operationName":"` + strings.Repeat(`[{\\\",`, 2000) + `"}`},
		{name: "50 levels", body: withVariables + nested(48) + "}"},
		{name: "51 levels", body: withVariables + nested(49) + "}"},
		{name: "GET with too many values", query: get("{__typename}") + "&variables=" + list("0", 2001)},
		{name: "GET with a number as variables", query: get("{__typename}") + "&variables=1"},
		{name: "GET with malformed extensions", query: get("{__typename}") + "&extensions=x"},
		{name: "GET with a malformed query string", query: "query=%zz"},
	}
}

func headerCases() []httpCase {
	return []httpCase{
		{name: "Content-Type: plain text", body: typename, headers: contentType("text/plain")},
		{name: "Content-Type: form", body: "query=mutation{__typename}", headers: contentType("application/x-www-form-urlencoded")},
		{name: "Content-Type: empty", body: typename, headers: contentType("")},
		{name: "Content-Type: GraphQL", body: "{__typename}", headers: contentType("application/graphql")},
		{name: "Content-Type: UTF-16", body: typename, headers: contentType(oldType + "; charset=utf-16")},
		{name: "Content-Type: UTF-8", body: typename, headers: contentType(oldType + "; charset=UTF-8")},
		{name: "Content-Encoding: gzip", body: "\x1f\x8b", headers: map[string]string{"Content-Encoding": "gzip"}},
		{name: "DELETE", method: "DELETE", query: get("{__typename}")},
		{name: "WebSocket of another version", headers: map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}},
		{name: "Upgrade to HTTP/2", body: typename, headers: map[string]string{"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}},
		{name: "Server-sent events", body: typename, headers: accept("text/event-stream")},
		{name: "unknown token", query: get("{__typename}"), headers: authorization("Token nobody")},
	}
}

// hashCases are about automatic persisted queries.
func hashCases() []httpCase {
	known := sha("{a:__typename}")
	return []httpCase{
		{name: "unknown hash, old type", body: persisted(sha("{unknown}"))},
		{name: "unknown hash, new type", body: persisted(sha("{unknown}")), headers: accept(newType)},
		{name: "hash with its document", body: `{"query":"{a:__typename}",` + persistedExtension(known) + `}`},
		{name: "GET with a known hash", query: "extensions=" + `{"persistedQuery":{"version":1,"sha256Hash":"` + known + `"}}`},
		{name: "hash of another document", body: `{"query":"{b:__typename}",` + persistedExtension(known) + `}`},
		{name: "malformed hash", body: persisted("12")},
		{name: "unknown documentId", body: `{"documentId":"sha256:1"}`},
	}
}
