package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// needProgram skips a test without a program, which the Debian package has.
func needProgram(t *testing.T, name, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "" {
		t.Skipf("skipped without %s (Debian: apt-get install %s)", name, debianPackage)
	}
}

// runIn runs a program in a directory and returns its output.
func runIn(t *testing.T, directory, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir = directory
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, output, stderr.Bytes())
	}
	return string(output)
}

// cloneProject clones the last commit, as releases are built.
func cloneProject(t *testing.T) (directory string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(projectDirectory, ".git")); err != nil {
		t.Skip("skipped outside of a clone")
	}
	directory = t.TempDir()
	runIn(t, directory, "git", "clone", "--quiet", projectDirectory, "clone")
	return filepath.Join(directory, "clone")
}

// TestRelease builds one commit in two directories.
func TestRelease(t *testing.T) {
	t.Parallel()
	var sums []string
	clone := ""
	for range 2 {
		clone = cloneProject(t)
		runIn(t, clone, "deploy/release", "dist", "linux/"+runtime.GOARCH)
		sums = append(sums, runIn(t, clone, "cat", "dist/SHA256SUMS"))
	}
	if diff := cmp.Diff(sums[0], sums[1]); diff != "" || strings.Count(sums[0], "\n") != 9 {
		t.Errorf("%s\n%s", sums[0], diff)
	}
	runIn(t, filepath.Join(clone, "dist"), "sha256sum", "--check", "--quiet", "SHA256SUMS")
	binary := filepath.Join(clone, "dist", "portfolio-linux-"+runtime.GOARCH)
	version := strings.TrimSpace(runIn(t, clone, "git", "describe", "--tags", "--match", "v[0-9]*", "--always"))
	commit := strings.TrimSpace(runIn(t, clone, "git", "rev-parse", "HEAD"))
	if printed := runIn(t, "", binary, "--version"); !strings.HasPrefix(printed, "portfolio "+version+", commit "+commit+", 20") {
		t.Errorf("printed %s", printed)
	}
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	libraries, err := file.ImportedLibraries()
	if err != nil || len(libraries) > 0 || slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Errorf("not static: %v, %v", libraries, err)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	if settings["-trimpath"] != "true" || settings["vcs.modified"] != "false" || settings["vcs.revision"] != commit {
		t.Errorf("built with %v", settings)
	}
}

// TestProxyTimeouts checks that proxies wait longer than the server works, and
// accept all files that a request can contain.
func TestProxyTimeouts(t *testing.T) {
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
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestSystemd checks the units as systemd does.
func TestSystemd(t *testing.T) {
	needProgram(t, "systemd-analyze", "systemd")
	binary, _ := os.Executable()
	directory := t.TempDir()
	units, err := filepath.Glob("deploy/portfolio*.[st]*e*r*") // .service, .timer
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
	text, err := os.ReadFile(name)
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

func TestCompose(t *testing.T) {
	text, err := os.ReadFile("compose.yaml")
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
		runIn(t, ".", "docker", "compose", "config", "--quiet", "--no-interpolate")
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

// buildah runs buildah with its storage in the directory of t.
type buildah struct {
	t         *testing.T
	directory string
}

func (b buildah) command(args ...string) []string {
	return append([]string{"buildah", "--storage-driver=vfs", "--root=" + b.directory + "/root", "--runroot=" + b.directory + "/run"}, args...)
}

func (b buildah) run(args ...string) string {
	b.t.Helper()
	command := b.command(args...)
	return strings.TrimSpace(runIn(b.t, b.directory, command[0], command[1:]...))
}

// TestImage builds the container image and runs the server in it.
func TestImage(t *testing.T) {
	needProgram(t, "buildah", "buildah")
	if os.Geteuid() != 0 {
		t.Skip("skipped without root, which mounts the image")
	}
	t.Parallel()
	clone := cloneProject(t)
	b := buildah{t, t.TempDir()}
	runIn(t, clone, "deploy/image", append([]string{"portfolio:test"}, b.command("build", "--isolation=chroot", "--format=docker")...)...)
	checkImageConfig(t, b, strings.TrimSpace(runIn(t, clone, "git", "rev-parse", "HEAD")))
	root := b.run("mount", b.run("from", "--pull-never", "portfolio:test"))
	before := runIn(t, root, "find", ".", "-printf", "%p %U %m\n")
	if want := ". 0 555\n./data 65532 755\n./portfolio 0 755\n"; sortLines(before) != want {
		t.Errorf("the image has %s", cmp.Diff(want, sortLines(before)))
	}
	inside := func(args ...string) *exec.Cmd {
		command := exec.Command("/portfolio", args...)
		command.Dir = "/data"
		command.Env = []string{"ADDR=127.0.0.1:0", "DATABASE_URL=sqlite:/data/portfolio.db", "MEDIA_STORE=file:/data/media", "TMPDIR=/data"}
		command.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return command
	}
	var key []byte
	for _, args := range [][]string{{"user", "create", "sara", "--admin"}, {"token", "create", "sara"}} {
		var err error
		if key, err = inside(args...).Output(); err != nil {
			t.Fatal(err)
		}
	}
	server := &process{Cmd: inside("serve")}
	server.startServer(t)
	if status, body := server.upload(strings.TrimSpace(string(key)), photograph(t, 60, 40)); status != http.StatusOK || strings.Contains(body, "errors") {
		t.Errorf("%d %s", status, body)
	}
	if output, err := inside("healthcheck", "--url="+server.url+"/readyz").CombinedOutput(); err != nil {
		t.Errorf("%v %s", err, output)
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := server.Wait(); err != nil {
		t.Error(err)
	}
	if inside("healthcheck", "--url="+server.url+"/readyz").Run() == nil {
		t.Error("healthy after the end")
	}
}

func sortLines(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

func checkImageConfig(t *testing.T, b buildah, commit string) {
	t.Helper()
	var image struct {
		Docker struct {
			Config struct {
				User, WorkingDir     string
				Env, Entrypoint, Cmd []string
				Volumes              map[string]any
				ExposedPorts         map[string]any
				Healthcheck          struct{ Test []string }
				Labels               map[string]string
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(b.run("inspect", "--type=image", "portfolio:test")), &image); err != nil {
		t.Fatal(err)
	}
	config := image.Docker.Config
	labels := config.Labels
	config.Labels = nil
	got, _ := json.Marshal(config)
	const want = `{"User":"65532:65532","WorkingDir":"/data","Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","ADDR=0.0.0.0:8000","DATABASE_URL=sqlite:/data/portfolio.db","MEDIA_STORE=file:/data/media","TMPDIR=/data"],"Entrypoint":["/portfolio"],"Cmd":["serve"],"Volumes":{"/data":{}},"ExposedPorts":{"8000/tcp":{}},"Healthcheck":{"Test":["CMD","/portfolio","healthcheck"]},"Labels":null}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"title", "description", "licenses", "version", "revision", "created"} {
		if value := labels["org.opencontainers.image."+name]; value == "" || name == "revision" && value != commit {
			t.Errorf("the label %s is %q", name, value)
		}
	}
}
