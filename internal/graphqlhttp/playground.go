package graphqlhttp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
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

// responseBuffer is a response in memory.
type responseBuffer struct {
	strings.Builder
	header http.Header
}

func (b *responseBuffer) Header() http.Header { return b.header }
func (*responseBuffer) WriteHeader(int)       {}

// NewPlayground returns a handler of gqlgen's GraphiQL page for an endpoint. The
// page opens with the documented query, and with the token in its headers unless that
// is empty.
func NewPlayground(endpoint, token string) (http.Handler, error) {
	headers := map[string]string{"Authorization": "Token YOUR_KEY"}
	if token != "" {
		headers["Authorization"] = "Token " + token
	}
	rendered := responseBuffer{header: http.Header{}}
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
	policy := contentSecurityPolicy(page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = io.WriteString(w, page)
	}), nil
}

var (
	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	scriptSource = regexp.MustCompile(`<script\s+src="([^"]+)"`)
	styleSource  = regexp.MustCompile(`<link\s+rel="stylesheet"\s+href="([^"]+)"`)
)

// contentSecurityPolicy allows the page its inline script, by its hash, the
// files that it loads from the CDN, and requests to this server only. GraphiQL
// adds inline styles.
func contentSecurityPolicy(page string) string {
	var scripts, styles []string
	for _, inline := range inlineScript.FindAllStringSubmatch(page, -1) {
		hash := sha256.Sum256([]byte(inline[1]))
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	}
	for _, source := range scriptSource.FindAllStringSubmatch(page, -1) {
		scripts = append(scripts, source[1])
	}
	for _, source := range styleSource.FindAllStringSubmatch(page, -1) {
		styles = append(styles, source[1])
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src 'unsafe-inline' " + strings.Join(styles, " ") +
		"; img-src data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
