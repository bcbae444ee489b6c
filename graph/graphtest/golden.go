package graphtest

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files of the tests that run")

// Golden compares responses with testdata/TestName.txtar, an archive with one
// section for each case of a test.
type Golden struct {
	path   string
	update bool

	mu      sync.Mutex
	want    map[string]string
	checked []string // names of sections, in the order of the cases
}

// OpenGolden reads the golden file of a test. When the test ends, sections that
// were not checked are reported; with -update the file is rewritten.
func OpenGolden(t *testing.T) *Golden {
	t.Helper()
	g := &Golden{path: filepath.Join("testdata", t.Name()+".txtar"), update: *update, want: map[string]string{}}
	if !g.update {
		archive, err := txtar.ParseFile(g.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, section := range archive.Files {
			g.want[section.Name] = string(section.Data)
		}
	}
	t.Cleanup(func() { g.close(t) })
	return g
}

// Check compares a response with the section of that name.
func (g *Golden) Check(t *testing.T, name string, response *http.Response, body string) {
	t.Helper()
	g.CheckText(t, name, formatResponse(response, body))
}

// CheckText compares lines of text with the section of that name.
func (g *Golden) CheckText(t *testing.T, name, text string) {
	t.Helper()
	if diff := g.compare(name, text); diff != "" {
		t.Errorf("%s: %s: -want +got:\n%s", g.path, name, diff)
	}
}

// Text returns the section of that name.
func (g *Golden) Text(name string) string { return g.want[name] }

// compare returns the differences from a section. With -update the first response
// of a name becomes the section, so that all databases must return the same.
func (g *Golden) compare(name, got string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.checked, name) {
		g.checked = append(g.checked, name)
		if g.update {
			g.want[name] = got
		}
	}
	return cmp.Diff(g.want[name], got)
}

// formatResponse returns the status line, the headers that tests compare, and the body. It
// appends a newline.
func formatResponse(response *http.Response, body string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s\n", response.Proto, response.Status)
	for _, name := range []string{"Content-Type", "Cache-Control", "ETag", "Vary", "Allow", "WWW-Authenticate", "Retry-After"} {
		if values := response.Header.Values(name); values != nil {
			fmt.Fprintf(&text, "%s: %s\n", name, strings.Join(values, ", "))
		}
	}
	return text.String() + "\n" + body + "\n"
}

func (g *Golden) close(t *testing.T) {
	selected := flag.Lookup("test.run").Value.String() + flag.Lookup("test.skip").Value.String()
	switch someCases := strings.Contains(selected, "/"); {
	case t.Failed():
	case g.update && someCases:
		t.Error("-update needs all cases of the test")
	case g.update:
		if err := os.WriteFile(g.path, g.format(t.Name()), 0o644); err != nil {
			t.Error(err)
		}
	case !someCases && len(g.unused()) > 0:
		t.Errorf("%s: unused sections: %q", g.path, g.unused())
	}
}

func (g *Golden) format(test string) []byte {
	archive := &txtar.Archive{Comment: fmt.Appendf(nil, "Responses of %s. To rewrite them: go test -run '^%[1]s$' -update\n", test)}
	for _, name := range g.checked {
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(g.want[name])})
	}
	return txtar.Format(archive)
}

// unused returns the names of the sections that were not checked.
func (g *Golden) unused() (names []string) {
	for name := range g.want {
		if !slices.Contains(g.checked, name) {
			names = append(names, name)
		}
	}
	return names
}
