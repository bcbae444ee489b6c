//go:build ops

package ops

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
	project, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	directory = t.TempDir()
	runIn(t, directory, "git", "clone", "--quiet", project, "clone")
	return filepath.Join(directory, "clone")
}

// TestRelease builds one commit in two directories.
func TestRelease(t *testing.T) {
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
	requireProgram(t, "buildah", "buildah")
	if os.Geteuid() != 0 {
		t.Skip("skipped without root, which mounts the image")
	}
	clone := cloneProject(t)
	b := buildah{t, t.TempDir()}
	runIn(t, clone, "deploy/image", append([]string{"portfolio:test"}, b.command("build", "--isolation=chroot", "--format=docker")...)...)
	checkImageConfig(t, b, strings.TrimSpace(runIn(t, clone, "git", "rev-parse", "HEAD")))
	root := b.run("mount", b.run("from", "--pull-never", "portfolio:test"))
	before := runIn(t, root, "find", ".", "-printf", "%p %U %m\n")
	if want := ". 0 555\n./data 65532 755\n./portfolio 0 755\n"; sortLines(before) != want {
		t.Errorf("the image has %s", cmp.Diff(want, sortLines(before)))
	}
	s := &server{t: t, address: address(freePort(t)), directory: t.TempDir()}
	inside := func(args ...string) *exec.Cmd {
		command := newCommand(t, filepath.Join(s.directory, "server.log"), "/portfolio", args...)
		command.Dir = "/data"
		command.Env = []string{"ADDR=" + s.address, "DATABASE_URL=sqlite:/data/portfolio.db", "MEDIA_STORE=file:/data/media", "TMPDIR=/data"}
		command.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return command
	}
	if err := inside("user", "create", "sara", "--admin").Run(); err != nil {
		t.Fatal(err)
	}
	create := inside("token", "create", "sara")
	create.Stdout = nil
	key, err := create.Output()
	if err != nil {
		t.Fatal(err)
	}
	s.run(inside("serve"))
	if _, err := clients(strings.TrimSpace(string(key)), s)[0].upload(photograph(t)); err != nil {
		t.Error(err)
	}
	health := []string{"healthcheck", "--url=http://" + s.address + "/readyz"}
	if err := inside(health...).Run(); err != nil {
		t.Error(err)
	}
	s.stop(syscall.SIGTERM)
	if !s.ProcessState.Success() {
		t.Error(s.ProcessState)
	}
	if inside(health...).Run() == nil {
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
	const want = `{"User":"65532:65532","WorkingDir":"/data","Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","ADDR=0.0.0.0:8000","DATABASE_URL=sqlite:/data/portfolio.db","MEDIA_STORE=file:/data/media","TMPDIR=/data"],"Entrypoint":["/portfolio"],"Cmd":["serve"],"Volumes":{"/data":{}},"ExposedPorts":{"8000/tcp":{}},"Healthcheck":{"Test":["CMD","/portfolio","healthcheck","--path=/healthz"]},"Labels":null}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"title", "description", "licenses", "version", "revision", "created"} {
		if value := labels["org.opencontainers.image."+name]; value == "" || name == "revision" && value != commit {
			t.Errorf("the label %s is %q", name, value)
		}
	}
}
