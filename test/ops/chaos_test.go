//go:build ops

package ops

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"portfolio/db/dbtest"
)

// kills returns how often a test kills the server.
func kills() int {
	if testing.Short() {
		return 8
	}
	return 100
}

// TestChaosKills kills the server again and again during changes and uploads. Every
// change with a response must be in the database, and no row may be without its
// files.
func TestChaosKills(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		key, media, spool := prepare(t, dsn), newMedia(t), t.TempDir()
		s := newServer(t, dsn, "MEDIA_STORE=file:"+media, "TMPDIR="+spool)
		l := startLoad(t, clients(key, s), 4, 2*time.Millisecond, errNoResponse)
		l.startUploads(2)
		for range kills() {
			l.awaitWrites(1 + rand.IntN(20))
			s.kill()
			checkFiles(t, dsn, media)
			s.start()
		}
		l.stop()
		l.ledger.check(t, dsn)
		uploads := l.ledger.checkImages(t, dsn)
		left := countFiles(t, media)
		portfolio(t, dsn, "media", "sweep", "--media-store=file:"+media, "--delete", "--grace=0s")
		if rows, files := checkFiles(t, dsn, media), countFiles(t, media); rows != files {
			t.Errorf("%d files of rows, but %d files after a sweep", rows, files)
		}
		if n := countFiles(t, spool); n > 0 {
			t.Errorf("%d temporary files are left", n)
		}
		requests, failed := l.counts()
		if failed == 0 || uploads == 0 {
			t.Errorf("%d requests without a response, %d uploads: no kill hit a client", failed, uploads)
		}
		t.Logf("%d kills: %d requests, %d without a response; %d acknowledged writes and %d uploads; %d files of interrupted uploads",
			kills(), requests, failed, l.ledger.writes(), uploads, left-countFiles(t, media))
	})
}

// disturb runs clients and a server, does something to it, and undoes it once
// clients have seen it. Meanwhile every request must get a response in time, and
// afterwards the server must recover without a restart.
func disturb(t *testing.T, dsn, key string, settings []string, do func() (undo func())) {
	t.Helper()
	s := newServer(t, dsn, append(settings, "REQUEST_TIMEOUT=2s")...)
	l := startLoad(t, clients(key, s), 4, 2*time.Millisecond, errUnavailable)
	l.startUploads(1)
	l.awaitWrites(50)
	undo := do()
	_, before := l.counts()
	waitFor(t, "failed requests", func() bool { _, failed := l.counts(); return failed >= before+10 })
	undo()
	l.awaitWrites(50)
	waitFor(t, "ready", func() bool {
		status, _, err := l.clients[0].send(http.MethodGet, "/readyz", "", nil, slowest)
		return err == nil && status == http.StatusOK
	})
	_, before = l.counts()
	l.awaitWrites(100)
	if _, after := l.counts(); after > before {
		t.Errorf("%d requests failed after it was ready again", after-before)
	}
	l.stop()
	lost := l.ledger.check(t, dsn)
	l.ledger.checkImages(t, dsn)
	requests, failed := l.counts()
	t.Logf("%d requests, %d of them UNAVAILABLE; %d acknowledged writes, %d lost", requests, failed, l.ledger.writes(), lost)
	s.checkRunning()
}

// TestChaosPostgres disturbs PostgreSQL in every way that needs no operator.
func TestChaosPostgres(t *testing.T) {
	for _, c := range []struct {
		name string
		long bool // not for -short
		do   func(cluster *dbtest.Cluster) (undo func())
	}{
		{"stopped", false, func(cluster *dbtest.Cluster) func() {
			signalFamily(cluster.PID(), syscall.SIGSTOP)
			return func() { signalFamily(cluster.PID(), syscall.SIGCONT) }
		}},
		{"restarted", true, func(cluster *dbtest.Cluster) func() {
			cluster.Stop()
			return cluster.Start
		}},
		{"crashed", false, func(cluster *dbtest.Cluster) func() {
			cluster.Kill()
			return cluster.Start
		}},
		{"locked", true, func(cluster *dbtest.Cluster) func() { return dbtest.Lock(t, cluster.URL(), "portfolio_links") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.long {
				t.Skip("takes long")
			}
			cluster := dbtest.NewCluster(t)
			disturb(t, cluster.URL(), prepare(t, cluster.URL()), nil, func() func() { return c.do(cluster) })
		})
	}
}

// TestChaosSQLite lets another process lock the file of the database.
func TestChaosSQLite(t *testing.T) {
	dsn := dbtest.SQLite(t)
	disturb(t, dsn, prepare(t, dsn), nil, func() func() { return dbtest.Lock(t, dsn, "portfolio_links") })
}

// TestChaosDisk fills the disk of the database, and the disk of the media store.
func TestChaosDisk(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		disk := newDisk(t, "16m")
		dsn := "sqlite:" + filepath.Join(disk, "test.db")
		disturb(t, dsn, prepare(t, dsn), nil, func() func() { return fill(t, disk) })
	})
	t.Run("postgres", func(t *testing.T) {
		disk := newDisk(t, "192m")
		t.Setenv("TMPDIR", disk)
		cluster := dbtest.NewCluster(t)
		disturb(t, cluster.URL(), prepare(t, cluster.URL()), []string{"TMPDIR=" + t.TempDir()}, func() func() {
			free := fill(t, disk)
			return func() {
				free()
				cluster.Start() // it may have ended
			}
		})
	})
	t.Run("media", func(t *testing.T) {
		disk, dsn := newDisk(t, "16m"), dbtest.SQLite(t)
		disturb(t, dsn, prepare(t, dsn), []string{"MEDIA_STORE=file:" + disk}, func() func() { return fill(t, disk) })
	})
}

// newDisk returns the directory of a new file system. Where none can be mounted the
// test is skipped.
func newDisk(t *testing.T, size string) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "portfolio-disk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(directory) })
	if output, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=777,size="+size, "tmpfs", directory).CombinedOutput(); err != nil {
		t.Skipf("a full disk is not tested: mount: %s", output)
	}
	t.Cleanup(func() {
		if err := exec.Command("umount", "-l", directory).Run(); err != nil {
			t.Error(err)
		}
	})
	return directory
}

// fill fills a disk.
func fill(t *testing.T, disk string) (free func()) {
	t.Helper()
	file := filepath.Join(disk, "full")
	if err := os.WriteFile(file, make([]byte, 1<<28), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return func() { _ = os.Remove(file) }
}
