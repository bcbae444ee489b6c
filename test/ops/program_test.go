//go:build ops

package ops

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the server, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "portfolio-ops")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(directory, "portfolio")
	build := exec.Command("go", "build", "-o", binary, "portfolio")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, output))
	}
	code := m.Run()
	_ = os.RemoveAll(directory)
	os.Exit(code)
}

// requireProgram returns the path of a program. Without it the test is skipped; in
// CI it fails.
func requireProgram(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("skipped without %s (Debian: apt-get install %s)", name, debian)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// program is a process that ends with the test, at the latest when this process
// does.
type program struct {
	*exec.Cmd
	ended chan struct{}
}

// newCommand returns a command whose output goes to a file, the end of which is
// shown if the test fails.
func newCommand(t *testing.T, output, name string, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of %s:\n%s", log.Name(), tail(log))
		}
		_ = log.Close()
	})
	command := exec.Command(name, args...)
	command.Dir, command.Stdout, command.Stderr = filepath.Dir(output), log, log
	return command
}

// tail returns the end of a log, without the records of changes.
func tail(file *os.File) string {
	const most = 3000
	content, _ := os.ReadFile(file.Name())
	var text strings.Builder
	for line := range strings.Lines(string(content)) {
		if !strings.Contains(line, `"msg":"audit"`) {
			text.WriteString(line)
		}
	}
	return text.String()[max(0, text.Len()-most):]
}

// start starts a command.
func start(t *testing.T, command *exec.Cmd) *program {
	t.Helper()
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{command, make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop(syscall.SIGTERM) })
	return p
}

// stop sends a signal and waits until the process has ended. It kills a process
// that does not end.
func (p *program) stop(signal os.Signal) {
	_ = p.Process.Signal(signal)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		_ = p.Process.Kill()
		<-p.ended
	}
}

func (p *program) kill() { p.stop(syscall.SIGKILL) }

// freePort returns a port that the system does not give to others: it is below
// the ports of outgoing connections and of listeners on port 0.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		listener, err := net.Listen("tcp", address(port))
		if err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// owned returns a new directory of the account postgres and the attributes to run
// programs as that account, as PostgreSQL refuses to run as root.
func owned(t *testing.T) (string, *syscall.SysProcAttr) {
	t.Helper()
	directory, err := os.MkdirTemp("", "portfolio-ops") // the directory of the test cannot be reached by other accounts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if os.Geteuid() != 0 {
		return directory, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr, os.Chown(directory, uid, gid)); err != nil {
		t.Fatal(err)
	}
	return directory, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// family returns the IDs of a process and of all that descend from it.
func family(pid int) []int {
	pids := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				pids = append(pids, family(id)...)
			}
		}
	}
	return pids
}

// signalFamily sends a signal to a process and all that descend from it.
func signalFamily(pid int, signal syscall.Signal) {
	for _, id := range family(pid) {
		_ = syscall.Kill(id, signal)
	}
}

// waitFor waits until condition holds.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	const limit = time.Minute
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %s", what, limit)
		}
		time.Sleep(10 * time.Millisecond) // leaves the processors to the others
	}
}
