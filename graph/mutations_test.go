package graph_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/graph/graphtest"
)

// mutationCase is a mutation with one root field, whose argument is input.
type mutationCase struct {
	name, field, selection string
	input                  object
}

func (c mutationCase) send(t *testing.T, server *httptest.Server) (*http.Response, string) {
	t.Helper()
	query := "mutation($i: " + inputType(c.field) + "!) {" + c.field + "(input: $i) " + c.selection + "}"
	return graphtest.Query(t, server, admin, query, object{"i": c.input})
}

// inputType returns the name of the input type of a mutation.
func inputType(field string) string { return strings.ToUpper(field[:1]) + field[1:] + "Input" }

// mutate sends a mutation or query and decodes its data into result. It returns
// the code of the first error, if any.
func mutate(t *testing.T, server *httptest.Server, mutation string, variables object, result any) (code string) {
	t.Helper()
	response, body := graphtest.Query(t, server, admin, mutation, variables)
	for range 50 { // a busy machine may refuse a slot: nothing was done
		if response.StatusCode != http.StatusServiceUnavailable {
			break
		}
		response, body = graphtest.Query(t, server, admin, mutation, variables)
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	var decoded struct {
		Data   any
		Errors []struct {
			Extensions struct{ Code string }
		}
	}
	decoded.Data = result
	unmarshal(t, body, &decoded)
	if len(decoded.Errors) > 0 {
		return decoded.Errors[0].Extensions.Code
	}
	return ""
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// TestMutations_MatchGoldenResponses runs the cases one after the other: later ones see the
// changes of earlier ones.
func TestMutations_MatchGoldenResponses(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := slices.Concat(portfolioMutations(), createLinkMutations(), createLinksMutations(), linkMutations(), moveMutations(), userMutations(), tokenMutations())
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := c.send(t, server)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

const staleTime = "2026-01-13T10:05:43.296310Z" // not the current updatedAt

// long returns n characters of two bytes.
func long(n int) string { return strings.Repeat("ا", n) }

func portfolioMutations() []mutationCase {
	const name = `{portfolio{name}}`
	return []mutationCase{
		{"create a portfolio", "createPortfolio", `{portfolio{name links{totalCount nodes{id}}}}`, object{"name": " \tA\n"}},
		{"create a portfolio with a blank name", "createPortfolio", `{portfolio{id}}`, object{"name": " \u00a0\n"}},
		{"create a portfolio with a name too long", "createPortfolio", `{portfolio{id}}`, object{"name": long(256)}},
		{"create a portfolio with NUL in its name", "createPortfolio", `{portfolio{id}}`, object{"name": "a\x00b"}},

		{"rename a portfolio", "updatePortfolio", name, object{"id": 3, "name": "renamed"}},
		{"update a portfolio without a name", "updatePortfolio", name, object{"id": 3}},
		{"rename a portfolio to null", "updatePortfolio", name, object{"id": 3, "name": nil}},
		{"rename a missing portfolio", "updatePortfolio", name, object{"id": 77, "name": "x"}},
		{"rename a portfolio that has changed", "updatePortfolio", name, object{"id": 3, "name": "x", "expectedUpdatedAt": staleTime}},
		{"rename a portfolio that has not changed", "updatePortfolio", `{portfolio{name createdAt}}`,
			object{"id": 2, "name": "x", "expectedUpdatedAt": "2026-01-13T13:35:43.296310+03:30"}},
		{"malformed ID", "updatePortfolio", name, object{"id": "x", "name": "x"}},
		{"time beyond the year 9999", "updatePortfolio", name, object{"id": 3, "expectedUpdatedAt": "9999-12-31T23:59:59-10:00"}},

		{"delete a portfolio that has changed", "deletePortfolio", `{deletedLinkIds}`, object{"id": 2, "expectedUpdatedAt": staleTime}},
		{"delete a portfolio with links", "deletePortfolio", `{deletedNodeId portfolio{id name links{totalCount}} deletedLinkIds deletedLinkCount}`, object{"id": 2}},
		{"delete a deleted portfolio", "deletePortfolio", `{deletedLinkIds}`, object{"id": 2}},
		{"delete a portfolio without links", "deletePortfolio", `{deletedLinkIds deletedLinkCount}`, object{"id": 3}},
	}
}

const linkSelection = `{portfolioLink{name url description portfolio{id} imageData{id thumbnails{id}}}}`

func createLinkMutations() []mutationCase {
	const (
		field   = "createPortfolioLink"
		placed  = `{portfolioLink{position}}`
		special = "\\u0000 'single' \"double\" \\ ? $1 %s 😀 \u2028 ?? :name {} \x01\x7f"
		url     = "https://example.com/?a='\"<>\\&b=ف#x"
	)
	return []mutationCase{
		{"create a link with special characters", field, linkSelection,
			object{"portfolioId": "1", "name": special, "url": url, "description": special, "imageId": "12"}},
		{"create a link without optional fields", field, linkSelection, object{"portfolioId": "1", "name": "x", "url": nil}},
		{"create a link at the end", field, placed, object{"portfolioId": "4294967297", "name": "x"}},
		{"create the first link of a portfolio", field, placed, object{"portfolioId": "4294967298", "name": "x"}},
		{"create a link with all fields invalid", field, linkSelection,
			object{"portfolioId": 77, "name": " ", "url": "ftp://example.com/", "description": long(10_001), "imageId": 77}},
		{"create a link of a missing portfolio and image", field, linkSelection, object{"portfolioId": 77, "name": "x", "imageId": 77}},
	}
}

func createLinksMutations() []mutationCase {
	const field, selection = "createPortfolioLinks", `{portfolioLinks{name position previous{name} portfolio{id links{totalCount}} imageData{id thumbnails{id}}}}`
	link := func(portfolio any, name string) object { return object{"portfolioId": portfolio, "name": name} }
	links := func(links ...object) object { return object{"links": links} }
	with := func(link object, name string, value any) object {
		link[name] = value
		return link
	}
	first, second := "4294967297", "UG9ydGZvbGlvOjQyOTQ5NjcyOTg="
	return []mutationCase{
		{"create several links, one invalid", field, selection, links(link(first, "a"), with(link(second, " "), "url", "x"))},
		{"create several links of missing portfolios and images", field, selection,
			links(link(first, "a"), with(link(77, "b"), "imageId", 77), link(second, "c"), with(link(first, "d"), "imageId", 12), link(78, "e"))},
		{"create several links with many errors", field, `{portfolioLinks{id}}`,
			links(slices.Repeat([]object{with(link(77, ""), "url", "x")}, 100)...)},
		{"create several links", field, selection,
			links(link(first, "a"), link(second, "b"), with(link(first, "c"), "imageId", "12"), with(link(second, "d"), "imageId", 12), link(first, "e"))},
		{"create one link", field, selection, object{"links": link(second, "f")}},
		{"create no links", field, selection, object{"links": []object{}}},
		{"create too many links", field, `{portfolioLinks{id}}`, links(slices.Repeat([]object{link(first, "a")}, 101)...)},
		{"create links that cost too much", field, `{portfolioLinks{portfolio{links(first:50){nodes{id}}}}}`, links(slices.Repeat([]object{link(first, "a")}, 100)...)},
	}
}

func linkMutations() []mutationCase {
	return []mutationCase{
		{"update a link without changes", "updatePortfolioLink", linkSelection, object{"id": 12}},
		{"clear all optional fields", "updatePortfolioLink", linkSelection, object{"id": 12, "url": nil, "description": nil, "imageId": nil}},
		{"change the portfolio of a link", "updatePortfolioLink", `{portfolioLink{portfolio{id} position}}`, object{"id": 12, "portfolioId": "4294967297"}},
		{"set required fields to null", "updatePortfolioLink", linkSelection, object{"id": 12, "portfolioId": nil, "name": nil}},
		{"change the portfolio of a link to a missing one", "updatePortfolioLink", linkSelection, object{"id": 12, "portfolioId": 77, "imageId": 77, "url": "x"}},
		{"update a missing link", "updatePortfolioLink", linkSelection, object{"id": 77_777}},
		{"update a link that has changed", "updatePortfolioLink", linkSelection, object{"id": 12, "expectedUpdatedAt": staleTime}},
		{"update a link with the earliest and latest times", "updatePortfolioLink", `{portfolioLink{createdAt}}`,
			object{"id": 55, "expectedUpdatedAt": "9999-12-31T23:59:59.999999Z"}},

		{"delete a link that has changed", "deletePortfolioLink", linkSelection, object{"id": 12, "expectedUpdatedAt": staleTime}},
		{"update a link by its global ID", "updatePortfolioLink", linkSelection, object{"id": nodeID("PortfolioLink", "13"), "portfolioId": nodeID("Portfolio", "1"), "imageId": nodeID("Image", "6")}},
		{"update a link by global IDs of other types", "updatePortfolioLink", linkSelection, object{"id": nodeID("Image", "6"), "portfolioId": nodeID("Image", "6"), "imageId": nodeID("Portfolio", "1")}},
		{"delete a link by a global ID of another type", "deletePortfolioLink", linkSelection, object{"id": nodeID("Portfolio", "1")}},
		{"delete a link", "deletePortfolioLink", `{deletedNodeId portfolioLink{id}}`, object{"id": nodeID("PortfolioLink", "4")}},
		{"delete a deleted link", "deletePortfolioLink", linkSelection, object{"id": 4}},
	}
}

func moveMutations() []mutationCase {
	const field, selection = "movePortfolioLink", `{portfolioLink{id position createdAt}}`
	return []mutationCase{
		{"move a link before another", field, selection, object{"id": 14, "beforeId": 11}},
		{"move a link after another", field, selection, object{"id": "10", "afterId": "UG9ydGZvbGlvTGluazoxMQ==", "beforeId": nil}},
		{"move a link to where it is", field, `{portfolioLink{position updatedAt}}`, object{"id": 15, "afterId": 13, "expectedUpdatedAt": staleTime}},
		{"move a link to nowhere", field, selection, object{"id": 10, "afterId": nil}},
		{"move a link to two places", field, selection, object{"id": 10, "beforeId": 11, "afterId": 11}},
		{"move a link before itself", field, selection, object{"id": 10, "beforeId": 10}},
		{"move a link after a missing link", field, selection, object{"id": 10, "afterId": 77_777}},
		{"move a link before a link of another portfolio", field, selection, object{"id": 10, "beforeId": "5000000001"}},
		{"move a missing link", field, selection, object{"id": 77_777, "beforeId": 10}},
		{"move a link that has changed", field, selection, object{"id": 10, "afterId": 13, "expectedUpdatedAt": "2001-01-01T00:00:00Z"}},
		{"move objects of other types", field, selection, object{"id": "UG9ydGZvbGlvOjE=", "afterId": "SW1hZ2U6MTI="}},
	}
}

func userMutations() []mutationCase {
	const all = `{user{isActive isStaff isAdmin permissions}}`
	return []mutationCase{
		{"create a user", "createUser", `{user{username isActive isStaff isAdmin permissions}}`, object{"username": " sara ", "isStaff": true, "permissions": []string{"PORTFOLIO_LINK", "PORTFOLIO_LINK"}}},
		{"create a user with defaults", "createUser", `{user{isStaff isAdmin permissions}}`, object{"username": "omid"}},
		{"create a user with a taken name", "createUser", `{user{id}}`, object{"username": "sara"}},
		{"create a user with all fields invalid", "createUser", `{user{id}}`, object{"username": long(151), "permissions": []string{"PORTFOLIO_LINK", "ADMIN"}}},
		{"create a user with a permission who is not staff", "createUser", `{user{id}}`, object{"username": "reza", "isAdmin": true, "permissions": []string{"PORTFOLIO_LINK"}}},
		{"grant a permission to a user who is not staff", "setUserPermissions", all, object{"username": "omid", "permissions": []string{"PORTFOLIO_LINK"}}},
		{"take away being staff and grant a permission", "setUserPermissions", all, object{"username": "sara", "isStaff": false, "permissions": []string{"PORTFOLIO_LINK"}}},
		{"make staff and grant a permission", "setUserPermissions", all, object{"username": "omid", "isStaff": true, "permissions": []string{"PORTFOLIO_LINK"}}},
		{"demote an admin", "setUserPermissions", all, object{"username": "admin-4242", "isAdmin": false}},
		{"deactivate an admin", "setUserPermissions", all, object{"username": "admin-staff", "isActive": false}},
		{"demote another admin", "setUserPermissions", all, object{"username": "admin-big-id", "isAdmin": false}},
		{"demote the last active admin", "setUserPermissions", all, object{"username": "admin", "isAdmin": false}},
		{"deactivate the last active admin", "setUserPermissions", all, object{"username": "admin", "isActive": false}},
		{"demote and deactivate the last active admin", "setUserPermissions", all, object{"username": "admin", "isActive": false, "isAdmin": false}},
		{"make a user an admin", "setUserPermissions", all, object{"username": "sara", "isAdmin": true}},
		{"remove all permissions", "setUserPermissions", all, object{"username": "sara", "isActive": false, "isStaff": false, "isAdmin": false, "permissions": []string{}}},
		{"set all permissions to null", "setUserPermissions", `{user{id}}`, object{"username": "sara", "isActive": nil, "isStaff": nil, "isAdmin": nil, "permissions": nil}},
		{"set permissions of a missing user", "setUserPermissions", `{user{id}}`, object{"username": "nobody"}},
	}
}

func tokenMutations() []mutationCase {
	return []mutationCase{
		{"create a token", "createToken", `{token{username label expiresAt}}`, object{"username": "sara", "label": "CI", "expiresAt": "2999-01-01T00:00:00Z"}},
		{"create a token for a missing user", "createToken", `{key}`, object{"username": "nobody"}},
		{"create a token that has expired", "createToken", `{key}`, object{"username": "sara", "label": long(256), "expiresAt": "2001-01-01T00:00:00Z"}},
		{"revoke a token", "revokeToken", `{deletedNodeId token{id username label expiresAt createdAt}}`, object{"id": 12}},
		{"revoke a revoked token", "revokeToken", `{token{id}}`, object{"id": 12}},
	}
}

func TestMutations_StoreLongestTexts(t *testing.T) {
	t.Parallel()
	name, url, description, alt := long(255), "http://x/"+long(1991), long(10_000), long(1000)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range []struct {
			mutationCase
			want string
		}{
			{mutationCase{"portfolio", "createPortfolio", `{portfolio{name}}`, object{"name": name}},
				`{"data":{"createPortfolio":{"portfolio":{"name":"` + name + `"}}}}`},
			{mutationCase{"image", "updateImage", `{image{alt}}`, object{"id": 6, "alt": alt}},
				`{"data":{"updateImage":{"image":{"alt":"` + alt + `"}}}}`},
			{mutationCase{"link", "createPortfolioLink", `{portfolioLink{url description}}`, object{"portfolioId": 1, "name": "x", "url": url, "description": description}},
				`{"data":{"createPortfolioLink":{"portfolioLink":{"url":"` + url + `","description":"` + description + `"}}}}`},
		} {
			t.Run(c.name, func(t *testing.T) {
				response, body := c.send(t, server)
				if diff := cmp.Diff(c.want, body); response.StatusCode != http.StatusOK || diff != "" {
					t.Errorf("%d %s", response.StatusCode, diff)
				}
			})
		}
	})
}

func TestMutations_ValidateURLs(t *testing.T) {
	t.Parallel()
	const mutation = `mutation($i: UpdatePortfolioLinkInput!) {done: updatePortfolioLink(input: $i) {portfolioLink {url}}}`
	valid := []string{"http://x", "HTTPS://EXAMPLE.com:8080/a/../b?c#d", "https://user@例え.jp/ف", "http://[::1]/"}
	invalid := []string{
		"", "x", "/a", "//x/a", "http:", "http://", "http://:80", "http:///a", "https:x", "javascript:alert(1)", "ftp://x", "mailto:a@b",
		"http://a b/", "http://x/a b", " http://x", "http://x\n", "http://x/\u00a0", "http://%zz/", "http://x/%zz", "http://x:y/",
		"http://x/" + strings.Repeat("a", 1992),
	}
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for want, urls := range map[string][]string{"": valid, "BAD_USER_INPUT": invalid} {
			for _, url := range urls {
				var result struct {
					Done struct{ PortfolioLink struct{ URL string } }
				}
				code := mutate(t, server, mutation, object{"i": object{"id": 10, "url": url}}, &result)
				if code != want || want == "" && result.Done.PortfolioLink.URL != url {
					t.Errorf("%q: %q %+v", url, code, result)
				}
			}
		}
	})
}

// TestPermissions_ApplyImmediately covers the server that applied the changes.
func TestPermissions_ApplyImmediately(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var created struct {
			CreateToken struct {
				Key   string
				Token struct{ ID string }
			}
		}
		mutate(t, server, `mutation{createUser(input:{username:"sara"}){user{id}} createToken(input:{username:"sara"}){key token{id}}}`, nil, &created)
		for _, step := range []struct{ name, mutation string }{
			{"no permission", `{viewer{id}}`},
			{"permission granted", `mutation{setUserPermissions(input:{username:"sara",isStaff:true,permissions:[PORTFOLIO_LINK]}){user{id}}}`},
			{"permission removed", `mutation{setUserPermissions(input:{username:"sara",permissions:[]}){user{id}}}`},
			{"user deactivated", `mutation{setUserPermissions(input:{username:"sara",isActive:false}){user{id}}}`},
			{"user activated", `mutation{setUserPermissions(input:{username:"sara",isActive:true}){user{id}}}`},
			{"token revoked", `mutation{revokeToken(input:{id:` + created.CreateToken.Token.ID + `}){token{id}}}`},
		} {
			if code := mutate(t, server, step.mutation, nil, nil); code != "" {
				t.Fatalf("%s: %s", step.mutation, code)
			}
			response, body := graphtest.Query(t, server, "Bearer "+created.CreateToken.Key, `{portfolioLink(id:4){id} viewer{username permissions}}`, nil)
			golden.Check(t, step.name, response, body)
		}
	})
}
