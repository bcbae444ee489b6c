package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// TestMain lets the tests run the program as a process of its own: this
// binary, under another name.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_RUN_PROGRAM") != "" {
		main()
	}
	help := new(bytes.Buffer)
	run(context.Background(), []string{"serve", "--help"}, help, help)
	for _, name := range settingNames(help.String()) { // a developer's own settings are not the tests'
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// goRun is the go command as far as the README needs it: "go run ." is this
// program. The README's two commands, and what serves until it is stopped,
// are tested elsewhere.
const goRun = `#!/bin/sh
case "$*" in
"run ." | "run . serve" | "test ./...") exit 0 ;;
"run . "*) shift 2; TEST_RUN_PROGRAM=1 exec "$TEST_BINARY" "$@" ;;
esac
echo "go $*: not expected" >&2
exit 1
`

// block is a fenced block of the README; answer is the JSON after it, which
// it must print.
type block struct{ section, shell, answer string }

func readmeBlocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	section, language := "", ""
	var content strings.Builder
	for line := range strings.Lines(string(text)) {
		fence, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fenced && language == "":
			language = fence
			content.Reset()
		case fenced:
			switch last := len(blocks) - 1; language {
			case "sh":
				blocks = append(blocks, block{section, content.String(), ""})
			case "json":
				blocks[last].answer = content.String()
			}
			language = ""
		case language != "":
			content.WriteString(line)
		case strings.HasPrefix(line, "#"):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return blocks
}

// TestReadme runs every shell block of the README, top to bottom, beside a
// server with the demo.
func TestReadme(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil && os.Getenv("CI") == "" {
		t.Skip("the README is not tested: install psql (Debian: apt-get install postgresql-client)")
	}
	blocks := readmeBlocks(t)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder, programs := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "go"), []byte(goRun), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	postgres, legacy := dbtest.EmptyPostgres(t), dbtest.EmptyPostgres(t)
	for _, statement := range []string{
		"CREATE TABLE auth_user (id integer PRIMARY KEY, username text)",
		"CREATE TABLE authtoken_token (key text PRIMARY KEY, user_id integer)",
		"INSERT INTO auth_user VALUES (5, 'sara')",
		"INSERT INTO authtoken_token VALUES ('be995b582c8bf952546d3819251020d1ad1b2eb1', 5)",
	} {
		dbtest.Exec(t, legacy, statement)
	}
	t.Chdir(folder)
	server := start(t)
	named := false
	for _, block := range blocks {
		t.Run(block.section, func(t *testing.T) {
			script := strings.NewReplacer(
				"http://127.0.0.1:8000", server.url,
				"postgres://portfolio:secret@127.0.0.1:5432/portfolio", "'"+postgres+"'",
			).Replace(block.shell)
			command := exec.Command("bash", "-euo", "pipefail", "-c", script)
			command.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "TEST_BINARY="+binary, "LEGACY_DATABASE_URL="+legacy)
			if named {
				command.Env = append(command.Env, "DATABASE_URL="+postgres)
			}
			output, err := command.Output()
			if err != nil {
				t.Fatalf("%s\n%v %s", block.shell, err, err.(*exec.ExitError).Stderr) //nolint:errorlint // of exec
			}
			got := strings.ReplaceAll(string(output), server.url, "http://127.0.0.1:8000")
			if diff := cmp.Diff(strings.TrimSpace(block.answer), strings.TrimSpace(got)); block.answer != "" && diff != "" {
				t.Errorf("%s\n%s", block.shell, diff)
			}
		})
		named = named || strings.Contains(block.shell, "export DATABASE_URL")
	}
}

// TestReadmeSettings: the table names each setting, and no other.
func TestReadmeSettings(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	help, _ := command(t, 0, "serve", "--help")
	for _, name := range settingNames(help) {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("README.md has no row for %s", name)
		}
	}
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(line, "| `")
		name, _, _ = strings.Cut(name, "`")
		if ok && name == strings.ToUpper(name) && !strings.Contains(help, "$"+name) {
			t.Errorf("README.md has a row for %s, which is no setting", name)
		}
	}
}

// settingNames are the environment variables in the help, $NAME each.
func settingNames(help string) []string {
	var names []string
	for _, part := range strings.Split(help, "$")[1:] {
		end := strings.IndexFunc(part, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') })
		names = append(names, part[:end])
	}
	return names
}
