package system

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// hits returns how often something was found in a cache.
func (s *testServer) hits(cache string) int {
	s.t.Helper()
	for _, metric := range s.scrape()["portfolio_cache_hits_total"].GetMetric() {
		if metric.GetLabel()[0].GetValue() == cache {
			return int(metric.GetCounter().GetValue())
		}
	}
	s.t.Fatal("no metric of the cache")
	return 0
}

// awaitCache waits until the cache has the response to a request.
func (s *testServer) awaitCache(path, authorization string) {
	s.t.Helper()
	for before := s.hits("responses"); s.hits("responses") == before; {
		if status, body := s.get(path, authorization); status != http.StatusOK {
			s.t.Fatal(status, body)
		}
	}
}

// startCached starts a server with a cache, and one without, of the same recorded rows.
func startCached(t *testing.T, dsn string, args ...string) (cached, uncached *testServer) {
	t.Helper()
	cached, _ = startRecorded(t, dsn, append(args, "--admin-addr=127.0.0.1:0")...)
	uncached = startServer(t, append(args, "--database-url="+dsn, "--cache-bytes=0")...)
	cached.awaitCache(linkPath, adminToken)
	return cached, uncached
}

const (
	adminToken = "Authorization: Token " + graphtest.Admin
	staffToken = "Authorization: Token " + graphtest.Staff4242
	manyCodes  = "Authorization: Token efb2ffb4ab0e3c0e8c4e1170f64a49d2cc6f6eb7" // with the same permissions as staffToken
	noneToken  = "Authorization: Token " + graphtest.Staff
)

func graphqlPath(query string) string { return "/graphql?query=" + url.QueryEscape(query) }

// cachedPaths are requests over both APIs whose responses show the recorded rows.
var cachedPaths = []string{
	linkPath, "/api/portfolios/links/4", "/api/portfolios/links/987654",
	graphqlPath(`{portfolioLink(portfolioId:1,id:4){name description url imageData{size alt thumbnails{id size}} portfolio{name}}}`),
	graphqlPath(`{portfolioLink(id:4){previous{id name} next{id name imageData{size}}}}`),
	graphqlPath(`{portfolioLink(id:987654){name}}`),
	graphqlPath(`{portfolioLinks(portfolioId:1){totalCount nodes{id name imageData{size thumbnails{id}}}}}`),
	graphqlPath(`{portfolioLinks(portfolioId:2,filter:{hasImage:true}){totalCount nodes{id}}}`),
	graphqlPath(`{portfolioLinks(first:100){totalCount nodes{id name portfolio{name}}}}`),
	graphqlPath(`{portfolio(id:1){name links(last:3){nodes{name imageData{size}}}}}`),
	graphqlPath(`{portfolios{nodes{name links(first:2){totalCount nodes{name}}}}}`),
	graphqlPath(`{node(nodeId:"UG9ydGZvbGlvTGluazo0"){...on PortfolioLink{name}}}`),
	graphqlPath(`{nodes(nodeIds:["SW1hZ2U6Ng==","UG9ydGZvbGlvOjE="]){...on Image{size} ...on Portfolio{name}}}`),
	graphqlPath(`{image(id:6){size thumbnails{size} links{nodes{id name}}}}`),
	graphqlPath(`{images(first:100){totalCount nodes{id size}}}`),
	graphqlPath(`{users(first:3){nodes{username permissions}} tokens(first:3){nodes{label}}}`),
}

// cachedChanges are statements that change the rows.
var cachedChanges = []string{
	"UPDATE portfolio_links SET name = 'new' WHERE id = 4",
	"UPDATE images SET size = 5124 WHERE id = 6",
	"UPDATE thumbnails SET size = 65 WHERE id = 213",
	"DELETE FROM thumbnails WHERE id = 214",
	"UPDATE portfolios SET name = 'new' WHERE id = 1",
	"INSERT INTO portfolio_links (id, portfolio_id, name, position) VALUES (987654, 1, 'found', 1)",
	"UPDATE portfolio_links SET portfolio_id = 2 WHERE id = 4",
	"UPDATE portfolio_links SET portfolio_id = 1, image_id = 11 WHERE id = 4",
	"UPDATE portfolio_links SET id = 987655 WHERE id = 987654",
	"DELETE FROM images WHERE id = 11",
	"UPDATE tokens SET label = 'new' WHERE id = 2",
	"DELETE FROM user_permissions WHERE user_id = 3",
	"DELETE FROM portfolio_links WHERE id = 4",
}

// TestCache_SeesChanges checks that a change by plain SQL is in the very next response.
func TestCache_SeesChanges(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		cached, uncached := startCached(t, dsn)
		for _, statement := range cachedChanges {
			before := map[string]string{}
			for _, path := range cachedPaths {
				for range 3 {
					_, before[path] = cached.get(path, adminToken)
				}
			}
			hits, changed := cached.hits("responses"), 0
			dbtest.Exec(t, dsn, statement)
			for _, path := range cachedPaths {
				status, body := cached.get(path, adminToken)
				if wantStatus, want := uncached.get(path, adminToken); status != wantStatus || body != want {
					t.Errorf("after %s: %s: %d, want %d: %s", statement, path, status, wantStatus, cmp.Diff(want, body))
				}
				if body != before[path] {
					changed++
				}
			}
			if found := cached.hits("responses") - hits; changed == 0 || found > len(cachedPaths)-changed {
				t.Errorf("%s: %d responses changed, %d were from the cache", statement, changed, found)
			}
		}
		if hits := cached.hits("responses"); hits < len(cachedChanges)*(len(cachedPaths)-4) {
			t.Errorf("%d responses were from the cache", hits)
		}
	})
}

// TestCache_SeesRights checks that a change of permissions or tokens by plain SQL counts for
// the very next request.
func TestCache_SeesRights(t *testing.T) {
	t.Parallel()
	const query = `{portfolioLink(id:4){name}}`
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		cached, _ := startCached(t, dsn)
		for _, step := range []struct {
			statement     string
			rest, graphql int
			code          string
		}{
			{"DELETE FROM user_permissions WHERE user_id = 3", 403, 200, "FORBIDDEN"},
			{"INSERT INTO user_permissions (user_id, code) VALUES (3, 4242)", 200, 200, ""},
			{"UPDATE users SET is_staff = false WHERE id = 3", 403, 200, "FORBIDDEN"},
			{"UPDATE users SET is_admin = true WHERE id = 3", 200, 200, ""},
			{"UPDATE users SET is_active = false WHERE id = 3", 401, 401, "UNAUTHENTICATED"},
			{"UPDATE users SET is_active = true WHERE id = 3", 200, 200, ""},
			{"UPDATE tokens SET expires_at = '2020-01-01 00:00:00.000000+00:00' WHERE user_id = 3", 401, 401, "UNAUTHENTICATED"},
			{"UPDATE tokens SET expires_at = NULL WHERE user_id = 3", 200, 200, ""},
			{"DELETE FROM tokens WHERE user_id = 3", 401, 401, "UNAUTHENTICATED"},
		} {
			for range 3 { // what others may read is in the cache
				cached.get(linkPath, adminToken)
				cached.get(graphqlPath(query), adminToken)
			}
			dbtest.Exec(t, dsn, step.statement)
			for range 3 {
				if status, body := cached.get(linkPath, staffToken); status != step.rest {
					t.Errorf("%s: %d %s", step.statement, status, body)
				}
				status, body := cached.get(graphqlPath(query), staffToken)
				if status != step.graphql || strings.Contains(body, `"code":"`) != (step.code != "") || !strings.Contains(body, step.code) {
					t.Errorf("%s: %d %s", step.statement, status, body)
				}
			}
		}
	})
}

// cachedRequest is a request, some of whose properties decide what is shared.
type cachedRequest struct {
	method, path, body string
	host               string
	fields             []string
}

func (s *testServer) do(c cachedRequest) string {
	s.t.Helper()
	request, err := http.NewRequest(c.method, s.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Host = c.host
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, field := range c.fields {
		name, value, _ := strings.Cut(field, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Header.Del("Date")
	response.Header.Del("X-Request-Id")
	return fmt.Sprint(response.Status, response.ContentLength, response.Header, "\n", string(body))
}

// cachedRequests returns all combinations of what decides a response.
func cachedRequests() (all []cachedRequest) {
	link, viewer := `{portfolioLink(id:4){imageData{url}}}`, `{viewer{username}}`
	node := `{node(nodeId:"` + base64.StdEncoding.EncodeToString([]byte("User:10")) + `"){...on User{username}}}` // of manyCodes
	both := `query A{portfolioLink(id:4){name}} query B{portfolioLink(id:10){name}}`
	for _, token := range []string{adminToken, staffToken, manyCodes, noneToken, "Authorization: Token wrong", "X-None: "} {
		for _, origin := range [][2]string{{"a.example", "http"}, {"b.example", "http"}, {"b.example", "https"}} {
			fields := []string{token, "X-Forwarded-Proto: " + origin[1]}
			for _, accept := range []string{"*/*", "application/json; indent=4", "application/graphql-response+json, application/json;q=0.9"} {
				with := slices.Concat(fields, []string{"Accept: " + accept})
				all = append(all,
					cachedRequest{"GET", linkPath, "", origin[0], with}, cachedRequest{"HEAD", linkPath, "", origin[0], with},
					cachedRequest{"GET", graphqlPath(link), "", origin[0], with}, cachedRequest{"POST", "/graphql", `{"query":"` + link + `"}`, origin[0], with})
			}
			for _, path := range []string{"/api/portfolios/links/4", "/api/portfolios/links/10", linkPath + "?format=json", graphqlPath(viewer), graphqlPath(node), graphqlPath(both) + "&operationName=A", graphqlPath(both) + "&operationName=B"} {
				all = append(all, cachedRequest{"GET", path, "", origin[0], fields})
			}
		}
	}
	return all
}

// TestCache_SeparatesRequests checks that requests which differ in anything that decides the
// response do not get each other's.
func TestCache_SeparatesRequests(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		cached, uncached := startCached(t, dsn, "--trusted-proxies=127.0.0.1", "--failed-logins=0")
		hits, requests := cached.hits("responses"), cachedRequests()
		wants := make([]string, len(requests))
		for i, request := range requests {
			wants[i] = uncached.do(request)
		}
		for range 3 {
			for i, request := range requests {
				if got := cached.do(request); got != wants[i] {
					t.Errorf("%v: %s", request, cmp.Diff(wants[i], got))
				}
			}
		}
		if cached.hits("responses") == hits {
			t.Error("nothing was from the cache")
		}
	})
}

const (
	forbidStaff  = "DELETE FROM user_permissions WHERE user_id = 3"
	permitStaff  = "INSERT INTO user_permissions (user_id, code) VALUES (3, 4242)"
	expireStaff  = "UPDATE tokens SET expires_at = '2020-01-01 00:00:00+00' WHERE user_id = 3"
	restoreStaff = "UPDATE tokens SET expires_at = NULL WHERE user_id = 3"
	permitNone   = "INSERT INTO user_permissions (user_id, code) VALUES (4, 4242)"
	forbidNone   = "DELETE FROM user_permissions WHERE user_id = 4"
)

// TestCache_ReadsOnceForAll checks that concurrent requests for what changed read it once.
func TestCache_ReadsOnceForAll(t *testing.T) {
	t.Parallel()
	const requests = 50
	dsn := dbtest.LoadedPostgres(t, recorded)
	line, through := dbtest.NewProxy(t, dsn)
	server := startServer(t, "--database-url="+through, "--admin-addr=127.0.0.1:0", "--change-feed-url="+dsn)
	for _, path := range []string{linkPath, graphqlPath(`{portfolioLinks(portfolioId:1){nodes{name}}}`)} {
		server.awaitCache(path, adminToken)
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET name = 'new' WHERE id = 4")
		server.get("/api/portfolios/links/10", adminToken) // the viewer is in memory
		before, began := server.statements(), databaseTime(t, dsn)
		release := line.HoldReplies()
		bodies := make(chan string, requests)
		for range requests {
			go func() {
				_, body := server.get(path, adminToken)
				bodies <- body
			}()
		}
		awaitRead(t, dsn, "portfolio_links", began)
		release()
		for range requests {
			if body := <-bodies; !strings.Contains(body, `"name":"new"`) {
				t.Errorf("%s", body)
			}
		}
		if read := server.statements() - before; read != 1 {
			t.Errorf("%s: %d statements", path, read)
		}
	}
}

// statements returns the number of statements since the start.
func (s *testServer) statements() (count int) {
	s.t.Helper()
	for _, metric := range s.scrape()["portfolio_statement_duration_seconds"].GetMetric() {
		count += int(metric.GetHistogram().GetSampleCount())
	}
	return count
}

// TestCache_LogsCachedRequests checks that the log tells the same of a response from the cache, but
// for the statements.
func TestCache_LogsCachedRequests(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		server, _ := startRecorded(t, dsn, "--admin-addr=127.0.0.1:0", "--log-format=json")
		server.awaitCache("/api/portfolios/links/10", adminToken)
		requests := []cachedRequest{
			{"GET", linkPath, "", "", []string{adminToken}},
			{"POST", "/graphql", `{"query":"query Name{portfolioLink(id:4){name}}"}`, "", []string{staffToken}},
			{"GET", graphqlPath(`query List{portfolioLinks{nodes{name}}}`), "", "", []string{adminToken}},
		}
		for range 3 {
			for i, request := range requests {
				request.fields = append(request.fields, "X-Request-Id: request-"+strconv.Itoa(i))
				server.do(request)
			}
		}
		server.stop()
		for i := range requests {
			var records []string
			for line := range strings.Lines(server.logs.String()) {
				if strings.Contains(line, `"request_id":"request-`+strconv.Itoa(i)+`"`) {
					records = append(records, regexp.MustCompile(`"(time|duration_ms)":[^,]*,`).ReplaceAllString(line, ""))
				}
			}
			if len(records) != 3 || !strings.Contains(records[2], `"statements":0,`) || strings.Contains(records[0], `"statements":0,`) {
				t.Fatalf("%q", records)
			}
			statements := regexp.MustCompile(`"statements":\d+,`)
			if diff := cmp.Diff(statements.ReplaceAllString(records[0], ""), statements.ReplaceAllString(records[2], "")); diff != "" {
				t.Error(diff)
			}
		}
	})
}
