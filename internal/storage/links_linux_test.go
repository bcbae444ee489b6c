package storage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

// withoutCalls calls do on a thread whose system calls with these numbers fail, as those
// for hard links do on FAT and on many network file systems.
func withoutCalls(t *testing.T, do func() error, numbers ...uint32) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread ends with the goroutine
		program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
		for _, number := range numbers {
			program = append(program,
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
				unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
		}
		program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
		filter := &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(filter)), 0, 0)
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// TestDirectoryHandler_LogsOwnerOfDirectory checks that a file in an unreadable directory is not
// missing, and that the log has the owner of the directory.
func TestDirectoryHandler_LogsOwnerOfDirectory(t *testing.T) {
	t.Parallel()
	name := t.TempDir()
	store := storagetest.Open(t, "file:"+name)
	for _, key := range []string{"a/b.png", "c.png"} {
		if err := create(t, store, key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(filepath.Join(name, "a"), 0), os.Chmod(filepath.Join(name, "c.png"), 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(name, "a"), 0o700) })
	var logs bytes.Buffer
	handler := store.Handler(slog.New(slog.NewTextHandler(&logs, nil)))
	for path, want := range map[string]int{"/media/a/b.png": 503, "/media/a/none.png": 503, "/media/c.png": 503, "/media/none.png": 404, "/media/none/none.png": 404} {
		logs.Reset()
		w := httptest.NewRecorder()
		withoutPrivileges(func() { handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)) })
		if logged := strings.Contains(logs.String(), "level=ERROR") && strings.Contains(logs.String(), " belongs to "); w.Code != want || logged != (want == 503) {
			t.Errorf("%s: %d, want %d; logged %s", path, w.Code, want, logs.String())
		}
	}
}

// withoutPrivileges calls do on a thread that may read and write only what nobody may, if
// this process runs as root.
func withoutPrivileges(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // and never unlock it: the thread ends with the goroutine
			_ = unix.Setfsuid(65534)
		}
		do()
	}()
	<-done
}

// TestCreate_WorksWithoutHardLinks checks that Create stores files without hard links, and
// replaces none.
func TestCreate_WorksWithoutHardLinks(t *testing.T) {
	t.Parallel()
	name := t.TempDir()
	store := storagetest.Open(t, "file:"+name)
	put := func(key, content string) func() error {
		return func() error { return store.Create(t.Context(), key, strings.NewReader(content), int64(len(content))) }
	}
	if err := withoutCalls(t, put("a/b.png", "first"), unix.SYS_LINKAT); err != nil {
		t.Errorf("create: %v", err)
	}
	if err := withoutCalls(t, put("a/b.png", "second"), unix.SYS_LINKAT); !errors.Is(err, storage.ErrExists) {
		t.Errorf("create the same key again: %v, want %v", err, storage.ErrExists)
	}
	if content, err := os.ReadFile(filepath.Join(name, "a/b.png")); err != nil || string(content) != "first" {
		t.Errorf("the file is %q, %v, want first", content, err)
	}
	if err := withoutCalls(t, func() error { return store.Check(t.Context()) }, unix.SYS_LINKAT); err != nil {
		t.Errorf("check: %v", err)
	}
	checkKeys(t, store, "a/b.png")
}

// TestDirectory_CheckFailsLikeCreate checks that Check fails for a directory in which
// Create fails.
func TestDirectory_CheckFailsLikeCreate(t *testing.T) {
	t.Parallel()
	store := storagetest.Directory(t)
	for name, do := range map[string]func() error{
		"create": func() error { return store.Create(t.Context(), "a.png", strings.NewReader("x"), 1) },
		"check":  func() error { return store.Check(t.Context()) },
	} {
		if err := withoutCalls(t, do, unix.SYS_LINKAT, unix.SYS_RENAMEAT2); !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v, want %v", name, err, unix.EPERM)
		}
	}
	checkKeys(t, store)
}
