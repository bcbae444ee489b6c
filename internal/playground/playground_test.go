package playground_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/playground"
)

const manifest = `{"base": "/playground/", "script": {"name": "graphiql-1.js"}, "style": {"name": "graphiql-2.css"}, "workers": {"editor": {"name": "editor-3.js"}}}`

// built returns the files that make playground would build.
func built(t *testing.T) fs.FS {
	t.Helper()
	files := fstest.MapFS{".gitignore": {Data: []byte("*")}, "graphiql.json": {Data: []byte(manifest)}}
	for _, name := range []string{"graphiql-1.js", "graphiql-2.css", "editor-3.js"} {
		var compressed bytes.Buffer
		w := gzip.NewWriter(&compressed)
		_, err := io.WriteString(w, "content of "+name)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		files[name+".gz"] = &fstest.MapFile{Data: compressed.Bytes()}
	}
	return files
}

var unbuilt = fstest.MapFS{".gitignore": {Data: []byte("*")}}

func newServer(t *testing.T, files fs.FS, options playground.Options) *httptest.Server {
	t.Helper()
	handler, err := playground.New(files, options)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// send sends a request and returns the response and its body as it was sent.
func send(t *testing.T, method, url, host string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	maps.Copy(request.Header, header)
	response, err := (&http.Transport{DisableCompression: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestPage_HasTokenOnSameMachineOnly(t *testing.T) {
	for name, files := range map[string]fs.FS{"built": built(t), "not built": unbuilt} {
		server := newServer(t, files, playground.Options{Endpoint: "/graphql", Token: "KEY"})
		for _, c := range []struct {
			name      string
			method    string
			host      string // the host of the URL if empty
			header    http.Header
			status    int
			wantToken bool
		}{
			{"loopback address", http.MethodGet, "", nil, http.StatusOK, true},
			{"localhost", http.MethodGet, "localhost:8000", nil, http.StatusOK, true},
			{"IPv6 loopback", http.MethodGet, "[::1]", nil, http.StatusOK, true},
			{"another host", http.MethodGet, "rebound.example:8000", nil, http.StatusOK, false},
			{"behind a proxy", http.MethodGet, "", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, http.StatusOK, false},
			{"behind a standard proxy", http.MethodGet, "", http.Header{"Forwarded": {"for=192.0.2.1"}}, http.StatusOK, false},
			{"HEAD", http.MethodHead, "", nil, http.StatusOK, false},
			{"POST", http.MethodPost, "", nil, http.StatusMethodNotAllowed, false},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				response, body := send(t, c.method, server.URL, c.host, c.header)
				if response.StatusCode != c.status || strings.Contains(body, `"token":"KEY"`) != c.wantToken {
					t.Errorf("%s, the token is shown: %v", response.Status, !c.wantToken)
				}
				if c.status == http.StatusOK && response.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("a proxy may store the page: %q", response.Header)
				}
			})
		}
	}
}

// TestPage_HidesTokenFromNetwork sends a request from an address that is not
// loopback.
func TestPage_HidesTokenFromNetwork(t *testing.T) {
	handler, err := playground.New(unbuilt, playground.Options{Endpoint: "/graphql", Token: "KEY"})
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)) // from 192.0.2.1
	if page.Code != http.StatusOK || strings.Contains(page.Body.String(), `"token":"KEY"`) {
		t.Errorf("%d, the token is shown", page.Code)
	}
}

func TestPage_HasContentSecurityPolicy(t *testing.T) {
	const cdn = "https://cdn.jsdelivr.net/npm/@graphql-yoga/graphiql@4.5.0/dist/"
	for _, c := range []struct {
		name, mediaURL string
		files          fs.FS
		want           string // with HASH for the hash of the script
	}{
		{"built", "", built(t), "default-src 'none'; script-src 'sha256-HASH' 'self'; worker-src 'self'; style-src 'unsafe-inline' 'self'; font-src data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
		{"CDN", "", unbuilt, "default-src 'none'; script-src 'sha256-HASH' " + cdn + "; worker-src blob:; style-src 'unsafe-inline' " + cdn + "; font-src data:; img-src 'self' data:; connect-src 'self' " + cdn + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
		{"files on another host", "https://files.example:8443/media/", built(t), "default-src 'none'; script-src 'sha256-HASH' 'self'; worker-src 'self'; style-src 'unsafe-inline' 'self'; font-src data:; img-src 'self' data: https://files.example:8443; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newServer(t, c.files, playground.Options{Endpoint: "/graphql", MediaURL: c.mediaURL})
			response, body := send(t, http.MethodGet, server.URL, "", nil)
			scripts := regexp.MustCompile(`(?s)<script type="module">(.*?)</script>`).FindAllStringSubmatch(body, -1)
			if len(scripts) != 1 {
				t.Fatalf("%d scripts", len(scripts))
			}
			hash := sha256.Sum256([]byte(scripts[0][1]))
			want := strings.Replace(c.want, "HASH", base64.StdEncoding.EncodeToString(hash[:]), 1)
			if got := response.Header.Get("Content-Security-Policy"); got != want {
				t.Errorf("the policy is\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestHandler_ServesBuiltFiles(t *testing.T) {
	server, none := newServer(t, built(t), playground.Options{}), newServer(t, unbuilt, playground.Options{})
	for _, c := range []struct {
		name         string
		server       *httptest.Server
		method, path string
		accept       string // Accept-Encoding
		status       int
		encoding     string
		contentType  string
		body         string
	}{
		{"script", server, http.MethodGet, "graphiql-1.js", "gzip, deflate, br", 200, "gzip", "text/javascript; charset=utf-8", "content of graphiql-1.js"},
		{"style", server, http.MethodGet, "graphiql-2.css", "br, gzip;q=0.5", 200, "gzip", "text/css; charset=utf-8", "content of graphiql-2.css"},
		{"not compressed", server, http.MethodGet, "editor-3.js", "br", 200, "", "text/javascript; charset=utf-8", "content of editor-3.js"},
		{"gzip refused", server, http.MethodGet, "editor-3.js", "gzip;q=0", 200, "", "text/javascript; charset=utf-8", "content of editor-3.js"},
		{"HEAD", server, http.MethodHead, "editor-3.js", "br", 200, "", "text/javascript; charset=utf-8", ""},
		{"POST", server, http.MethodPost, "editor-3.js", "", 405, "", "text/plain; charset=utf-8", "Method not allowed.\n"},
		{"unknown", server, http.MethodGet, "graphiql-0.js", "", 404, "", "text/plain; charset=utf-8", "404 page not found\n"},
		{"list of files", server, http.MethodGet, "graphiql.json", "", 404, "", "text/plain; charset=utf-8", "404 page not found\n"},
		{"directory", server, http.MethodGet, "", "", 404, "", "text/plain; charset=utf-8", "404 page not found\n"},
		{"parent directory", server, http.MethodGet, "../playground/editor-3.js", "", 404, "", "text/plain; charset=utf-8", "404 page not found\n"},
		{"not built", none, http.MethodGet, "editor-3.js", "", 404, "", "text/plain; charset=utf-8", "404 page not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body := send(t, c.method, c.server.URL+"/playground/"+c.path, "", http.Header{"Accept-Encoding": {c.accept}})
			if c.encoding != "" {
				body = decompress(t, body)
			}
			header := response.Header
			if response.StatusCode != c.status || body != c.body || header.Get("Content-Encoding") != c.encoding || header.Get("Content-Type") != c.contentType {
				t.Errorf("%s %q %q", response.Status, header, body)
			}
			forever := header.Get("Cache-Control") == "public, max-age=31536000, immutable" && header.Get("Vary") == "Accept-Encoding"
			if forever != (c.status == http.StatusOK) {
				t.Errorf("may be stored: %v", forever)
			}
			if strings.Contains(header.Get("Content-Security-Policy"), "sandbox") {
				t.Error("a worker would not start")
			}
		})
	}
}

func decompress(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestNew_RejectsInvalidBuild(t *testing.T) {
	_, err := playground.New(fstest.MapFS{"graphiql.json": {Data: []byte("{")}}, playground.Options{})
	if err == nil || err.Error() != "graphiql.json: unexpected end of JSON input" {
		t.Error(err)
	}
}

// browse returns the document at a URL after its scripts have run in a browser that
// cannot reach the CDN, and what they logged.
func browse(t *testing.T, url string) (page, console string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("the playground is not tested in a browser: install chromium (Debian: apt-get install chromium)")
	} else if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--virtual-time-budget=5000", "--dump-dom",
		"--user-data-dir="+t.TempDir(), url)
	var log strings.Builder
	command.Stderr = &log
	document, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return string(document), log.String()
}

// TestForm_LinksImagesOfTheServerOnly runs a query whose result has URLs of several
// schemes and hosts.
func TestForm_LinksImagesOfTheServerOnly(t *testing.T) {
	t.Parallel()
	const submit = `<script type="module">
const waiting = setInterval(() => {
	const form = document.getElementById("request");
	if (document.getElementById("simple-form").hidden) return;
	clearInterval(waiting);
	form.requestSubmit();
}, 50);
</script>`
	handler, err := playground.New(unbuilt, playground.Options{Endpoint: "/graphql", MediaURL: "https://files.example/media/"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/graphql" {
			page := httptest.NewRecorder()
			handler.ServeHTTP(page, r)
			_, _ = io.WriteString(w, page.Body.String()+submit) // without the policy of the page, which forbids this script
			return
		}
		var urls []string
		for _, url := range []string{
			"http://HOST/media/ours.png", "https://HOST/media/tls.JPEG", "https://files.example/media/cdn.webp",
			"javascript://HOST/%0Aalert(1)//.png", "JavaScript://HOST/.png", "ftp://HOST/a.png", "data://HOST/a.png", "view-source://HOST/a.png",
			"http://elsewhere.example/a.png", "http://HOST@elsewhere.example/a.png", "https://files.example.evil/media/a.png",
			"https://files.example/other/a.png", "http://HOST/media/a.svg", "/media/a.png",
		} {
			urls = append(urls, strings.ReplaceAll(url, "HOST", r.Host))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"urls": urls}})
	}))
	t.Cleanup(server.Close)
	page, _ := browse(t, server.URL)
	var got []string
	for _, link := range regexp.MustCompile(`<a href="([^"]*)"[^>]*><img src="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		got = append(got, strings.ReplaceAll(link[1], strings.TrimPrefix(server.URL, "http://"), "HOST"))
	}
	want := []string{"http://HOST/media/ours.png", "https://HOST/media/tls.JPEG", "https://files.example/media/cdn.webp"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestForm_RunsQueries runs the page as a form.
func TestForm_RunsQueries(t *testing.T) {
	t.Parallel()
	server := newServer(t, unbuilt, playground.Options{Endpoint: "/graphql", Token: "KEY"})
	page, console := browse(t, server.URL)
	for _, want := range []string{`<main id="simple-form">`, ">DocumentedLink</option>", ">UploadImage</option>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, message := range regexp.MustCompile(`(?m)^.*:CONSOLE.*$`).FindAllString(console, -1) {
		if !strings.Contains(message, "net::ERR_NAME_NOT_RESOLVED") {
			t.Error(message)
		}
	}
}
