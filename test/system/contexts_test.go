package system

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDetachedContexts_End checks that each context that outlives its request ends by a deadline,
// or because its owner cancels it.
func TestDetachedContexts_End(t *testing.T) {
	t.Parallel()
	files, checked := token.NewFileSet(), 0
	for _, name := range programFiles(t) {
		file, err := parser.ParseFile(files, projectFile(name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		checked += checkContexts(t, files, file)
	}
	if checked == 0 {
		t.Error("no contexts were found")
	}
}

// programFiles returns the Go files of the program, without tests and their helpers.
func programFiles(t *testing.T) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(projectDirectory), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "bench" || strings.HasSuffix(name, "test") || entry.Name() == "node_modules"): // another module, and helpers of tests
			return fs.SkipDir
		case !entry.IsDir() && filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go"):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// checkContexts checks the detached contexts of a file, and returns how many there are.
func checkContexts(t *testing.T, files *token.FileSet, file *ast.File) (checked int) {
	t.Helper()
	detached := []string{"context.Background", "context.TODO", "context.WithoutCancel"}
	ends := []string{"context.WithTimeout", "context.WithDeadline", "context.WithCancel", "signal.NotifyContext"}
	ast.PreorderStack(file, nil, func(node ast.Node, stack []ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || !slices.Contains(detached, calledName(call)) {
			return true
		}
		checked++
		outer, _ := stack[len(stack)-1].(*ast.CallExpr)
		if outer == nil || !slices.Contains(ends, calledName(outer)) {
			t.Errorf("%s: %s has no deadline", files.Position(call.Pos()), calledName(call))
		}
		return true
	})
	return checked
}

// calledName returns the name of the function of another package that is called, such as
// context.Background.
func calledName(call *ast.CallExpr) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := selector.X.(*ast.Ident); ok {
		return pkg.Name + "." + selector.Sel.Name
	}
	return ""
}
