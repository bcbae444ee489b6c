package graph_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/telemetry"
)

// In each table, row 7001 has long texts, and 7002 has short ones but long rows beside it.
const (
	longID, shortID = 7001, 7002
	longText        = 48 << 10 // bytes
	maxMetered      = 32 << 10
)

// readArguments are the arguments with which each field of Query reads a long row.
var readArguments = map[string][]string{
	"portfolioLink":  {`(id:7001)`},
	"portfolioLinks": {`(first:100)`, `(last:100)`, `(portfolioId:7001)`, `(filter:{imageId:7001})`},
	"portfolio":      {`(id:7001)`},
	"portfolios":     {`(first:100)`, `(last:100)`},
	"node":           {},
	"nodes":          {},
	"image":          {`(id:7001)`},
	"images":         {`(first:100)`, `(last:100)`},
	"users":          {`(last:100)`},
	"tokens":         {`(last:100)`},
	"viewer":         nil, // read to authenticate the request, before it has a response
}

// partOfRow has the fields whose objects are read, and counted, with the row.
var partOfRow = map[string]bool{"PortfolioLink.imageData": true, "Image.thumbnails": true, "Image.thumbnail": true}

func rowID(of db.NodeType, id int) string { return nodeID(string(of), strconv.Itoa(id)) }

// readPaths returns a query for each way to read rows that are long: the fields of
// Query with each of their arguments, and the fields of each type of object.
func readPaths(t *testing.T) (queries []string) {
	t.Helper()
	schema := graph.NewSchema(&graph.Resolver{}).Schema()
	for _, field := range schema.Query.Fields {
		arguments, ok := readArguments[field.Name]
		if !ok && !strings.HasPrefix(field.Name, "__") {
			t.Errorf("Query.%s: readArguments has no arguments for it", field.Name)
		}
		for _, arguments := range arguments {
			queries = append(queries, "{"+field.Name+arguments+selectTypenames(schema, field.Type)+"}")
		}
	}
	for _, of := range db.NodeTypes {
		queries = append(queries, fmt.Sprintf(`{node(nodeId:%q){__typename}}`, rowID(of, longID)))
		queries = append(queries, fmt.Sprintf(`{nodes(nodeIds:[%q,%q]){__typename}}`, rowID(of, shortID), rowID(of, longID)))
		for _, field := range schema.Types[string(of)].Fields {
			if schema.Types[field.Type.Name()].IsLeafType() || partOfRow[string(of)+"."+field.Name] {
				continue
			}
			queries = append(queries, fmt.Sprintf(`{node(nodeId:%q){...on %s{%s%s}}}`, rowID(of, shortID), of, field.Name, selectTypenames(schema, field.Type)))
		}
	}
	return queries
}

// selectTypenames selects nothing of the rows, so that only reading them counts.
func selectTypenames(schema *ast.Schema, of *ast.Type) string {
	if nodes := schema.Types[of.Name()].Fields.ForName("nodes"); nodes != nil {
		return "{nodes{__typename}}"
	}
	return "{__typename}"
}

// loadMeteredRows inserts the rows 7001 and 7002, and the rows next to 7002.
func loadMeteredRows(t *testing.T, dsn string) {
	t.Helper()
	exec := dbtest.Session(t, dsn)
	long := strings.Repeat("x", longText)
	for id, text := range map[int]string{longID: long, shortID: "short"} {
		exec("INSERT INTO users (id, username, is_active, is_staff, is_admin) VALUES ($1, $2, true, false, false)", id, text)
		exec("INSERT INTO tokens (id, user_id, key_hash, label) VALUES ($1, $1, $2, $3)", id, []byte(text), text)
		exec("INSERT INTO portfolios (id, name) VALUES ($1, $2)", id, text)
		exec("INSERT INTO images (id, type, name, path, size) VALUES ($1, 'image', $2, $2, 1)", id, text)
		exec("INSERT INTO thumbnails (id, image_id, path) VALUES ($1, $1, $2)", id, text)
	}
	const link = "INSERT INTO portfolio_links (id, portfolio_id, image_id, name, description) VALUES ($1, $2, $3, 'a', $4)"
	exec(link, 7000, longID, nil, long)
	exec(link, longID, shortID, shortID, long)
	exec(link, shortID, longID, nil, "short")
	exec(link, 7003, longID, longID, long)
}

// TestMeter_CountsEveryRead checks that the rows of every way to read them are counted
// for the response, even if nothing of them is selected.
func TestMeter_CountsEveryRead(t *testing.T) {
	t.Parallel()
	want := fmt.Sprintf("The response would have more than %d bytes.", maxMetered)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		loadMeteredRows(t, dsn)
		var logs bytes.Buffer
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) {
			o.MaxResponse, o.Log = maxMetered, slog.New(slog.NewTextHandler(&logs, nil))
		})
		for _, query := range readPaths(t) {
			if _, body := graphtest.Query(t, server, admin, query, nil); !strings.Contains(body, want) {
				t.Errorf("%s: got %.300s, want %q", query, body, want)
			}
		}
		for _, of := range db.NodeTypes { // alone it is within the limit
			query := fmt.Sprintf(`{node(nodeId:%q){__typename}}`, rowID(of, shortID))
			if _, body := graphtest.Query(t, server, admin, query, nil); body != fmt.Sprintf(`{"data":{"node":{"__typename":"%s"}}}`, of) {
				t.Errorf("%s: got %.300s, want an object", query, body)
			}
		}
		for _, subscription := range []string{`subscription{portfolioChanged(portfolioId:7001){__typename}}`, `subscription{portfolioLinkChanged(id:7001){__typename}}`} {
			body := firstEvent(t, server, subscription)
			if !strings.Contains(body, want) {
				t.Errorf("%s: got %.300s, want %q", subscription, body, want)
			}
		}
		server.Close()
		if logs.Len() > 0 { // a client asked for too much
			t.Errorf("logged %.300s, want nothing", logs.String())
		}
	})
}

// firstEvent returns the first event of a subscription.
func firstEvent(t *testing.T, server *httptest.Server, subscription string) string {
	t.Helper()
	target := server.URL + "?" + url.Values{"query": {subscription}}.Encode()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {admin}}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	event := bufio.NewReader(response.Body)
	_, err = event.ReadString('\n')
	data, dataErr := event.ReadString('\n')
	if err := errors.Join(err, dataErr); err != nil {
		t.Fatalf("%s: %v", subscription, err)
	}
	return data
}

// TestMeter_AddsUpFields checks that fields which are within the limit alone are
// refused together, whether they share a statement or not.
func TestMeter_AddsUpFields(t *testing.T) {
	t.Parallel()
	const (
		limit = 8 << 20
		links = 100
		long  = 10_000 // characters of 4 bytes
	)
	want := fmt.Sprintf(`{"errors":[{"message":"The response would have more than %d bytes. Ask for smaller pages or fewer fields.","extensions":{"code":"BAD_USER_INPUT"}}]}`, limit)
	check := func(t *testing.T, server *httptest.Server, operation, field string, variables object, aliases int, refused bool) {
		t.Helper()
		var query strings.Builder
		for i := range aliases {
			fmt.Fprintf(&query, "f%d:%s ", i, field)
		}
		_, body := graphtest.Query(t, server, admin, operation+"{"+query.String()+"}", variables)
		if got := body == want; got != refused {
			t.Errorf("%d aliases of %.60s: refused: %t, want %t: %.300s", aliases, field, got, refused, body)
		}
	}
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		exec := dbtest.Session(t, dsn)
		exec("INSERT INTO portfolios (id, name) VALUES (7001, 'long')")
		ids := make([]string, links)
		for i := range ids {
			ids[i] = rowID(db.PortfolioLinkNode, 8000+i)
			exec("INSERT INTO portfolio_links (id, portfolio_id, name, description) VALUES ($1, 7001, 'a', $2)", 8000+i, strings.Repeat("🙂", long))
		}
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.MaxResponse = limit })
		for _, aliases := range []int{1, 20} {
			check(t, server, "query($ids:[ID!]!)", `nodes(nodeIds:$ids){__typename}`, object{"ids": ids}, aliases, aliases > 1)
			check(t, server, "query", `portfolioLinks(portfolioId:7001,first:100){nodes{__typename}}`, nil, aliases, aliases > 1)
		}
		small := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.MaxResponse = 20 * 4 * long * 9 / 10 })
		var query strings.Builder
		for i := range 20 { // PostgreSQL reads most of them by one statement
			fmt.Fprintf(&query, "f%d:portfolioLink(id:%d){__typename} ", i, 8000+i)
		}
		if _, body := graphtest.Query(t, small, admin, "{"+query.String()+"}", nil); !strings.Contains(body, "The response would have more than ") {
			t.Errorf("20 aliases of portfolioLink: got %.300s, want a refusal", body)
		}
	})
}

// TestFailures_AreLoggedOnce checks that a request with many fields that fail for one reason
// has one record in the log, and none if its client asked for too much.
func TestFailures_AreLoggedOnce(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		loadMeteredRows(t, dsn)
		var logs bytes.Buffer
		log := slog.New(slog.NewTextHandler(&logs, nil))
		handler := graphtest.NewHandler(t, &graph.Resolver{DB: dbtest.Open(t, dsn)}, func(o *graphtest.Options) { o.MaxResponse, o.Log = maxMetered, log })
		send := func(field, want string, records int) {
			t.Helper()
			var query strings.Builder
			for i := range 20 {
				fmt.Fprintf(&query, "f%d:%s ", i, field)
			}
			body, err := json.Marshal(object{"query": "{" + query.String() + "}"})
			if err != nil {
				t.Fatal(err)
			}
			logs.Reset()
			recorder, request := httptest.NewRecorder(), newRequest(t, admin, body)
			handler.ServeHTTP(recorder, request.WithContext(telemetry.WithRequest(request.Context(), &telemetry.Request{})))
			if got := strings.Count(logs.String(), "\n"); got != records || !strings.Contains(recorder.Body.String(), want) {
				t.Errorf("%s: %d records, want %d: %.300s\n%.300s", field, got, records, logs.String(), recorder.Body)
			}
		}
		send(`portfolioLinks(first:100){nodes{description}}`, "more than", 0)
		send(`portfolio(id:7001){links(first:100){edges{node{description previous{id}}}}}`, "more than", 0)
		dbtest.Exec(t, dsn, "ALTER TABLE images RENAME COLUMN mode TO renamed")
		send(`image(id:1){id}`, `"INTERNAL"`, 1)
		send(`images(first:1){nodes{id links{nodes{id}}}}`, `"INTERNAL"`, 1)
	})
}
