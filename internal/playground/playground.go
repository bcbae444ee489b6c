// Package playground serves a page on which people try out the API: GraphiQL, or
// a simple form if the browser cannot load GraphiQL.
package playground

import (
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// Prefix is the URL path below which the files of GraphiQL are served.
const Prefix = "/playground/"

var (
	//go:embed page.html
	html string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
	//go:embed cdn.json
	cdn []byte
	//go:embed all:dist
	dist embed.FS
)

// BuiltFiles returns the files of GraphiQL that make playground builds. Without a build, there are none.
func BuiltFiles() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is valid
	}
	return files
}

// Options are the settings of a playground.
type Options struct {
	Endpoint string // path of the GraphQL endpoint
	MediaURL string // base URL of files; "" for files on this server
	Token    string // shown to browsers on the same machine; "" for none
}

// handler serves the page at /, and the files of GraphiQL below Prefix.
type handler struct {
	public, local []byte // the page
	policy        string // of the page
	files         fs.FS
}

// New returns a handler of the page and of the built files of GraphiQL. Without built files,
// browsers load GraphiQL from a CDN.
func New(built fs.FS, options Options) (http.Handler, error) {
	content, err := fs.ReadFile(built, "graphiql.json")
	if errors.Is(err, fs.ErrNotExist) {
		content, err = cdn, nil
	}
	if err != nil {
		return nil, err
	}
	var graphiql struct{ Base string } // URL of the directory of its files
	if err := json.Unmarshal(content, &graphiql); err != nil {
		return nil, fmt.Errorf("graphiql.json: %w", err)
	}
	local, err := render(content, options)
	if err != nil {
		return nil, err
	}
	options.Token = ""
	public, err := render(content, options)
	if err != nil {
		return nil, err
	}
	return &handler{public, local, contentSecurityPolicy(graphiql.Base, options.MediaURL), built}, nil
}

// render returns the page. The files of GraphiQL are a JSON object.
func render(graphiql json.RawMessage, options Options) ([]byte, error) {
	config, err := json.Marshal(map[string]any{
		"endpoint": options.Endpoint, "examples": examples, "graphiql": graphiql, "mediaURL": options.MediaURL, "token": options.Token,
	})
	if err != nil {
		return nil, err
	}
	return []byte(strings.NewReplacer("{{style}}", style, "{{script}}", script, "{{config}}", string(config)).Replace(html)), nil
}

// contentSecurityPolicy allows the page its script, the files of GraphiQL, the
// images of the server, and requests to the server. The editor of GraphiQL adds
// inline styles.
func contentSecurityPolicy(base, mediaURL string) string {
	hash := sha256.Sum256([]byte(script))
	files, workers, requests, images := "'self'", "'self'", "'self'", "'self' data:"
	if base != Prefix {
		files, requests = base, "'self' "+base
		workers = "blob:" // of scripts that the page has requested: browsers start no worker from another host
	}
	if media, err := url.Parse(mediaURL); err == nil && media.Host != "" {
		images += " " + media.Scheme + "://" + media.Host
	}
	return "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "' " + files +
		"; worker-src " + workers + "; style-src 'unsafe-inline' " + files + "; font-src data:; img-src " + images +
		"; connect-src " + requests + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, Prefix); ok {
		h.serveFile(w, r, name)
		return
	}
	page := h.public
	if isLocal(r) {
		page = h.local
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", h.policy)
	_, _ = w.Write(page)
}

// serveFile serves a file of GraphiQL. Its name has a hash of its content.
func (h *handler) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	compressed, err := h.files.Open(name + ".gz")
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer func() { _ = compressed.Close() }()
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'") // no worker starts in a sandbox
	header.Set("Content-Type", contentTypes[path.Ext(name)])
	header.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		header.Set("Content-Encoding", "gzip")
		_, _ = io.Copy(w, compressed)
		return
	}
	content, err := gzip.NewReader(compressed)
	if err != nil {
		http.Error(w, "The file cannot be read.", http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, content) //nolint:gosec // the content is part of the server
}

var contentTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

func acceptsGzip(header http.Header) bool {
	for coding := range strings.SplitSeq(header.Get("Accept-Encoding"), ",") {
		if name, weight, _ := strings.Cut(coding, ";"); strings.TrimSpace(name) == "gzip" {
			return strings.TrimSpace(weight) != "q=0"
		}
	}
	return false
}

// isLocal reports whether a request comes from a browser on the same machine, without a proxy. The
// request must name a loopback host.
func isLocal(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && isLoopbackHost(r.Host)
}

// isLoopbackHost reports whether a host is localhost or a loopback address. It accepts no other
// names, because an attacker's DNS could point a name to the server.
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
