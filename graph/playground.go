package graph

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/99designs/gqlgen/graphql/playground"
)

const documentedQuery = `# The documented portfolio link, with everything.
# Press the play button; your token goes into "Headers" below.
query DocumentedLink {
  portfolioLink(portfolioId: 1, id: 4) {
    id
    name
    url
    imageData {
      id
      type
      name
      size
      humanReadableSize
      url
      width
      height
      mode
      thumbnails {
        id
        url
        size
      }
    }
    description
    createdAt
    updatedAt
  }
}
`

// captured is a response in memory.
type captured struct {
	strings.Builder
	header http.Header
}

func (c *captured) Header() http.Header { return c.header }
func (*captured) WriteHeader(int)       {}

// NewPlayground serves gqlgen's GraphiQL page for an endpoint. It opens with
// the documented query, and with the token in its headers where one is given.
func NewPlayground(endpoint, token string) (http.Handler, error) {
	headers := map[string]string{"Authorization": "Token YOUR_KEY"}
	if token != "" {
		headers["Authorization"] = "Token " + token
	}
	rendered := captured{header: http.Header{}}
	playground.Handler("Portfolio API", endpoint, playground.WithGraphiqlUiHeaders(headers))(&rendered, nil)
	query, err := json.Marshal(documentedQuery)
	if err != nil {
		return nil, err
	}
	page := rendered.String()
	for _, change := range [][2]string{
		{"isHeadersEditorEnabled: true,", "isHeadersEditorEnabled: true, defaultQuery: " + string(query) + ","},
		{"shouldPersistHeaders: true,", "shouldPersistHeaders: false,"}, // they hold a token
	} {
		if strings.Count(page, change[0]) != 1 {
			return nil, errors.New("playground: gqlgen's page has no " + change[0])
		}
		page = strings.Replace(page, change[0], change[1], 1)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, page)
	}), nil
}
