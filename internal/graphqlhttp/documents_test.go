package graphqlhttp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/document"
)

// TestHTTP_ResolvesPersistedDocuments compares the responses to requests by ID and by hash.
func TestHTTP_ResolvesPersistedDocuments(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	texts, err := document.ReadPersisted(writeFiles(t, map[string]string{
		"codegen.json":    `{"sha256:1":"query A{a:__typename}","2":"{b:__typename}"}`,
		"apollo.json":     `{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"3","name":"C","type":"query","body":"query C{c:__typename}"}]}`,
		"sub/d.graphql":   "{d:__typename}",
		"sub/ignored.txt": "x",
	}))
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		t.Parallel()
		for _, onlyPersisted := range []bool{false, true} {
			server := graphtest.Serve(t, database, func(o *graphtest.Options) { o.Persisted, o.OnlyPersisted = texts, onlyPersisted })
			for _, c := range []httpCase{
				{name: "manifest of graphql-codegen", body: `{"documentId":"sha256:1"}`},
				{name: "manifest of Relay", query: "documentId=2"},
				{name: "manifest of Apollo", body: `{"documentId":"3"}`},
				{name: "file by documentId", body: `{"documentId":"sha256:` + sha("{d:__typename}") + `"}`},
				{name: "file by hash", body: persisted(sha("{d:__typename}"))},
				{name: "text of a persisted document", body: `{"query":"{d:__typename}"}`},
				{name: "text of another document", body: typename},
			} {
				if onlyPersisted {
					c.name += ", only persisted"
				}
				t.Run(c.name, func(t *testing.T) { checkHTTP(t, server, golden, c) })
			}
		}
	})
}

// writeFiles writes files into a temporary directory and returns its path.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	directory := t.TempDir()
	for name, text := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// TestHTTP_ChecksIntrospection compares the responses to introspections of each kind of client.
func TestHTTP_ChecksIntrospection(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	const query = `{"query":"{...F} fragment F on Query{__schema{queryType{name}}}"}`
	dbtest.EachLoaded(t, graphtest.Recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		database := dbtest.Open(t, dsn)
		for _, mode := range []document.Introspection{document.IntrospectionOn, document.IntrospectionAuthenticated, document.IntrospectionOff} {
			server := graphtest.Serve(t, database, func(o *graphtest.Options) { o.Introspection = mode })
			for range 2 { // the second time the document is cached
				checkHTTP(t, server, golden, httpCase{name: "introspection " + string(mode) + ", authenticated", body: query, headers: authorization(staff)})
				checkHTTP(t, server, golden, httpCase{name: "introspection " + string(mode) + ", anonymous", body: query})
			}
		}
	})
}

// TestHTTP_SuggestsNothingWithoutIntrospection checks that errors do not disclose names of the schema while
// introspection is off.
func TestHTTP_SuggestsNothingWithoutIntrospection(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		t.Parallel()
		server := graphtest.Serve(t, database, func(o *graphtest.Options) { o.Introspection = document.IntrospectionOff })
		for query, want := range map[string]string{
			`{viewr{id}}`:                                        `Cannot query field "viewr" on type "Query".`,
			`{portfolioLink(idd:1,id:1){id}}`:                    `Unknown argument "idd" on field "Query.portfolioLink".`,
			`query($i:IDD){viewer{id}}`:                          `Unknown type "IDD".`,
			`{viewer}`:                                           `Field "viewer" of type "User" must have a selection of subfields.`,
			`{...on Viewr{id}}`:                                  `Unknown type "Viewr".`,
			`{viewer{id @when(if:true)}}`:                        `Unknown directive "@when".`,
			`{viewer{id @include(iff:true)}}`:                    `Directive "@include" argument "if" of type "Boolean!" is required, but it was not provided.`,
			`{viewer{...Fragmen}} fragment Fragment on User{id}`: `Unknown fragment "Fragmen".`,
		} {
			_, body := graphtest.Query(t, server, "", query, nil)
			if !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), want) || strings.Contains(body, "Did you mean") {
				t.Errorf("%s: %s", query, body)
			}
		}
	})
}
