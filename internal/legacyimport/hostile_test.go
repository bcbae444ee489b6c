package legacyimport_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/legacyimport"
)

// document returns the documented response for a link with an image.
func document(host string) string {
	return `{"id":1,"name":"n","url":null,"image_data":{"id":6,"type":"image","name":"i","size":5123,"human_readable_size":"5.00 KB","f":"http://` + host +
		`/media/a/b.png","width":225,"height":225,"mode":"P","thumbnails":[{"id":213,"f":"http://` + host + `/media/a/t.png","size":64}]},` +
		`"description":null,"created_at":"2026-01-13T10:05:43.296270Z","updated_at":"2026-01-13T10:05:43.296310Z"}`
}

const png = "\x89PNG\r\n\x1a\n"

// hostile is a legacy server.
type hostile struct {
	name string
	// link responds to the request for the link 1, and file to requests for files. If they are
	// nil, the server responds as documented. Edit changes the documented response for the link.
	link, file func(w http.ResponseWriter, r *http.Request)
	edit       []string // pairs of a text and its replacement
	slow       bool     // whether the test ends by a timeout
}

func (h hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch isFile := strings.HasPrefix(r.URL.Path, "/media/"); {
	case isFile && r.Header.Get("Authorization") != "":
		http.Error(w, "the token was sent to a file", http.StatusTeapot)
	case isFile && h.file != nil:
		h.file(w, r)
	case isFile:
		_, _ = io.WriteString(w, png+r.URL.Path)
	case r.Header.Get("Authorization") != "Token secret-key":
		http.Error(w, "no token", http.StatusTeapot)
	case h.link != nil:
		h.link(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.NewReplacer(h.edit...).Replace(document(r.Host)))
	}
}

func respond(status int, contentType, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func redirect(target string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) }
}

// endless sends the same bytes for ever.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for {
		if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
			return
		}
	}
}

// drip sends a byte now and then, until the client gives up.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	zipped := gzip.NewWriter(w)
	_, _ = zipped.Write(make([]byte, 16<<20))
	_ = zipped.Close()
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

const elsewhere = "http://127.0.0.2:1/"

var hostiles = []hostile{
	{name: "right"},
	{name: "redirect within the server", link: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			http.Redirect(w, r, r.URL.Path+"?again", http.StatusMovedPermanently)
			return
		}
		hostile{}.ServeHTTP(w, r)
	}},
	{name: "redirect to another server", link: redirect(elsewhere)},
	{name: "endless redirects", link: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }},
	{name: "redirect without a target", link: respond(302, "application/json", "")},
	{name: "huge body", link: endless},
	{name: "slow drip", link: drip, slow: true},
	{name: "compressed", link: bomb},
	{name: "hangs up", link: hangUp},
	{name: "HTML", link: respond(200, "text/html", "<html>\x1b[31mmaintenance</html>")},
	{name: "HTML 404", link: respond(404, "text/html; charset=utf-8", "<h1>Not Found</h1>")},
	{name: "500", link: respond(500, "text/html", "<h1>Server Error (500)</h1>")},
	{name: "418", link: respond(418, "application/json", "{}")},
	{name: "401", link: respond(401, "application/json", `{"detail":"Invalid token."}`)},
	{name: "403", link: respond(403, "application/json", `{"detail":"You do not have permission to perform this action."}`)},
	{name: "404", link: respond(404, "application/json", `{"detail":"Not found."}`)},
	{name: "not JSON", link: respond(200, "application/json", "oops")},
	{name: "a list", link: respond(200, "application/json", "[]")},
	{name: "null", link: respond(200, "application/json", "null")},
	{name: "deep", link: respond(200, "application/json", strings.Repeat("[", 100_000))},
	{name: "two documents", edit: []string{`296310Z"}`, `296310Z"}{}`}},
	{name: "unknown field", edit: []string{`"mode":"P"`, `"mode":"P","password":"x"`}},
	{name: "missing fields", edit: []string{`"name":"n",`, "", `"size":64`, `"size":64`, `"width":225,`, ""}},
	{name: "null fields", edit: []string{`"name":"n"`, `"name":null`, `"type":"image"`, `"type":null`, `"size":5123`, `"size":null`}},
	{name: "wrong types", edit: []string{`"name":"n"`, `"name":1`}},
	{name: "wrong type of an ID", edit: []string{`"id":6`, `"id":"6"`}},
	{name: "fraction", edit: []string{`"width":225`, `"width":225.5`}},
	{name: "great number", edit: []string{`"size":5123`, `"size":92233720368547758070`}},
	{name: "more than 32 bits", edit: []string{`"width":225`, `"width":2147483648`}},
	{name: "another link", edit: []string{`{"id":1,`, `{"id":2,`}},
	{name: "ID 0", edit: []string{`"id":6`, `"id":0`, `"id":213`, `"id":-1`}},
	{name: "thumbnail twice", edit: []string{`{"id":213`, `{"id":213,"f":null,"size":1},{"id":213`}},
	{name: "NUL", edit: []string{`"name":"n"`, `"name":"a\u0000b"`}},
	{name: "not a time", edit: []string{`"2026-01-13T10:05:43.296310Z"`, `"yesterday"`}},
	{name: "year 10000", edit: []string{`"2026-01-13T10:05:43.296310Z"`, `"10000-01-13T10:05:43.296310Z"`}},
	{name: "other texts", edit: []string{`5.00 KB`, `5,00 KB`, `296310Z`, `296310+00:00`}},
	{name: "other white space", edit: []string{`"name":`, `"name": `}},
	{name: "path traversal", edit: []string{`/media/a/b.png`, `/media/../../etc/passwd`}},
	{name: "escaped path traversal", edit: []string{`/media/a/b.png`, `/media/%2e%2e/%2e%2e/etc/passwd`, `/media/a/t.png`, `/media/%2Fetc/passwd`}},
	{name: "not a file", edit: []string{`/media/a/b.png`, `/media/`, `/media/a/t.png`, `/other/t.png`}},
	{name: "not a URL", edit: []string{`"f":"http://`, `"f":"javascript://`}},
	{name: "signed URL", edit: []string{`b.png`, `b.png?signature=x`}},
	{name: "files on another server", edit: []string{`"f":"http://`, `"f":"http://elsewhere.`}},
	{name: "hidden file", edit: []string{`/a/b.png`, `/a/.b.png`}},
	{name: "no files", link: func(w http.ResponseWriter, r *http.Request) {
		respond(200, "application/json", regexp.MustCompile(`"f":"[^"]*"`).ReplaceAllString(document(r.Host), `"f":null`))(w, r)
	}},
	{name: "missing files", file: respond(404, "text/html", "not found")},
	{name: "HTML files", file: respond(200, "image/png", "<!DOCTYPE html><html><title>Log in</title></html>")},
	{name: "empty files", file: respond(200, "image/png", "")},
	{name: "huge files", file: endless},
	{name: "huge declared files", file: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9000000000000") }},
	{name: "short files", file: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, png)
	}},
	{name: "slow files", file: drip, slow: true},
	{name: "compressed files", file: bomb},
	{name: "files redirect to another server", file: redirect(elsewhere)},
	{name: "files redirect for ever", file: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }},
}

// TestImport_ReportsMisbehavingServers checks the reports about servers that misbehave, and the
// stored rows and files.
func TestImport_ReportsMisbehavingServers(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	reports := make([]string, len(hostiles))
	t.Run("servers", func(t *testing.T) {
		for i, h := range hostiles {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(h)
				defer server.Close()
				m, o := newTarget(t, dbtest.Open(t, dbtest.SQLite(t))), endpointOptions(t, server.URL)
				if h.slow {
					o.Timeout = 200 * time.Millisecond
				}
				_, text := m.run(o)
				reports[i] = problems(text) + "links: " + m.links() + "\nfiles: " + m.files() + "\n"
			})
		}
	})
	for i, h := range hostiles {
		golden.CheckText(t, h.name, reports[i])
	}
}

func endpointOptions(t *testing.T, url string) legacyimport.Options {
	t.Helper()
	o := legacyimport.Options{Token: "secret-key", Portfolios: []int64{1}, Timeout: time.Minute, MaxFile: 1 << 20}
	if err := o.URL.UnmarshalText([]byte(url)); err != nil {
		t.Fatal(err)
	}
	if err := o.Links.UnmarshalText([]byte("1")); err != nil {
		t.Fatal(err)
	}
	return o
}

// problems returns the lines of a report after the table.
func problems(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[7:], "")
}

// links describes the local links.
func (m *target) links() string {
	m.t.Helper()
	page, err := m.database.PortfolioLinks(m.t.Context(), nil, db.List{Limit: 10, WithRows: true, WithImages: true, Order: db.NewOrderBy(db.Order{Field: db.OrderByID, Direction: db.Ascending})})
	if err != nil {
		m.t.Fatal(err)
	}
	var text strings.Builder
	for _, link := range page.Rows {
		fmt.Fprintf(&text, "%d of %d %q", link.ID, link.PortfolioID, link.Name)
		if image := link.ImageData; image != nil {
			fmt.Fprintf(&text, " image %d %q", image.ID, image.Path)
			for _, thumbnail := range image.Thumbnails {
				fmt.Fprintf(&text, " thumbnail %d %q", thumbnail.ID, thumbnail.Path)
			}
		}
	}
	return text.String()
}

// TestImport_StopsAfterManyFailures checks that a run ends if all responses are unusable.
func TestImport_StopsAfterManyFailures(t *testing.T) {
	t.Parallel()
	requests := make(chan struct{}, 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		http.NotFound(w, r) // not as the legacy system does
	}))
	defer server.Close()
	m, o := newTarget(t, dbtest.Open(t, dbtest.SQLite(t))), endpointOptions(t, server.URL)
	if err := o.Links.UnmarshalText([]byte("1-5000")); err != nil {
		t.Fatal(err)
	}
	_, text := m.run(o)
	if !strings.HasSuffix(text, "error: 20 responses in a row cannot be used, the last error: the response is 404 with \"text/plain\", not JSON: \"404 page not found\\n\"\n") || len(requests) > 40 {
		t.Errorf("got %d requests, want at most 40, and the report %s", len(requests), text)
	}
}

// TestImport_DeletesLinksOnlyOnRequest checks that a link that the endpoint has deleted stays
// without --delete.
func TestImport_DeletesLinksOnlyOnRequest(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		exists := true
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if h := (hostile{}); exists || strings.HasPrefix(r.URL.Path, "/media/") {
				h.ServeHTTP(w, r)
				return
			}
			respond(404, "application/json", `{"detail":"Not found."}`)(w, r)
		}))
		defer server.Close()
		m, o := newTarget(t, database), endpointOptions(t, server.URL)
		const stored = `1 of 1 "n" image 6 "a/b.png" thumbnail 213 "a/t.png"`
		for _, c := range []struct {
			exists, delete bool
			problems       string
			links          string
		}{
			{true, true, "Everything is equal. Responses compared with the endpoint: 1.\n", stored},
			{false, false, "differing link 1: it was deleted in the legacy system: --delete deletes it locally\nSome rows or files differ.\n", stored},
			{false, true, "Everything is equal. Responses compared with the endpoint: 0.\n", ""},
			{true, true, "Everything is equal. Responses compared with the endpoint: 1.\n", stored},
		} {
			exists, o.Delete = c.exists, c.delete
			_, text := m.run(o)
			if problems(text) != c.problems || m.links() != c.links {
				t.Errorf("got the report %s and the links %q, want %q and %q", text, m.links(), c.problems, c.links)
			}
		}
	})
}

// TestImport_RequestsEachLinkOnce checks that a run requests each link once. It requests first the
// links that were not imported yet.
func TestImport_RequestsEachLinkOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		var (
			mu        sync.Mutex
			requested []string
		)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, ok := strings.CutPrefix(r.URL.Path, "/api/portfolios/1/links/")
			if !ok {
				hostile{}.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			requested = append(requested, id)
			mu.Unlock()
			respond(200, "application/json", strings.Replace(document(r.Host), `{"id":1,`, `{"id":`+id+`,`, 1))(w, r)
		}))
		defer server.Close()
		m, o := newTarget(t, database), endpointOptions(t, server.URL)
		for _, c := range []struct {
			links string
			want  legacyimport.Counts
			first []string // requests
		}{
			{"2-150", legacyimport.Counts{Imported: 149}, nil},
			{"1-200", legacyimport.Counts{Imported: 51, Unchanged: 149}, []string{"1", "151", "200"}},
			{"1-200", legacyimport.Counts{Unchanged: 200}, nil},
		} {
			requested = nil
			if err := o.Links.UnmarshalText([]byte(c.links)); err != nil {
				t.Fatal(err)
			}
			report, text := m.run(o)
			if report.Links != c.want || len(requested) != c.want.Imported+c.want.Unchanged {
				t.Errorf("got %d requests and the report %s, want %+v", len(requested), text, c.want)
			}
			for _, id := range c.first {
				if !slices.Contains(requested[:c.want.Imported], id) {
					t.Errorf("got a late request for link %s, want it among the first %d", id, c.want.Imported)
				}
			}
		}
	})
}

// TestImport_StaysInMediaDirectory imports files of a directory with symbolic links to other files.
func TestImport_StaysInMediaDirectory(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(hostile{edit: []string{`"thumbnails":[`, `"thumbnails":[{"id":1,"f":"http://h/media/a/link.png","size":1},{"id":2,"f":"http://h/media/a/page.png","size":1},` +
		`{"id":3,"f":"http://h/media/a","size":1},{"id":4,"f":"http://h/media/a/large.png","size":1},{"id":5,"f":"http://h/media/a/empty.png","size":1},`}})
	defer server.Close()
	directory := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	for name, content := range map[string]string{secret: "secret", "a/b.png": png, "a/page.png": "<html>", "a/large.png": strings.Repeat("x", 1<<20+1), "a/empty.png": ""} {
		if !filepath.IsAbs(name) {
			name = filepath.Join(directory, name)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(directory, "a/link.png")); err != nil {
		t.Fatal(err)
	}
	m, o := newTarget(t, dbtest.Open(t, dbtest.SQLite(t))), endpointOptions(t, server.URL)
	if err := o.Media.UnmarshalText([]byte(directory)); err != nil {
		t.Fatal(err)
	}
	_, text := m.run(o)
	graphtest.OpenGolden(t).CheckText(t, "report", problems(text)+"files: "+m.files()+"\n")
}

// TestImport_StoresLargeFiles imports a file that is larger than the buffer in memory.
func TestImport_StoresLargeFiles(t *testing.T) {
	t.Parallel()
	content := append([]byte(png), bytes.Repeat([]byte("0123456789abcdef"), 1<<16)...)
	server := httptest.NewServer(hostile{file: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }})
	defer server.Close()
	m, o := newTarget(t, dbtest.Open(t, dbtest.SQLite(t))), endpointOptions(t, server.URL)
	o.MaxFile = int64(len(content))
	if report, text := m.run(o); !report.Equal {
		t.Errorf("got the report %s, want everything equal", text)
	}
	file, err := m.store.Open(t.Context(), "a/b.png")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if stored, err := io.ReadAll(file); err != nil || !bytes.Equal(stored, content) {
		t.Errorf("got %d bytes, %v, want %d", len(stored), err, len(content))
	}
}
