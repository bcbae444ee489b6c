package graph_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

// fault is an error as the client sees it; field is JSON.
func fault(root, message, code, field string) string {
	return fmt.Sprintf(`{"message":%q,"path":[%q],"extensions":{"code":%q,"field":%s}}`, message, root, code, field)
}

func refused(root string, faults ...string) string {
	return `{"errors":[` + strings.Join(faults, ",") + `],"data":{"` + root + `":null}}`
}

// plain is an error without a field.
func plain(root, message, code string) string {
	return fmt.Sprintf(`{"message":%q,"path":[%q],"extensions":{"code":%q}}`, message, root, code)
}

// TestMutations runs each case on the recorded rows, one after the other.
func TestMutations(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ا", n) }
	const (
		notThere = "Not found."
		stale    = "The object has changed since it was last read."
		bad      = "BAD_USER_INPUT"
		odd      = "\\u0000 'single' \"double\" \\ ? $1 %s 😀 \u2028 ?? :name {} \x01\x7f"
		link     = `{portfolioLink{name url description portfolio{id} imageData{id thumbnails{id}}}}`
	)
	cases := []struct {
		name, root, fields string
		input              map[string]any
		want               string
	}{
		{"create a portfolio", "createPortfolio", `{portfolio{name links{totalCount nodes{id}}}}`, map[string]any{"name": " \tA\n"}, `{"data":{"createPortfolio":{"portfolio":{"name":"A","links":{"totalCount":0,"nodes":[]}}}}}`},
		{"blank", "createPortfolio", `{portfolio{id}}`, map[string]any{"name": " \u00a0\n"}, refused("createPortfolio", fault("createPortfolio", "name must not be blank.", bad, `["input","name"]`))},
		{"longest", "createPortfolio", `{portfolio{name}}`, map[string]any{"name": long(255)}, `{"data":{"createPortfolio":{"portfolio":{"name":"` + long(255) + `"}}}}`},
		{"too long", "createPortfolio", `{portfolio{id}}`, map[string]any{"name": long(256)}, refused("createPortfolio", fault("createPortfolio", "name must have at most 255 characters.", bad, `["input","name"]`))},
		{"NUL", "createPortfolio", `{portfolio{id}}`, map[string]any{"name": "a\x00b"}, refused("createPortfolio", fault("createPortfolio", "name must be valid UTF-8 without NUL.", bad, `["input","name"]`))},

		{"rename", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": 3, "name": "renamed"}, `{"data":{"updatePortfolio":{"portfolio":{"name":"renamed"}}}}`},
		{"leave the name", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": 3}, `{"data":{"updatePortfolio":{"portfolio":{"name":"renamed"}}}}`},
		{"no name", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": 3, "name": nil}, refused("updatePortfolio", fault("updatePortfolio", "name must not be null.", bad, `["input","name"]`))},
		{"rename what is not there", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": 77, "name": "x"}, refused("updatePortfolio", plain("updatePortfolio", notThere, "NOT_FOUND"))},
		{"rename as it was once", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": 3, "name": "x", "expectedUpdatedAt": "2026-01-13T10:05:43.296310Z"}, refused("updatePortfolio", plain("updatePortfolio", stale, "CONFLICT"))},
		{"rename as it is", "updatePortfolio", `{portfolio{name createdAt}}`, map[string]any{"id": 2, "name": "x", "expectedUpdatedAt": "2026-01-13T13:35:43.296310+03:30"}, `{"data":{"updatePortfolio":{"portfolio":{"name":"x","createdAt":"2026-01-13T10:05:43.296270Z"}}}}`},
		{"not an id", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": "x", "name": "x"}, refused("updatePortfolio", fault("updatePortfolio", "id must be a whole number between -9223372036854775808 and 9223372036854775807.", bad, `["input","id"]`))},
		{"not a time", "updatePortfolio", `{portfolio{name}}`, map[string]any{"id": 3, "expectedUpdatedAt": "9999-12-31T23:59:59-10:00"}, refused("updatePortfolio", fault("updatePortfolio", "expectedUpdatedAt must be a time such as 2026-01-13T10:05:43Z.", bad, `["input","expectedUpdatedAt"]`))},
		{"delete as it was once", "deletePortfolio", `{deletedLinkIds}`, map[string]any{"id": 2, "expectedUpdatedAt": "2026-01-13T10:05:43.296310Z"}, refused("deletePortfolio", plain("deletePortfolio", stale, "CONFLICT"))},
		{"delete with links", "deletePortfolio", `{portfolio{id name links{totalCount}} deletedLinkIds deletedLinkCount}`, map[string]any{"id": 2}, `{"data":{"deletePortfolio":{"portfolio":{"id":"2","name":"x","links":{"totalCount":0}},"deletedLinkIds":["900"],"deletedLinkCount":1}}}`},
		{"delete twice", "deletePortfolio", `{deletedLinkIds}`, map[string]any{"id": 2}, refused("deletePortfolio", plain("deletePortfolio", notThere, "NOT_FOUND"))},
		{"delete without links", "deletePortfolio", `{deletedLinkIds deletedLinkCount}`, map[string]any{"id": 3}, `{"data":{"deletePortfolio":{"deletedLinkIds":[],"deletedLinkCount":0}}}`},

		{"create a link", "createPortfolioLink", link, map[string]any{"portfolioId": "1", "name": odd, "url": "https://example.com/?a='\"<>\\&b=ف#x", "description": odd, "imageId": "12"},
			`{"data":{"createPortfolioLink":{"portfolioLink":{"name":` + quoted(odd) + `,"url":"https://example.com/?a='\"<>\\&b=ف#x","description":` + quoted(odd) + `,"portfolio":{"id":"1"},"imageData":{"id":"12","thumbnails":[{"id":"1200"},{"id":"1201"}]}}}}}`},
		{"create a bare link", "createPortfolioLink", link, map[string]any{"portfolioId": "1", "name": "x", "url": nil}, `{"data":{"createPortfolioLink":{"portfolioLink":{"name":"x","url":null,"description":null,"portfolio":{"id":"1"},"imageData":null}}}}`},
		{"everything wrong", "createPortfolioLink", link, map[string]any{"portfolioId": 77, "name": " ", "url": "ftp://example.com/", "description": long(10_001), "imageId": 77}, refused("createPortfolioLink",
			fault("createPortfolioLink", "name must not be blank.", bad, `["input","name"]`),
			fault("createPortfolioLink", "url must be an absolute http or https URL.", bad, `["input","url"]`),
			fault("createPortfolioLink", "description must have at most 10000 characters.", bad, `["input","description"]`),
			fault("createPortfolioLink", "portfolioId does not exist.", bad, `["input","portfolioId"]`),
			fault("createPortfolioLink", "imageId does not exist.", bad, `["input","imageId"]`))},
		{"nothing there", "createPortfolioLink", link, map[string]any{"portfolioId": 77, "name": "x", "imageId": 77}, refused("createPortfolioLink",
			fault("createPortfolioLink", "portfolioId does not exist.", bad, `["input","portfolioId"]`),
			fault("createPortfolioLink", "imageId does not exist.", bad, `["input","imageId"]`))},
		{"longest texts", "createPortfolioLink", `{portfolioLink{url description}}`, map[string]any{"portfolioId": 1, "name": "x", "url": "http://x/" + long(1991), "description": long(10_000)},
			`{"data":{"createPortfolioLink":{"portfolioLink":{"url":"http://x/` + long(1991) + `","description":"` + long(10_000) + `"}}}}`},

		{"leave everything", "updatePortfolioLink", link, map[string]any{"id": 12}, `{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"link","url":"https://example.com/","description":"","portfolio":{"id":"1"},"imageData":{"id":"12","thumbnails":[{"id":"1200"},{"id":"1201"}]}}}}}`},
		{"clear everything", "updatePortfolioLink", link, map[string]any{"id": 12, "url": nil, "description": nil, "imageId": nil}, `{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"link","url":null,"description":null,"portfolio":{"id":"1"},"imageData":null}}}}`},
		{"move", "updatePortfolioLink", link, map[string]any{"id": 12, "portfolioId": "4294967297"}, `{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"link","url":null,"description":null,"portfolio":{"id":"4294967297"},"imageData":null}}}}`},
		{"move nowhere", "updatePortfolioLink", link, map[string]any{"id": 12, "portfolioId": nil, "name": nil}, refused("updatePortfolioLink",
			fault("updatePortfolioLink", "portfolioId must not be null.", bad, `["input","portfolioId"]`),
			fault("updatePortfolioLink", "name must not be null.", bad, `["input","name"]`))},
		{"move to what is not there", "updatePortfolioLink", link, map[string]any{"id": 12, "portfolioId": 77, "imageId": 77, "url": "x"}, refused("updatePortfolioLink",
			fault("updatePortfolioLink", "url must be an absolute http or https URL.", bad, `["input","url"]`),
			fault("updatePortfolioLink", "portfolioId does not exist.", bad, `["input","portfolioId"]`),
			fault("updatePortfolioLink", "imageId does not exist.", bad, `["input","imageId"]`))},
		{"change what is not there", "updatePortfolioLink", link, map[string]any{"id": 77_777}, refused("updatePortfolioLink", plain("updatePortfolioLink", notThere, "NOT_FOUND"))},
		{"change as it was once", "updatePortfolioLink", link, map[string]any{"id": 12, "expectedUpdatedAt": "2026-01-13T10:05:43.296310Z"}, refused("updatePortfolioLink", plain("updatePortfolioLink", stale, "CONFLICT"))},
		{"times at the ends", "updatePortfolioLink", `{portfolioLink{createdAt}}`, map[string]any{"id": 55, "expectedUpdatedAt": "9999-12-31T23:59:59.999999Z"}, `{"data":{"updatePortfolioLink":{"portfolioLink":{"createdAt":"0001-01-01T00:00:00Z"}}}}`},
		{"delete a link as it was once", "deletePortfolioLink", link, map[string]any{"id": 12, "expectedUpdatedAt": "2026-01-13T10:05:43.296310Z"}, refused("deletePortfolioLink", plain("deletePortfolioLink", stale, "CONFLICT"))},
		{"delete a link", "deletePortfolioLink", link, map[string]any{"id": 4}, `{"data":{"deletePortfolioLink":{"portfolioLink":{"name":"دمو پروژه","url":"https://moeinsoft.com/demo","description":"لینک مشاهده دمو","portfolio":{"id":"1"},"imageData":{"id":"6","thumbnails":[{"id":"213"},{"id":"214"},{"id":"215"},{"id":"216"}]}}}}}`},
		{"delete a link twice", "deletePortfolioLink", link, map[string]any{"id": 4}, refused("deletePortfolioLink", plain("deletePortfolioLink", notThere, "NOT_FOUND"))},

		{"create a user", "createUser", `{user{username isActive isStaff isAdmin codes}}`, map[string]any{"username": " sara ", "isStaff": true, "codes": []int{4242, 7, 7}}, `{"data":{"createUser":{"user":{"username":"sara","isActive":true,"isStaff":true,"isAdmin":false,"codes":[7,4242]}}}}`},
		{"create a plain user", "createUser", `{user{isStaff isAdmin codes}}`, map[string]any{"username": "omid"}, `{"data":{"createUser":{"user":{"isStaff":false,"isAdmin":false,"codes":[]}}}}`},
		{"a second sara", "createUser", `{user{id}}`, map[string]any{"username": "sara"}, refused("createUser", fault("createUser", "username is taken.", "CONFLICT", `["input","username"]`))},
		{"a user all wrong", "createUser", `{user{id}}`, map[string]any{"username": long(151), "codes": []int{1, 0, 2147483648}}, refused("createUser",
			fault("createUser", "username must have at most 150 characters.", bad, `["input","username"]`),
			fault("createUser", "codes must be 1 to 2147483647.", bad, `["input","codes",1]`),
			fault("createUser", "codes must be 1 to 2147483647.", bad, `["input","codes",2]`))},
		{"too many codes", "createUser", `{user{id}}`, map[string]any{"username": "x", "codes": make([]int, 101)}, refused("createUser", fault("createUser", "codes must have at most 100 entries.", bad, `["input","codes"]`))},
		{"promote", "setUserPermissions", `{user{isActive isStaff isAdmin codes}}`, map[string]any{"username": "sara", "isAdmin": true}, `{"data":{"setUserPermissions":{"user":{"isActive":true,"isStaff":true,"isAdmin":true,"codes":[7,4242]}}}}`},
		{"take everything", "setUserPermissions", `{user{isActive isStaff isAdmin codes}}`, map[string]any{"username": "sara", "isActive": false, "isStaff": false, "isAdmin": false, "codes": []int{}}, `{"data":{"setUserPermissions":{"user":{"isActive":false,"isStaff":false,"isAdmin":false,"codes":[]}}}}`},
		{"take what cannot be", "setUserPermissions", `{user{id}}`, map[string]any{"username": "sara", "isActive": nil, "isStaff": nil, "isAdmin": nil, "codes": nil}, refused("setUserPermissions",
			fault("setUserPermissions", "isActive must not be null.", bad, `["input","isActive"]`), fault("setUserPermissions", "isStaff must not be null.", bad, `["input","isStaff"]`),
			fault("setUserPermissions", "isAdmin must not be null.", bad, `["input","isAdmin"]`), fault("setUserPermissions", "codes must not be null.", bad, `["input","codes"]`))},
		{"promote nobody", "setUserPermissions", `{user{id}}`, map[string]any{"username": "nobody"}, refused("setUserPermissions", plain("setUserPermissions", notThere, "NOT_FOUND"))},
		{"create a token", "createToken", `{token{username label expiresAt}}`, map[string]any{"username": "sara", "label": "CI", "expiresAt": "2999-01-01T00:00:00Z"}, `{"data":{"createToken":{"token":{"username":"sara","label":"CI","expiresAt":"2999-01-01T00:00:00Z"}}}}`},
		{"create a token for nobody", "createToken", `{key}`, map[string]any{"username": "nobody"}, refused("createToken", plain("createToken", notThere, "NOT_FOUND"))},
		{"create an old token", "createToken", `{key}`, map[string]any{"username": "sara", "label": long(256), "expiresAt": "2001-01-01T00:00:00Z"}, refused("createToken",
			fault("createToken", "label must have at most 255 characters.", bad, `["input","label"]`), fault("createToken", "expiresAt must be in the future.", bad, `["input","expiresAt"]`))},
		{"revoke a token", "revokeToken", `{token{id username label expiresAt createdAt}}`, map[string]any{"id": 12}, `{"data":{"revokeToken":{"token":{"id":"12","username":"admin-4242","label":null,"expiresAt":null,"createdAt":"2026-01-13T10:05:43.296270Z"}}}}`},
		{"revoke twice", "revokeToken", `{token{id}}`, map[string]any{"id": 12}, refused("revokeToken", plain("revokeToken", notThere, "NOT_FOUND"))},
	}
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				query := "mutation($i: " + strings.ToUpper(c.root[:1]) + c.root[1:] + "Input!) {" + c.root + "(input: $i) " + c.fields + "}"
				response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, query, map[string]any{"i": c.input})
				status := response.StatusCode
				if c.name != "longest" && c.name != "longest texts" {
					golden.Check(t, c.name, response, body)
				}
				if diff := cmp.Diff(c.want, locations.ReplaceAllString(body, "")); status != 200 || diff != "" {
					t.Errorf("%d %s", status, diff)
				}
			})
		}
	})
}

func TestURLs(t *testing.T) {
	accepted := []string{"http://x", "HTTPS://EXAMPLE.com:8080/a/../b?c#d", "https://user@例え.jp/ف", "http://[::1]/"}
	refused := []string{"", "x", "/a", "//x/a", "http:", "http://", "http://:80", "http:///a", "https:x", "javascript:alert(1)", "ftp://x", "mailto:a@b", "http://a b/", "http://x/a b", " http://x", "http://x\n", "http://x/\u00a0", "http://%zz/", "http://x/%zz", "http://x:y/", "http://x/" + strings.Repeat("a", 1992)}
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, recorded)
		server := graphtest.Serve(t, dbtest.Open(t, dsn), nil)
		for want, urls := range map[string][]string{"": accepted, "BAD_USER_INPUT": refused} {
			for _, address := range urls {
				var answer struct {
					Done struct{ PortfolioLink struct{ URL string } }
				}
				code := tryTo(t, server, `mutation($i: UpdatePortfolioLinkInput!) {done: updatePortfolioLink(input: $i) {portfolioLink {url}}}`, map[string]any{"i": map[string]any{"id": 10, "url": address}}, &answer)
				if code != want || want == "" && answer.Done.PortfolioLink.URL != address {
					t.Errorf("%q: %q %+v", address, code, answer)
				}
			}
		}
	})
}

// TestChangesCountAtOnce is about the server that made them: others notice
// within a second.
func TestChangesCountAtOnce(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		var created struct {
			CreateToken struct {
				Key   string
				Token struct{ ID string }
			}
		}
		tryTo(t, server, `mutation{createUser(input:{username:"sara"}){user{id}} createToken(input:{username:"sara"}){key token{id}}}`, nil, &created)
		names := []string{"no permission", "permission granted", "permission removed", "user deactivated", "user activated", "token revoked"}
		i := 0
		asked := func() string {
			response, body := graphtest.Query(t, server, "Bearer "+created.CreateToken.Key, `{portfolioLink(id:4){id} viewer{username permissions}}`, nil)
			golden.Check(t, names[i], response, body)
			i++
			return body
		}
		const denied = `{"errors":[{"message":"You do not have permission to do this.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"FORBIDDEN"}}],"data":{"portfolioLink":null,"viewer":{"username":"sara","permissions":[]}}}`
		for _, step := range []struct{ mutation, want string }{
			{`{viewer{id}}`, denied},
			{`mutation{setUserPermissions(input:{username:"sara",isStaff:true,codes:[4242]}){user{id}}}`, `{"data":{"portfolioLink":{"id":"4"},"viewer":{"username":"sara","permissions":["PORTFOLIO_LINK"]}}}`},
			{`mutation{setUserPermissions(input:{username:"sara",codes:[]}){user{id}}}`, denied},
			{`mutation{setUserPermissions(input:{username:"sara",isActive:false}){user{id}}}`, `{"errors":[{"message":"The user is inactive.","extensions":{"code":"UNAUTHENTICATED"}}]}`},
			{`mutation{setUserPermissions(input:{username:"sara",isActive:true}){user{id}}}`, denied},
			{`mutation{revokeToken(input:{id:` + created.CreateToken.Token.ID + `}){token{id}}}`, `{"errors":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}`},
		} {
			if code := tryTo(t, server, step.mutation, nil, nil); code != "" {
				t.Fatalf("%s: %s", step.mutation, code)
			}
			if body := asked(); body != step.want {
				t.Errorf("after %s: %s", step.mutation, body)
			}
		}
	})
}

// TestEveryFieldIsGuarded asks every field of the roots without the
// permission that it needs, and finds no type through which to go around.
func TestEveryFieldIsGuarded(t *testing.T) {
	schema := readSchema(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
			for _, field := range root.Fields {
				if field.Name == "viewer" || strings.HasPrefix(field.Name, "__") {
					continue
				}
				if field.Name == "uploadImage" { // needs a file: TestUploadRefused
					continue
				}
				args := ""
				for _, argument := range field.Arguments {
					if argument.Type.NonNull {
						args = "(" + argument.Name + ":" + example(schema, argument.Type) + ")"
					}
				}
				document := strings.ToLower(root.Name) + "{f:" + field.Name + args + "{__typename}}"
				needs := field.Directives.ForName("requires").Arguments.ForName("permission").Value.Raw
				for _, c := range []struct{ authorization, code string }{
					{"", "UNAUTHENTICATED"}, {"Token " + graphtest.Staff, "FORBIDDEN"},
					{"Token " + graphtest.Staff4242, map[string]string{"ADMIN": "FORBIDDEN"}[needs]},
				} {
					_, body := graphtest.Query(t, server, c.authorization, document, nil)
					bodies := []string{body}
					if root == schema.Query {
						_, body = graphtest.Send(t, server, http.MethodGet, "?query="+url.QueryEscape(document), http.Header{"Authorization": {c.authorization}}, nil)
						bodies = append(bodies, body)
					}
					for _, body := range bodies {
						// Who may ask gets an answer, if only that nothing is there.
						if refused := strings.Contains(body, `"code":"`+c.code+`"`); refused != (c.code != "") || !strings.Contains(body, `"data":{"f":`) {
							t.Errorf("%s as %q: %s", document, c.authorization, body)
						}
					}
				}
			}
		}
	})
}

// example is a value of a type that is well-formed, and about nothing.
func example(schema *ast.Schema, of *ast.Type) string {
	definition := schema.Types[of.Name()]
	if definition.Kind != ast.InputObject {
		return map[string]string{"ID": "0", "String": `"nobody"`}[of.Name()]
	}
	var fields []string
	for _, field := range definition.Fields {
		if field.Type.NonNull && field.DefaultValue == nil {
			fields = append(fields, field.Name+":"+example(schema, field.Type))
		}
	}
	return "{" + strings.Join(fields, " ") + "}"
}

func readSchema(t *testing.T) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(text)})
}

// TestSchemaIsDescribed: every type, field, argument and value says what it is.
func TestSchemaIsDescribed(t *testing.T) {
	schema := readSchema(t)
	described := func(name, description string) {
		if description == "" {
			t.Errorf("%s has no description", name)
		}
	}
	for name, definition := range schema.Types {
		if definition.BuiltIn {
			continue
		}
		if name != "Query" {
			described(name, definition.Description)
		}
		for _, value := range definition.EnumValues {
			described(name+"."+value.Name, value.Description)
		}
		for _, field := range definition.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			described(name+"."+field.Name, field.Description)
			for _, argument := range field.Arguments {
				described(name+"."+field.Name+"("+argument.Name+")", argument.Description)
			}
		}
	}
}

// quoted is a string as the server writes it.
func quoted(s string) string {
	var text strings.Builder
	graphql.MarshalString(s).MarshalGQL(&text)
	return text.String()
}

var locations = regexp.MustCompile(`,"locations":\[[^]]*\]`)
