package graph_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
)

const recorded = "../compat/testdata/fixtures.json"

const everything = `query L($p: ID, $i: ID!) { portfolioLink(portfolioId: $p, id: $i) { id name url imageData {
	id type name size humanReadableSize url width height mode thumbnails { id url size } } description createdAt updatedAt } }`

func TestQueries(t *testing.T) {
	const (
		unauthenticated = `{"errors":[{"message":"Authentication is required.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"UNAUTHENTICATED"}}],"data":{"portfolioLink":null}}`
		forbidden       = `{"errors":[{"message":"You do not have permission to do this.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"FORBIDDEN"}}],"data":{"portfolioLink":null}}`
		nothing         = `{"data":{"portfolioLink":null}}`
		notAnID         = `{"errors":[{"message":"id must be a whole number between -9223372036854775808 and 9223372036854775807.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"BAD_USER_INPUT","field":["id"]}}],"data":{"portfolioLink":null}}`
		link4           = `{"data":{"portfolioLink":{"id":"4","name":"دمو پروژه","url":"https://moeinsoft.com/demo","imageData":{` +
			`"id":"6","type":"image","name":"technology","size":5123,"humanReadableSize":"5.00 KB","url":"HOST/media/core_media/2025/12/02/technology.png","width":225,"height":225,"mode":"P","thumbnails":[` +
			`{"id":"213","url":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_64x64.jpg","size":64},` +
			`{"id":"214","url":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_128x128.jpg","size":128},` +
			`{"id":"215","url":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_512x512.jpg","size":512},` +
			`{"id":"216","url":"HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_1080x1080.jpg","size":1080}]},` +
			`"description":"لینک مشاهده دمو","createdAt":"2026-01-13T10:05:43.296270Z","updatedAt":"2026-01-13T10:05:43.296310Z"}}}`
	)
	short := func(arguments string) string { return `{portfolioLink(` + arguments + `){id}}` }
	cases := []struct {
		name, authorization, query string
		variables                  map[string]any
		want                       string
	}{
		{"everything", "Token " + graphtest.Staff4242, everything, map[string]any{"p": "1", "i": "4"}, link4},
		{"numbers as ids", "Bearer " + graphtest.Admin, everything, map[string]any{"p": 1, "i": 4}, link4},
		{"any portfolio", "token " + graphtest.Admin, everything, map[string]any{"i": 4}, link4},
		{"scheme in any case", "bEARER  " + graphtest.Admin, short("id:4"), nil, `{"data":{"portfolioLink":{"id":"4"}}}`},
		{"null url, description, image", "Token " + graphtest.Admin, everything, map[string]any{"i": 10}, `{"data":{"portfolioLink":{"id":"10","name":"link","url":null,"imageData":null,"description":null,"createdAt":"2026-01-13T10:05:43.296270Z","updatedAt":"2026-01-13T10:05:43.296310Z"}}}`},
		{"null width, height, mode, no thumbnails", "Token " + graphtest.Admin, `{portfolioLink(id:13){imageData{width height mode thumbnails{id}}}}`, nil, `{"data":{"portfolioLink":{"imageData":{"width":null,"height":null,"mode":null,"thumbnails":[]}}}}`},
		{"null size of a thumbnail", "Token " + graphtest.Admin, `{portfolioLink(id:12){imageData{thumbnails{size}}}}`, nil, `{"data":{"portfolioLink":{"imageData":{"thumbnails":[{"size":null},{"size":0}]}}}}`},
		{"aliases, fragments, typename", "Token " + graphtest.Admin, `{a:portfolioLink(id:4){...F} b:portfolioLink(id:10){...F}} fragment F on PortfolioLink{__typename n:name @include(if:true) id @skip(if:true)}`, nil, `{"data":{"a":{"__typename":"PortfolioLink","n":"دمو پروژه"},"b":{"__typename":"PortfolioLink","n":"link"}}}`},
		{"64-bit values", "Token " + graphtest.Admin, `{portfolioLink(id:"9223372036854775807"){id} image:portfolioLink(id:300){imageData{id}} size:portfolioLink(id:130){imageData{size}}}`, nil, `{"data":{"portfolioLink":{"id":"9223372036854775807"},"image":{"imageData":{"id":"9223372036854775807"}},"size":{"imageData":{"size":9223372036854775807}}}}`},
		{"times", "Token " + graphtest.Admin, `{a:portfolioLink(id:50){createdAt} b:portfolioLink(id:51){createdAt} c:portfolioLink(id:55){createdAt updatedAt}}`, nil, `{"data":{"a":{"createdAt":"2026-01-13T10:05:43Z"},"b":{"createdAt":"2026-01-13T10:05:43.100000Z"},"c":{"createdAt":"0001-01-01T00:00:00Z","updatedAt":"9999-12-31T23:59:59.999999Z"}}}`},
		{"an address to escape", "Token " + graphtest.Admin, `{portfolioLink(id:200){imageData{url}}}`, nil, `{"data":{"portfolioLink":{"imageData":{"url":"HOST/media/core_media/with%20space/a%20b.png"}}}}`},

		{"an image", "Token " + graphtest.Staff4242, `{image(id:12){name humanReadableSize thumbnails{id size}}}`, nil, `{"data":{"image":{"name":"technology","humanReadableSize":"5.00 KB","thumbnails":[{"id":"1200","size":null},{"id":"1201","size":0}]}}}`},
		{"a portfolio", "Token " + graphtest.Staff4242, `{portfolio(id:2){id name createdAt updatedAt links{nodes{id}}}}`, nil, `{"data":{"portfolio":{"id":"2","name":"other","createdAt":"2026-01-13T10:05:43.296270Z","updatedAt":"2026-01-13T10:05:43.296310Z","links":{"nodes":[{"id":"900"}]}}}}`},
		{"the portfolio of a link", "Token " + graphtest.Staff4242, `{portfolioLink(id:900){portfolio{id links{totalCount}}}}`, nil, `{"data":{"portfolioLink":{"portfolio":{"id":"2","links":{"totalCount":1}}}}}`},
		{"missing image and portfolio", "Token " + graphtest.Admin, `{image(id:999999){id} portfolio(id:77){id}}`, nil, `{"data":{"image":null,"portfolio":null}}`},

		{"missing", "Token " + graphtest.Admin, short("id:999"), nil, nothing},
		{"another portfolio's", "Token " + graphtest.Admin, short("portfolioId:2,id:4"), nil, nothing},
		{"missing portfolio", "Token " + graphtest.Admin, short("portfolioId:77,id:4"), nil, nothing},
		{"zero", "Token " + graphtest.Admin, short("id:0"), nil, nothing},
		{"negative", "Token " + graphtest.Admin, short("id:-4"), nil, nothing},
		{"a word", "Token " + graphtest.Admin, short(`id:"four"`), nil, notAnID},
		{"empty", "Token " + graphtest.Admin, short(`id:""`), nil, notAnID},
		{"a fraction", "Token " + graphtest.Admin, short(`id:"4.0"`), nil, notAnID},
		{"beyond 64 bits", "Token " + graphtest.Admin, short(`id:"9223372036854775808"`), nil, notAnID},
		{"a number beyond 64 bits", "Token " + graphtest.Admin, short("id:9223372036854775808"), nil, `{"errors":[{"message":"ID cannot represent a non-string and non-integer value: 9223372036854775808","locations":[{"line":1,"column":19}],"extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{"beyond 64 bits in a variable", "Token " + graphtest.Admin, everything, map[string]any{"i": json.Number("9223372036854775808")}, strings.Replace(notAnID, `"column":2`, `"column":28`, 1)},

		{"anonymous", "", short("id:4"), nil, unauthenticated},
		{"anonymous, missing", "", short("id:999"), nil, unauthenticated},
		{"forbidden", "Token " + graphtest.Staff, short("id:4"), nil, forbidden},
		{"forbidden, missing", "Token " + graphtest.Staff, short("id:999"), nil, forbidden},

		{"viewer", "Token " + graphtest.Staff4242, `{viewer{id username isStaff isAdmin permissions}}`, nil, `{"data":{"viewer":{"id":"3","username":"staff-4242","isStaff":true,"isAdmin":false,"permissions":["PORTFOLIO_LINK"]}}}`},
		{"viewer, admin", "Token " + graphtest.Admin, `{viewer{permissions}}`, nil, `{"data":{"viewer":{"permissions":["PORTFOLIO_LINK","ADMIN"]}}}`},
		{"viewer, nothing allowed", "Token " + graphtest.Staff, `{viewer{permissions}}`, nil, `{"data":{"viewer":{"permissions":[]}}}`},
		{"viewer, anonymous", "", `{viewer{id}}`, nil, `{"data":{"viewer":null}}`},
		{"introspection", "", `{__type(name:"Permission"){enumValues{name}}}`, nil, `{"data":{"__type":{"enumValues":[{"name":"PORTFOLIO_LINK"},{"name":"ADMIN"}]}}}`},
	}
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := graphtest.Query(t, server, c.authorization, c.query, c.variables)
				status := response.StatusCode
				golden.Check(t, c.name, response, body)
				if diff := cmp.Diff(c.want, body); status != http.StatusOK || diff != "" {
					t.Errorf("%d %s", status, diff)
				}
			})
		}
	})
}

func TestRefusedTokens(t *testing.T) {
	const (
		invalid = `{"errors":[{"message":"The token is invalid.","extensions":{"code":"UNAUTHENTICATED"}}]}`
		off     = `{"errors":[{"message":"The user is inactive.","extensions":{"code":"UNAUTHENTICATED"}}]}`
	)
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for authorization, want := range map[string]string{
			"Token wrong":                  invalid,
			"Token":                        invalid,
			"Token " + graphtest.Admin[1:]: invalid,
			"Basic " + graphtest.Admin:     invalid,
			graphtest.Admin:                invalid,
			"Token " + graphtest.Inactive:  off,
		} {
			header := http.Header{"Authorization": {authorization}, "Content-Type": {"application/json"}}
			response, body := graphtest.Send(t, server, http.MethodPost, "", header, []byte(`{"query":"{viewer{id}}"}`))
			golden.Check(t, map[string]string{
				"Token wrong":                  "unknown key",
				"Token":                        "no key",
				"Token " + graphtest.Admin[1:]: "key without its first character",
				"Basic " + graphtest.Admin:     "Basic scheme",
				graphtest.Admin:                "no scheme",
				"Token " + graphtest.Inactive:  "inactive user",
			}[authorization], response, body)
			if response.StatusCode != http.StatusUnauthorized || body != want || response.Header.Get("WWW-Authenticate") != "Token" {
				t.Errorf("%q: %d %s", authorization, response.StatusCode, body)
			}
		}
	})
}

// TestErrorsAreCapped keeps a short question from having a long answer.
func TestErrorsAreCapped(t *testing.T) {
	server := graphtest.Serve(t, dbtest.Open(t, dbtest.SQLite(t)), nil)
	_, body := graphtest.Query(t, server, "", "{a b c d e f g h i j k l m n}", nil)
	if count := strings.Count(body, `"message"`); count != 10 {
		t.Errorf("%d errors", count)
	}
}

// TestInternalErrorsAreHidden breaks the database of a server.
func TestInternalErrorsAreHidden(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, recorded)
		var logs bytes.Buffer
		server := graphtest.Serve(t, dbtest.Open(t, dsn), func(o *graphtest.Options) { o.Log = slog.New(slog.NewJSONHandler(&logs, nil)) })
		dbtest.Exec(t, dsn, "ALTER TABLE portfolio_links RENAME COLUMN description TO lost")
		response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, "{portfolioLink(id:4){id}}", nil)
		status := response.StatusCode
		want := `{"errors":[{"message":"Internal error.","path":["portfolioLink"],"locations":[{"line":1,"column":2}],"extensions":{"code":"INTERNAL"}}],"data":{"portfolioLink":null}}`
		if status != http.StatusOK || body != want {
			t.Errorf("%d %s", status, body)
		}
		if logged := logs.String(); strings.Count(logged, "\n") != 1 || !strings.Contains(logged, "description") || strings.Contains(logged, graphtest.Admin) {
			t.Errorf("logged %s", logged)
		}
	})
}
