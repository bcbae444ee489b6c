package graph_test

import (
	"strings"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// serveOrphans serves rows that refer to rows which do not exist: other programs store them
// in SQLite without foreign keys, and in PostgreSQL while triggers are disabled.
func serveOrphans(t *testing.T, test func(t *testing.T, query func(text string) string)) {
	dbtest.EachLoaded(t, "../compat/testdata/fixtures.json", func(t *testing.T, dsn string) {
		t.Parallel()
		server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		exec := dbtest.Session(t, dsn)
		if strings.HasPrefix(dsn, "sqlite:") {
			exec("PRAGMA foreign_keys = OFF")
		} else {
			for _, table := range []string{"portfolio_links", "thumbnails", "tokens", "user_permissions"} {
				exec("ALTER TABLE " + table + " DISABLE TRIGGER ALL")
			}
		}
		exec("INSERT INTO portfolios (id, name) VALUES (7900, 'whole')")
		exec("INSERT INTO portfolio_links (id, portfolio_id, image_id, name) VALUES (7900, 7900, 777, 'no image'), (7901, 7900, NULL, 'last'), (7902, 778, 777, 'no portfolio'), (7903, 778, NULL, 'neighbour')")
		exec("INSERT INTO thumbnails (id, image_id, path, size) VALUES (7900, 777, 'a.png', 10)")
		exec("INSERT INTO tokens (id, user_id, key_hash) VALUES (-1, 779, 'h')")
		exec("INSERT INTO user_permissions (user_id, code) VALUES (779, 4242)")
		test(t, func(text string) string {
			_, body := graphtest.Query(t, server, "Token "+graphtest.Admin, text, nil)
			return body
		})
	})
}

// TestOrphans_AreReadableAndChangeable reads and changes rows that refer to rows which do not
// exist.
func TestOrphans_AreReadableAndChangeable(t *testing.T) {
	t.Parallel()
	serveOrphans(t, func(t *testing.T, query func(text string) string) {
		for text, want := range map[string]string{
			`{portfolioLink(id: 7900) {name imageData {id}}}`:                                   `{"portfolioLink":{"name":"no image","imageData":null}}`,
			`{portfolioLink(id: 7900) {name next {name} imageData {thumbnails {id}}}}`:          `{"portfolioLink":{"name":"no image","next":{"name":"last"},"imageData":null}}`,
			`{portfolioLinks(portfolioId: 7900) {nodes {id imageData {id}}}}`:                   `{"portfolioLinks":{"nodes":[{"id":"7900","imageData":null},{"id":"7901","imageData":null}]}}`,
			`{portfolio(id: 7900) {links {nodes {id imageData {id}}}}}`:                         `{"portfolio":{"links":{"nodes":[{"id":"7900","imageData":null},{"id":"7901","imageData":null}]}}}`,
			`{portfolioLink(id: 7901) {previous {imageData {id}}}}`:                             `{"portfolioLink":{"previous":{"imageData":null}}}`,
			`{portfolioLink(id: 7902) {imageData {id} portfolio {id name links {totalCount}}}}`: `{"portfolioLink":{"imageData":null,"portfolio":{"id":"778","name":"","links":{"totalCount":2}}}}`,
			`{portfolioLinks(portfolioId: 778) {nodes {portfolio {id name}}}}`:                  `{"portfolioLinks":{"nodes":[{"portfolio":{"id":"778","name":""}},{"portfolio":{"id":"778","name":""}}]}}`,
			`{portfolio(id: 778) {id}}`:                                                         `{"portfolio":null}`,
			`{node(nodeId: "VGh1bWJuYWlsOjc5MDA=") {... on Thumbnail {id}}}`:                    `{"node":{"id":"7900"}}`,
			`{tokens(first: 1) {nodes {id username} pageInfo {hasNextPage}}}`:                   `{"tokens":{"nodes":[{"id":"-1","username":""}],"pageInfo":{"hasNextPage":true}}}`,
		} {
			if got := query(text); got != `{"data":`+want+`}` {
				t.Errorf("%s: got %s, want %s", text, got, want)
			}
		}
		const lists = `{
			portfolioLinks(first: 100) {nodes {portfolio {name} imageData {id} previous {id portfolio {id} imageData {id}}}}
			portfolios {nodes {links {nodes {id imageData {thumbnails {id}}}}}} images {nodes {links {nodes {id portfolio {id}}}}}
			tokens {nodes {username}} users {nodes {permissions}}
		}`
		if got := query(lists); strings.Contains(got, "errors") {
			t.Errorf("lists: %s", got)
		}
		for _, change := range []struct{ mutation, want string }{
			{`updatePortfolioLink(input: {id: 7900, name: "new"}) {portfolioLink {name imageData {id}}}`, `{"updatePortfolioLink":{"portfolioLink":{"name":"new","imageData":null}}}`},
			{`updatePortfolioLink(input: {id: 7902, name: "new"}) {portfolioLink {name portfolio {id}}}`, `{"updatePortfolioLink":{"portfolioLink":{"name":"new","portfolio":{"id":"778"}}}}`},
			{`movePortfolioLink(input: {id: 7900, afterId: 7901}) {portfolioLink {imageData {id}}}`, `{"movePortfolioLink":{"portfolioLink":{"imageData":null}}}`},
			{`movePortfolioLink(input: {id: 7902, afterId: 7903}) {portfolioLink {previous {id}}}`, `{"movePortfolioLink":{"portfolioLink":{"previous":{"id":"7903"}}}}`},
			{`updatePortfolioLink(input: {id: 7902, portfolioId: 7900}) {portfolioLink {portfolio {id}}}`, `{"updatePortfolioLink":{"portfolioLink":{"portfolio":{"id":"7900"}}}}`},
			{`deletePortfolioLink(input: {id: 7900}) {deletedNodeId}`, `{"deletePortfolioLink":{"deletedNodeId":"UG9ydGZvbGlvTGluazo3OTAw"}}`},
			{`revokeToken(input: {id: -1}) {token {username}}`, `{"revokeToken":{"token":{"username":""}}}`},
		} {
			if got := query("mutation {" + change.mutation + "}"); got != `{"data":`+change.want+`}` {
				t.Errorf("%s: got %s, want %s", change.mutation, got, change.want)
			}
		}
	})
}
