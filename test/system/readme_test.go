package system

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
	"portfolio/internal/legacyimport/legacytest"
	"portfolio/test/servertest"
)

// TestMain lets the tests run the program in a separate process: this binary,
// with TEST_RUN_PROGRAM set.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_RUN_PROGRAM") != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop)
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	help := new(bytes.Buffer)
	run(context.Background(), []string{"serve", "--help"}, help, help)
	run(context.Background(), []string{"import", "legacy", "--help"}, help, help)
	for _, name := range settingNames(help.String()) { // the developer's own settings must not reach the tests
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "OTEL_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// goStub replaces the go command: "go run ." runs this binary. It skips the
// commands that do not end or that other tests cover.
const goStub = `#!/bin/sh
case "$*" in
"run ." | "run . serve" | "test ./..." | "build "*) exit 0 ;;
"run . "*) shift 2; TEST_RUN_PROGRAM=1 exec "$TEST_BINARY" "$@" ;;
esac
echo "go $*: not expected" >&2
exit 1
`

// guides returns the text of README.md and of each guide in docs, by name.
func guides(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(os.DirFS(projectDirectory), "docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatal("no guides found: ", err)
	}
	texts := map[string]string{}
	for _, name := range append(names, "README.md") {
		text, err := os.ReadFile(projectFile(name))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// block is a fenced shell block of a guide. If a JSON block follows, the shell
// block must print it.
type block struct{ section, shell, response string }

func parseBlocks(text string) []block {
	var blocks []block
	var section, language, previous string
	var content strings.Builder
	for line := range strings.Lines(text) {
		fence, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fenced && language == "":
			language = fence
			content.Reset()
		case fenced:
			if language == "sh" {
				blocks = append(blocks, block{section, content.String(), ""})
			} else if language == "json" && previous == "sh" {
				blocks[len(blocks)-1].response = content.String()
			}
			previous, language = language, ""
		case language != "":
			content.WriteString(line)
		case strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return blocks
}

// TestReadme runs every shell block of README.md and of the guides. Each
// document gets its own directory, demo server and shell.
func TestReadme(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "go"), []byte(goStub), 0o700); err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "TEST_BINARY="+binary)
	ignored, err := os.ReadFile(projectFile(".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range guides(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runGuide(t, binary, environment, text, strings.Fields(string(ignored)))
		})
	}
}

func runGuide(t *testing.T, binary string, environment []string, text string, ignored []string) {
	postgres := "unused"
	if strings.Contains(text, "psql ") {
		if _, err := exec.LookPath("psql"); err != nil && os.Getenv("CI") == "" {
			t.Skip("this guide is not tested: install psql (Debian: apt-get install postgresql-client)")
		}
		postgres = dbtest.EmptyPostgres(t)
	}
	if strings.Contains(text, "LEGACY_DATABASE_URL") {
		environment = append(slices.Clip(environment), "LEGACY_DATABASE_URL="+legacytest.Documented(t))
	}
	directory := t.TempDir()
	server := startDemo(t, binary, directory)
	blocks := parseBlocks(text)
	var script strings.Builder
	for _, block := range blocks {
		script.WriteString(block.shell + "printf '\\0'\n") // ends the block's output
	}
	command := exec.Command("bash", "-euo", "pipefail", "-c", strings.NewReplacer(
		"http://127.0.0.1:8000", server,
		"postgres://portfolio:secret@127.0.0.1:5432/portfolio", "'"+postgres+"'",
	).Replace(script.String()))
	var stderr bytes.Buffer
	command.Dir, command.Env, command.Stderr = directory, environment, &stderr
	output, err := command.Output()
	outputs := strings.Split(strings.ReplaceAll(string(output), server, "http://127.0.0.1:8000"), "\x00")
	if err != nil {
		t.Fatalf("%s\n%v %s", blocks[len(outputs)-1].shell, err, stderr.String())
	}
	for i, block := range blocks {
		if diff := cmp.Diff(strings.TrimSpace(block.response), strings.TrimSpace(outputs[i])); block.response != "" && diff != "" {
			t.Errorf("%s: %s\n%s", block.section, block.shell, diff)
		}
	}
	written, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range written {
		if name := "/" + entry.Name(); !slices.Contains(ignored, name) && !slices.Contains(ignored, name+"/") {
			t.Errorf(".gitignore does not list %s", name)
		}
	}
}

// startDemo serves the demo from directory until the test ends and returns the
// server's URL.
func startDemo(t *testing.T, binary, directory string) string {
	t.Helper()
	command := exec.Command(binary, "serve", "--addr=127.0.0.1:0")
	command.Dir, command.Env = directory, append(os.Environ(), "TEST_RUN_PROGRAM=1")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
	})
	ready, err := servertest.AwaitReady(stdout)
	if err != nil {
		t.Fatal(err)
	}
	return ready.URL
}

// TestReadmeCode checks that each block whose fence names a file is in the file,
// apart from indentation.
func TestReadmeCode(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile("(?ms)^```\\w+ (\\S+)\n(.*?)^```$")
	indentation := regexp.MustCompile(`(?m)^[ \t]+`)
	for name, text := range guides(t) {
		for _, found := range code.FindAllStringSubmatch(text, -1) {
			file, err := os.ReadFile(projectFile(found[1]))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(indentation.ReplaceAllString(string(file), ""), indentation.ReplaceAllString(found[2], "")) {
				t.Errorf("%s: this is not in %s:\n%s", name, found[1], found[2])
			}
		}
	}
}

// TestReadmeLinks checks that each relative link names a file.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^):#]+)[^):]*\)`)
	for name, text := range guides(t) {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(projectFile(filepath.Join(filepath.Dir(name), found[1]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestReadmeSettings checks the table of settings in docs/operations.md: the
// names and defaults are in the help.
func TestReadmeSettings(t *testing.T) {
	t.Parallel()
	help, _ := runCommand(t, 0, "serve", "--help")
	rows := map[string]string{} // name to default
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (?:`(.*)`|unset) \\|").FindAllStringSubmatch(guides(t)["docs/operations.md"], -1) {
		rows[row[1]] = row[2]
	}
	setting := regexp.MustCompile(`(?s)^[a-z-]+=?"?([^"\s]*).*\(\$([A-Z_]+)\)`)
	for _, flag := range regexp.MustCompile(`(?m)^ +(?:-h, )?--`).Split(help, -1) {
		found := setting.FindStringSubmatch(flag)
		if found == nil {
			continue // not in the environment
		}
		stated, ok := rows[found[2]]
		if !ok {
			t.Errorf("docs/operations.md has no row for %s", found[2])
		}
		if stated != "" && stated != found[1] && !strings.Contains(flag, "("+stated+")") {
			t.Errorf("docs/operations.md: wrong default %s: --%s", stated, flag)
		}
		delete(rows, found[2])
	}
	for name := range rows {
		t.Errorf("docs/operations.md has a row for %s, which is not a setting", name)
	}
}

// settingNames returns the environment variables in the help, $NAME each.
func settingNames(help string) []string {
	var names []string
	for _, part := range strings.Split(help, "$")[1:] {
		end := strings.IndexFunc(part, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
		names = append(names, part[:end])
	}
	return names
}
