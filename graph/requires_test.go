package graph_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/generated"
	"portfolio/graph/graphtest"
)

// TestRequires_GuardsRootFields selects each root field with and without the
// permission that it requires. uploadImage needs a file: see TestUpload_StoresNothingIfRefused.
func TestRequires_GuardsRootFields(t *testing.T) {
	t.Parallel()
	schema := readSchema(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
			for _, field := range root.Fields {
				if field.Name == "viewer" || field.Name == "uploadImage" || strings.HasPrefix(field.Name, "__") {
					continue
				}
				document := strings.ToLower(root.Name) + "{f:" + field.Name + exampleArguments(schema, field) + "{__typename}}"
				permission := field.Directives.ForName("requires").Arguments.ForName("permission").Value.Raw
				checkRequires(t, server, document, permission, root == schema.Query)
			}
		}
	})
}

// TestRequires_GuardsSubscriptions checks that no subscription is left unguarded.
func TestRequires_GuardsSubscriptions(t *testing.T) {
	t.Parallel()
	for _, field := range readSchema(t).Subscription.Fields {
		if directive := field.Directives.ForName("requires"); directive == nil || directive.Arguments.ForName("permission").Value.Raw != "PORTFOLIO_LINK" {
			t.Errorf("%s does not require PORTFOLIO_LINK", field.Name)
		}
	}
}

// checkRequires sends a document with the root field f as several users.
func checkRequires(t *testing.T, server *httptest.Server, document, permission string, alsoByGET bool) {
	t.Helper()
	for _, c := range []struct{ authorization, code string }{
		{"", "UNAUTHENTICATED"}, {staff, "FORBIDDEN"}, {staff4242, map[string]string{"ADMIN": "FORBIDDEN"}[permission]},
	} {
		_, body := graphtest.Query(t, server, c.authorization, document, nil)
		bodies := []string{body}
		if alsoByGET {
			_, body = graphtest.Send(t, server, http.MethodGet, "?query="+url.QueryEscape(document), http.Header{"Authorization": {c.authorization}}, nil)
			bodies = append(bodies, body)
		}
		for _, body := range bodies {
			// With the permission there is data, if only null.
			if refused := strings.Contains(body, `"code":"`+c.code+`"`); refused != (c.code != "") || !strings.Contains(body, `"data":{"f":`) {
				t.Errorf("%s as %q: %s", document, c.authorization, body)
			}
		}
	}
}

// exampleArguments returns well-formed required arguments of a field, which refer
// to no existing object.
func exampleArguments(schema *ast.Schema, field *ast.FieldDefinition) string {
	for _, argument := range field.Arguments {
		if argument.Type.NonNull {
			return "(" + argument.Name + ":" + exampleValue(schema, argument.Type) + ")"
		}
	}
	return ""
}

func exampleValue(schema *ast.Schema, of *ast.Type) string {
	definition := schema.Types[of.Name()]
	if definition.Kind != ast.InputObject {
		return map[string]string{"ID": "0", "String": `"nobody"`}[of.Name()]
	}
	var fields []string
	for _, field := range definition.Fields {
		if field.Type.NonNull && field.DefaultValue == nil {
			fields = append(fields, field.Name+":"+exampleValue(schema, field.Type))
		}
	}
	return "{" + strings.Join(fields, " ") + "}"
}

// TestRequires_GuardsNestedFields adds the directive @requires to nested
// fields, and checks that no form of a query returns them without the permission.
func TestRequires_GuardsNestedFields(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"description": "لینک مشاهده دمو", "mode": `"P"`}
	schema := schemaWithRequires(t, secrets)
	documents := map[string]string{
		"field":                   `{portfolioLink(id:4){id description}}`,
		"alias":                   `{portfolioLink(id:4){id name:description}}`,
		"inline fragment":         `{portfolioLink(id:4){id ...{description}}}`,
		"inline fragment on type": `{portfolioLink(id:4){id ...on PortfolioLink{description}}}`,
		"fragment":                `{portfolioLink(id:4){...F}} fragment F on PortfolioLink{id description}`,
		"@include":                `{portfolioLink(id:4){id description @include(if:true)}}`,
		"merged fields":           `{portfolioLink(id:4){id description} portfolioLink(id:4){description}}`,
		"list":                    `{portfolioLinks(first:5){nodes{id description}}}`,
		"edges":                   `{portfolioLinks(first:5){edges{node{id description}}}}`,
		"nested list":             `{portfolios{nodes{links(first:5){nodes{id description}}}}}`,
		"nested object":           `{portfolioLink(id:4){id imageData{id mode}}}`,
		"nested object in a list": `{portfolioLinks(first:5){nodes{id imageData{id mode}}}}`,
		"alias in an image":       `{image(id:6){id type:mode}}`,
	}
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		resolver := &graph.Resolver{DB: dbtest.Open(t, dsn)}
		server := httptest.NewServer(graphtest.NewHandler(t, resolver, func(o *graphtest.Options) {
			o.Schema = generated.NewExecutableSchema(generated.Config{Schema: schema, Resolvers: resolver})
		}))
		t.Cleanup(server.Close)
		for name, document := range documents {
			_, allowed := graphtest.Query(t, server, admin, document, nil)
			_, denied := graphtest.Query(t, server, staff4242, document, nil)
			for field, secret := range secrets {
				if !strings.Contains(document, field) {
					continue
				}
				if !strings.Contains(allowed, secret) || strings.Contains(allowed, "errors") {
					t.Errorf("%s: an admin receives %.500s", name, allowed)
				}
				if strings.Contains(denied, secret) || !strings.Contains(denied, `"FORBIDDEN"`) || !strings.Contains(denied, `"id":"`) {
					t.Errorf("%s: staff receive %.500s", name, denied)
				}
			}
		}
	})
}

// schemaWithRequires returns the schema with the directive @requires on the first
// field of each name, which is the field of an output type.
func schemaWithRequires(t *testing.T, fields map[string]string) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	source := string(text)
	for field := range fields {
		source = strings.Replace(source, "  "+field+": String\n", "  "+field+": String @requires(permission: ADMIN)\n", 1)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: source})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
