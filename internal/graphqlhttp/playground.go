package graphqlhttp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
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

// page is an HTML page and its Content Security Policy.
type page struct{ html, policy string }

// NewPlayground returns a handler of gqlgen's GraphiQL page for an endpoint. The
// page opens with the documented query. If the token is not empty, the page that
// a browser on the same machine gets has it in its headers.
func NewPlayground(endpoint, token string) (http.Handler, error) {
	public, err := renderPlayground(endpoint, "YOUR_KEY")
	if err != nil {
		return nil, err
	}
	local := public
	if token != "" {
		if local, err = renderPlayground(endpoint, token); err != nil {
			return nil, err
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
			return
		}
		shown := public
		if isLocal(r) {
			shown = local
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", shown.policy)
		_, _ = io.WriteString(w, shown.html)
	}), nil
}

func renderPlayground(endpoint, token string) (page, error) {
	rendered := responseBuffer{header: http.Header{}}
	headers := map[string]string{"Authorization": "Token " + token}
	playground.Handler("Portfolio API", endpoint, playground.WithGraphiqlUiHeaders(headers))(&rendered, nil)
	query, err := json.Marshal(documentedQuery)
	if err != nil {
		return page{}, err
	}
	html := rendered.String()
	for _, change := range [][2]string{
		{"isHeadersEditorEnabled: true,", "isHeadersEditorEnabled: true, defaultQuery: " + string(query) + ","},
		{"shouldPersistHeaders: true,", "shouldPersistHeaders: false,"}, // they hold a token
	} {
		if strings.Count(html, change[0]) != 1 {
			return page{}, errors.New("playground: gqlgen's page has no " + change[0])
		}
		html = strings.Replace(html, change[0], change[1], 1)
	}
	return page{html, contentSecurityPolicy(html)}, nil
}

// isLocal reports whether a request comes from a browser on the same machine that
// names the server by a loopback host, and not through a proxy.
func isLocal(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && isLoopbackHost(r.Host)
}

// isLoopbackHost excludes names that an attacker's DNS may point to the server.
func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

var (
	inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	scriptSource = regexp.MustCompile(`<script\s+src="([^"]+)"`)
	styleSource  = regexp.MustCompile(`<link\s+rel="stylesheet"\s+href="([^"]+)"`)
)

// contentSecurityPolicy allows the page its inline script, by its hash, the
// files that it loads from the CDN, and requests to this server only. GraphiQL
// adds inline styles.
func contentSecurityPolicy(html string) string {
	var scripts, styles []string
	for _, inline := range inlineScript.FindAllStringSubmatch(html, -1) {
		hash := sha256.Sum256([]byte(inline[1]))
		scripts = append(scripts, "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	}
	for _, source := range scriptSource.FindAllStringSubmatch(html, -1) {
		scripts = append(scripts, source[1])
	}
	for _, source := range styleSource.FindAllStringSubmatch(html, -1) {
		styles = append(styles, source[1])
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src 'unsafe-inline' " + strings.Join(styles, " ") +
		"; img-src data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
