package system

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// formerWords are words and phrases that the project no longer uses, with those that it uses.
var formerWords = map[string]string{
	`hears?|heard|unheard`:        "receive, notification",
	`told`:                        "name who says what",
	`LogIn|Login`:                 "authenticate, session",
	`Confirm|ConfirmNow`:          "revalidate, refresh",
	`ViewerFrom|IsForViewer`:      "Identify, IsPrivate",
	`Proof|UsersCurrent`:          "read barrier",
	`RecordReads|scoped`:          "read set",
	`CACHE_SLACK|slack`:           "staleness",
	`[Tt]opics?`:                  "live query",
	`Throttle`:                    "limiter",
	`[Mm]istakes?`:                "validation error",
	`[Mm]ov(ing|ed|es) (in|over)`: "import",
	`mover|MoveTx`:                "import",
	`IsOn`:                        "enabled",
	`Shorten`:                     "truncate",
	`made of|made from`:           "built from, depends on",
	`another one|the other one`:   "repeat the noun",
	`(that|those) of`:             "repeat the noun",
	`what (was|is|were) read`:     "name the thing",
}

// writtenFiles returns the names of the files that people write and read.
func writtenFiles(t *testing.T) (names []string) {
	t.Helper()
	directories := []string{".git", "node_modules", "testdata", "migrations", "generated", "dist", "data"}
	extensions := []string{".go", ".md", ".graphqls", ".mjs", ".sql", ".yml", ".service"}
	err := fs.WalkDir(os.DirFS(projectDirectory), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(directories, entry.Name()):
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains(extensions, filepath.Ext(name)) && name != "CHANGELOG.md" && entry.Name() != "words_test.go":
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestWords_AreOfTheField checks that no former word of the project comes back.
func TestWords_AreOfTheField(t *testing.T) {
	t.Parallel()
	patterns := map[*regexp.Regexp]string{}
	for words, better := range formerWords {
		patterns[regexp.MustCompile(`\b(`+words+`)\b`)] = better
	}
	for _, name := range writtenFiles(t) {
		for i, line := range strings.Split(readText(t, name), "\n") {
			for pattern, better := range patterns {
				if word := pattern.FindString(line); word != "" {
					t.Errorf("%s:%d: %q: %s", name, i+1, word, better)
				}
			}
		}
	}
}

// vagueNames say how a variable is used instead of what it is.
var vagueNames = strings.Fields(`to from of at on by told found made read own which least most before since given refused wrong
	left other same here end began known shared`)

// TestNames_AreNouns checks that less than 1 % of the parameters, results and variables of
// functions are called by prepositions and participles.
func TestNames_AreNouns(t *testing.T) {
	t.Parallel()
	files, total, vague := token.NewFileSet(), 0, []string{}
	count := func(names ...*ast.Ident) {
		for _, name := range names {
			if name.Name == "_" {
				continue
			}
			if total++; slices.Contains(vagueNames, name.Name) {
				vague = append(vague, files.Position(name.Pos()).String()+": "+name.Name)
			}
		}
	}
	for _, name := range programFiles(t) {
		if strings.Contains(name, "generated") {
			continue
		}
		file, err := parser.ParseFile(files, name, readText(t, name), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok {
				countLocals(function, count)
			}
		}
	}
	if len(vague)*100 >= total {
		t.Errorf("%d of %d names:\n%s", len(vague), total, strings.Join(vague, "\n"))
	}
}

// countLocals calls count with the parameters, results and variables of a function.
func countLocals(function *ast.FuncDecl, count func(...*ast.Ident)) {
	fields := func(list *ast.FieldList) {
		if list != nil {
			for _, field := range list.List {
				count(field.Names...)
			}
		}
	}
	fields(function.Recv)
	ast.Inspect(function, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncType:
			fields(node.Params)
			fields(node.Results)
		case *ast.ValueSpec:
			count(node.Names...)
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE {
				count(identifiers(node.Lhs...)...)
			}
		case *ast.RangeStmt:
			if node.Tok == token.DEFINE {
				count(identifiers(node.Key, node.Value)...)
			}
		}
		return true
	})
}

func identifiers(expressions ...ast.Expr) (names []*ast.Ident) {
	for _, expression := range expressions {
		if name, ok := expression.(*ast.Ident); ok {
			names = append(names, name)
		}
	}
	return names
}

// TestFiles_AreShort checks that no file of the program has more than 400 lines.
func TestFiles_AreShort(t *testing.T) {
	t.Parallel()
	for _, name := range programFiles(t) {
		if strings.Contains(name, "generated") {
			continue
		}
		if lines := strings.Count(readText(t, name), "\n"); lines > 400 {
			t.Errorf("%s has %d lines, want at most 400", name, lines)
		}
	}
}
