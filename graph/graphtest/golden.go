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
	path string

	mu      sync.Mutex
	want    map[string]string
	checked []string // names of sections, in the order of the cases
}

// OpenGolden reads the golden file of a test. When the test ends, sections that
// no case has checked are reported; with -update the file is rewritten.
func OpenGolden(t *testing.T) *Golden {
	t.Helper()
	g := &Golden{path: filepath.Join("testdata", t.Name()+".txtar"), want: map[string]string{}}
	if !*update {
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

// Check compares a response with the section of that name. With -update the
// first response of a name is compared with the later ones, which come from
// another database.
func (g *Golden) Check(t *testing.T, name string, response *http.Response, body string) {
	t.Helper()
	got := formatResponse(response, body)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.checked, name) {
		g.checked = append(g.checked, name)
		if *update {
			g.want[name] = got
		}
	}
	if diff := cmp.Diff(g.want[name], got); diff != "" {
		t.Errorf("%s: %s: -want +got:\n%s", g.path, name, diff)
	}
}

// formatResponse returns the status line, the headers that tests compare, and the
// body, ended by a newline that was not sent.
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
	case *update && someCases:
		t.Error("-update needs all cases of the test")
	case *update:
		archive := &txtar.Archive{Comment: []byte("Responses of " + t.Name() + ". To rewrite them: go test -run '^" + t.Name() + "$' -update\n")}
		for _, name := range g.checked {
			archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(g.want[name])})
		}
		if err := os.WriteFile(g.path, txtar.Format(archive), 0o644); err != nil {
			t.Error(err)
		}
	case !someCases:
		for name := range g.want {
			if !slices.Contains(g.checked, name) {
				t.Errorf("%s: section %q is unused", g.path, name)
			}
		}
	}
}
