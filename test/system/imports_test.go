package system

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestImports checks that each package imports only packages below it in the list of
// ARCHITECTURE.md, which lists all packages but the packages of tests.
func TestImports(t *testing.T) {
	t.Parallel()
	layers := readLayers(t)
	packages := map[string]bool{}
	for _, name := range programFiles(t) {
		directory := path.Dir(name)
		layer, ok := layers[directory]
		if !ok {
			t.Errorf("ARCHITECTURE.md does not list the package of %s", name)
		}
		packages[directory] = true
		file, err := parser.ParseFile(token.NewFileSet(), projectFile(name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if imported, ok := strings.CutPrefix(imported, "portfolio/"); ok && layers[imported] <= layer {
				t.Errorf("%s imports %s, which is not below %s", name, imported, directory)
			}
		}
	}
	if len(packages) != len(layers) {
		t.Errorf("ARCHITECTURE.md lists %d packages, and there are %d", len(layers), len(packages))
	}
}

// readLayers returns the number of the line that lists each package, from the top.
func readLayers(t *testing.T) map[string]int {
	t.Helper()
	list := regexp.MustCompile("(?s)```\n(server\\.go .*?)```").FindStringSubmatch(readText(t, "ARCHITECTURE.md"))
	if list == nil {
		t.Fatal("ARCHITECTURE.md has no list of packages")
	}
	layers := map[string]int{".": 0}
	for i, line := range strings.Split(strings.TrimSpace(list[1]), "\n")[1:] {
		for field := range strings.FieldsSeq(line) {
			if info, err := os.Stat(projectFile(field)); err != nil || !info.IsDir() {
				break
			}
			layers[field] = i + 1
		}
	}
	return layers
}
