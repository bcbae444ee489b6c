//go:build ops

package ops

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// fault is what happens to a cluster. It returns what brings all nodes back.
type fault struct {
	name   string
	do     func(p *patroni) (undo func())
	moves  bool // the primary
	long   bool // not for -short
	within time.Duration
}

// afterHang bounds the wait for a machine that does not respond: REQUEST_TIMEOUT for
// the requests that it has, another for those that wait for their connections, which
// the driver closes after 15 seconds, and connect_timeout. That is less than
// Patroni's default ttl.
const afterHang = 35 * time.Second

var faults = []fault{
	{"the synchronous standby is killed", killStandby, false, true, 5 * time.Second},
	{"etcd is down for 10 s", stopEtcd, false, true, 0},
	{"the primary is killed", killPrimary, true, false, 2 * time.Second},
	{"switchover", switchover, true, true, 2 * time.Second},
	{"the primary's machine does not respond", freezePrimary, true, true, afterHang},
}

// TestFailover does everything to a cluster under load by two servers. No
// acknowledged write may be lost, or missing from a later response, which may come
// from the cache. A client may see nothing but UNAVAILABLE meanwhile, and no server may
// need a restart. The service must be back soon after the first commit of the new
// primary.
func TestFailover(t *testing.T) {
	cluster := startPatroni(t, 3)
	key := prepare(t, cluster.dsn())
	if _, err := openSQL(t, cluster.dsn()).ExecContext(t.Context(), "CREATE TABLE probes (id serial)"); err != nil {
		t.Fatal(err)
	}
	media := newMedia(t)
	servers := []*server{newServer(t, cluster.dsn(), "MEDIA_STORE=file:"+media), newServer(t, cluster.dsn(), "MEDIA_STORE=file:"+media)}
	l := startLoad(t, clients(key, servers...), 8, 10*time.Millisecond, errUnavailable)
	l.startUploads(1)
	l.awaitWrites(300)
	for _, f := range faults {
		if testing.Short() && f.long {
			continue
		}
		primary, begun := cluster.byRole("leader")[0], time.Now()
		undo, writable := f.do(cluster), begun
		if f.moves {
			cluster.awaitWritable(primary)
			writable = time.Now()
		}
		l.awaitWrites(300)
		undo()
		cluster.awaitStandbys()
		l.awaitWrites(300)
		l.report(f, begun, writable)
	}
	l.stop()
	lost := l.ledger.check(t, cluster.dsn())
	uploads := l.ledger.checkImages(t, cluster.dsn())
	checkFiles(t, cluster.dsn(), media)
	for _, s := range servers {
		s.checkRunning()
		if s.metrics()(`portfolio_cache_hits_total{cache="responses"}`) == 0 {
			t.Error("no response came from the cache")
		}
	}
	requests, failed := l.counts()
	t.Logf("%d requests, %d of them UNAVAILABLE; %d acknowledged writes and %d uploads, %d lost", requests, failed, l.ledger.writes(), uploads, lost)
}

// kill kills a node without notice.
func (p *patroni) kill(n *node) (undo func()) {
	pid := n.postgres()
	_ = n.Process.Kill()
	signalFamily(pid, syscall.SIGKILL)
	n.kill()
	return func() { p.start(n) }
}

func killPrimary(p *patroni) func() { return p.kill(p.byRole("leader")[0]) }

func killStandby(p *patroni) func() { return p.kill(p.byRole("sync_standby")[0]) }

// freezePrimary stops every process of the primary, so that connections neither
// work nor break. Later it is killed, as Patroni's watchdog does.
func freezePrimary(p *patroni) func() {
	n := p.byRole("leader")[0]
	for _, pid := range append(family(n.Process.Pid), family(n.postgres())...) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() { p.kill(n)() }
}

// stopEtcd kills etcd for twice the time to live of the primary's lock.
func stopEtcd(p *patroni) func() {
	p.store.kill()
	time.Sleep(10 * time.Second)
	return func() { p.store = p.etcd() }
}

func switchover(p *patroni) func() {
	p.switchover(p.byRole("leader")[0], p.byRole("sync_standby")[0])
	return func() {}
}

// awaitWritable waits until another node than former commits a change.
func (p *patroni) awaitWritable(former *node) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	found := make(chan struct{}, len(p.nodes))
	for _, n := range p.nodes {
		if n != former {
			go func() {
				for ctx.Err() == nil && !n.commits(ctx) {
					time.Sleep(10 * time.Millisecond) // leaves the processors to the cluster
				}
				found <- struct{}{}
			}()
		}
	}
	<-found
	if ctx.Err() != nil {
		p.t.Fatal("there is no new primary")
	}
}

// commits reports whether the node commits a change.
func (n *node) commits(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, "postgres://postgres@"+address(n.port)+"/postgres?sslmode=disable")
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close(context.WithoutCancel(ctx)) }()
	_, err = connection.Exec(ctx, "INSERT INTO probes DEFAULT VALUES")
	return err == nil
}

// report checks the requests since a fault, and prints what came of it.
func (l *load) report(f fault, begun, writable time.Time) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	back, failed := begun, 0 // until when clients did not get their responses, or got them late
	for _, e := range l.events {
		if e.end.Before(begun) || e.err == nil && e.end.Sub(e.begun) < 2*time.Second {
			continue
		}
		if e.err != nil {
			failed++
		}
		back = later(back, e.end)
	}
	limit, line := begun.Add(f.within), fmt.Sprintf("service %.1f s after the fault", back.Sub(begun).Seconds())
	if f.moves {
		limit = later(limit, writable.Add(2*time.Second))
		line = fmt.Sprintf("new primary %.1f s after the fault, service %.1f s after it", writable.Sub(begun).Seconds(), max(0, back.Sub(writable).Seconds()))
	}
	l.t.Logf("%s: %s; %d requests UNAVAILABLE", f.name, line, failed)
	if back.After(limit) {
		l.t.Errorf("%s: the service is back %.1f s late", f.name, back.Sub(limit).Seconds())
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
