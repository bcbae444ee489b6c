package system

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// needProgram skips a test without a program, which the Debian package has.
func needProgram(t *testing.T, name, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "" {
		t.Skipf("skipped without %s (Debian: apt-get install %s)", name, debianPackage)
	}
}

// TestProxies_WaitLongerThanServer checks that proxies wait longer than the server works, and
// accept all files that a request can contain.
func TestProxies_WaitLongerThanServer(t *testing.T) {
	t.Parallel()
	config, _ := runCommand(t, 0, "config")
	setting := func(name string) string {
		_, rest, _ := strings.Cut("\n"+config, "\n"+name+"=")
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	nginx, caddy := readText(t, "deploy/nginx.conf"), readText(t, "deploy/Caddyfile")
	timeouts := regexp.MustCompile(`(\d+s);? # above ([A-Z_]+)`).FindAllStringSubmatch(nginx+caddy, -1)
	if len(timeouts) != 3 {
		t.Errorf("timeouts: %q", timeouts)
	}
	for _, match := range timeouts {
		proxy, err := time.ParseDuration(match[1])
		server, settingErr := time.ParseDuration(setting(match[2]))
		if err != nil || settingErr != nil || proxy <= server {
			t.Errorf("%s is not above %s", match[0], server)
		}
	}
	body := regexp.MustCompile(`client_max_body_size (\d+)m; # above 10 \* MEDIA_MAX_BYTES`).FindStringSubmatch(nginx)
	if body == nil {
		t.Fatal("no client_max_body_size")
	}
	size, err := strconv.Atoi(body[1])
	file, fileErr := strconv.Atoi(setting("MEDIA_MAX_BYTES"))
	if err != nil || fileErr != nil || size<<20 <= 10*file {
		t.Errorf("%s, but a file may have %d bytes", body[0], file)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(projectFile(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestSystemd_AcceptsUnits checks the units as systemd does.
func TestSystemd_AcceptsUnits(t *testing.T) {
	needProgram(t, "systemd-analyze", "systemd")
	binary, _ := os.Executable()
	directory := t.TempDir()
	units, err := filepath.Glob(projectFile("deploy/portfolio*.[st]*e*r*")) // .service, .timer
	if err != nil || len(units) != 3 {
		t.Fatal(units, err)
	}
	args := []string{"verify", "--man=no"}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		installed := filepath.Join(directory, filepath.Base(unit))
		if err := os.WriteFile(installed, bytes.ReplaceAll(text, []byte("/usr/local/bin/portfolio"), []byte(binary)), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, installed)
	}
	if output, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || len(output) > 0 {
		t.Errorf("%v %s", err, output)
	}
	for unit, threshold := range map[string]string{"portfolio.service": "15", "portfolio-backup.service": "40"} { // of 100
		output, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+threshold, filepath.Join(directory, unit)).CombinedOutput()
		if err != nil {
			t.Errorf("%v %s", err, output)
		}
	}
	checkSettings(t, readEnv(t, "deploy/portfolio.env"))
}

// readEnv reads a file of variables.
func readEnv(t *testing.T, name string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(projectFile(name))
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{}
	for _, found := range regexp.MustCompile(`(?m)^#?([A-Z0-9_]+)=(.*)$`).FindAllSubmatch(text, -1) {
		variables[string(found[1])] = string(found[2])
	}
	return variables
}

// checkSettings checks that variables are settings of the server, with valid
// values.
func checkSettings(t *testing.T, variables map[string]string) {
	t.Helper()
	help, _ := runCommand(t, 0, "serve", "--help")
	known := append(settingNames(help), "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
	for name, value := range variables {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not a setting", name)
		}
		t.Setenv(name, value)
	}
	runCommand(t, 0, "config")
}

// composeFile is what the test reads of compose.yaml.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
}

type composeService struct {
	Image       string
	Environment map[string]string
	DependsOn   map[string]any `yaml:"depends_on"`
	Volumes     []string
}

func TestCompose_StartsWhatItNames(t *testing.T) {
	text, err := os.ReadFile(projectFile("compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal([]byte(expandCompose(t, string(text))), &file); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(file.Services)); !slices.Equal(got, []string{"migrate", "postgres", "s3", "server"}) {
		t.Errorf("services %v", got)
	}
	for name, service := range file.Services {
		if pinned := regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?$`).MatchString(service.Image); !pinned && service.Image != "portfolio" {
			t.Errorf("%s: the tag of %s is not a version", name, service.Image)
		}
		for dependency := range service.DependsOn {
			if _, ok := file.Services[dependency]; !ok {
				t.Errorf("%s depends on %s", name, dependency)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, ok := file.Volumes[source]; !ok {
				t.Errorf("%s: no volume %s", name, source)
			}
		}
	}
	checkSettings(t, file.Services["server"].Environment)
	if exec.Command("docker", "compose", "version").Run() == nil {
		if output, err := exec.Command("docker", "compose", "--file", projectFile("compose.yaml"), "config", "--quiet", "--no-interpolate").CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, output)
		}
	}
}

// expandCompose replaces variables by their defaults, which deploy/compose.env
// must state, or by a value if they have none.
func expandCompose(t *testing.T, text string) string {
	t.Helper()
	stated := readEnv(t, "deploy/compose.env")
	variable := regexp.MustCompile(`\$\{([A-Z0-9_]+)(:-[^}]*|:\?)\}`)
	for _, found := range variable.FindAllStringSubmatch(text, -1) {
		if value, ok := stated[found[1]]; !ok || value != strings.TrimPrefix(strings.TrimPrefix(found[2], ":?"), ":-") {
			t.Errorf("deploy/compose.env has not the default of %s", found[0])
		}
	}
	text = variable.ReplaceAllStringFunc(text, func(reference string) string {
		_, fallback, optional := strings.Cut(strings.TrimSuffix(reference, "}"), ":-")
		if !optional {
			return "secret"
		}
		return fallback
	})
	if strings.Contains(text, "$") {
		t.Error("a variable has neither :? nor :-")
	}
	return text
}
