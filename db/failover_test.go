package db_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// hosts returns a URL with the hosts of several clusters, through proxies, as
// host:port pairs.
func hosts(t *testing.T, clusters ...*dbtest.Cluster) string {
	t.Helper()
	var list []string
	for _, cluster := range clusters {
		_, through := dbtest.NewProxy(t, cluster.URL())
		parsed, err := url.Parse(through)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, parsed.Host)
	}
	return "postgres://postgres@" + strings.Join(list, ",") + "/postgres?sslmode=disable&target_session_attrs=read-write"
}

// TestFailover_LosesNoAcknowledgedChange kills the primary under load and promotes
// the standby. No acknowledged change is lost, and the only error is ErrUnavailable.
func TestFailover_LosesNoAcknowledgedChange(t *testing.T) {
	t.Parallel()
	primary := dbtest.NewCluster(t)
	standby := primary.NewStandby()
	database := dbtest.Open(t, hosts(t, standby, primary)) // the standby is tried first
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	created := keepCreating(t, database)
	created.await(100)
	primary.Kill()
	standby.Exec("ALTER SYSTEM RESET synchronous_standby_names") // which it has copied
	standby.Promote()
	created.await(100)
	created.check(database)
}

// TestListen_PassesServerThatHangs checks that a listener starts though the first server of
// the URL accepts connections and never responds, as a machine that is frozen.
func TestListen_PassesServerThatHangs(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	_, through := dbtest.NewProxy(t, dbtest.Postgres(t))
	parsed, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Host = silent.Addr().String() + "," + parsed.Host
	query := parsed.Query()
	query.Set("connect_timeout", "3") // for the monitor and the listener more than the time to begin
	parsed.RawQuery = query.Encode()
	listener, err := dbtest.Open(t, parsed.String()).Listen(t.Context(), db.URL{}, func(db.Change) {})
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
}

// creation is a set of clients that create portfolios and read them.
type creation struct {
	t        *testing.T
	stop     func()
	progress chan int64 // IDs of portfolios whose creation was acknowledged
	ids      []int64
}

// keepCreating starts clients, for which the only error is ErrUnavailable.
func keepCreating(t *testing.T, database *db.DB) *creation {
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	c := &creation{t: t, stop: func() { cancel(); clients.Wait() }, progress: make(chan int64)}
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				portfolio, err := database.CreatePortfolio(context.WithoutCancel(ctx), "p")
				if errors.Is(err, db.ErrUnavailable) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case c.progress <- portfolio.ID:
				case <-ctx.Done():
				}
				if found, err := database.Portfolio(context.WithoutCancel(ctx), portfolio.ID); err != nil && !errors.Is(err, db.ErrUnavailable) {
					t.Errorf("portfolio %d: %v, %v", portfolio.ID, found, err)
				}
			}
		})
	}
	t.Cleanup(c.stop)
	return c
}

// await waits until n more portfolios are created.
func (c *creation) await(n int) {
	for range n {
		c.ids = append(c.ids, <-c.progress)
	}
}

// check ends the clients and looks up the portfolios that they created.
func (c *creation) check(database *db.DB) {
	c.t.Helper()
	c.stop()
	for _, id := range c.ids {
		if _, err := database.Portfolio(c.t.Context(), id); err != nil {
			c.t.Errorf("portfolio %d does not exist: %v", id, err)
		}
	}
}

// TestCommit_IsUnknownWithoutStandby changes rows while the standby is away: a commit that the
// standby does not have when time is up is not acknowledged, though it is on the
// primary.
func TestCommit_IsUnknownWithoutStandby(t *testing.T) {
	t.Parallel()
	primary := dbtest.NewCluster(t)
	standby := primary.NewStandby()
	database := dbtest.Open(t, primary.URL())
	if _, err := database.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	standby.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := database.CreatePortfolio(ctx, "unreplicated"); !errors.Is(err, db.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("change without the standby: %v", err)
	}
	if got := portfolios(t, primary); got != "unreplicated" {
		t.Errorf("the primary has %q: the change did not wait for the standby", got)
	}
}

// TestPool_LeavesServerThatBecomesReadOnly makes servers read-only while connections to them are
// open. The two have different rows, so that it shows which one responds.
func TestPool_LeavesServerThatBecomesReadOnly(t *testing.T) {
	t.Parallel()
	a, b := dbtest.NewCluster(t), dbtest.NewCluster(t)
	for _, cluster := range []*dbtest.Cluster{a, b} {
		if _, err := dbtest.Open(t, cluster.URL()).Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a.Exec("INSERT INTO portfolios (id, name) VALUES (1, 'a')")
	b.Exec("INSERT INTO portfolios (id, name) VALUES (1, 'b')")
	database := dbtest.Open(t, hosts(t, a, b))
	single := dbtest.Open(t, hosts(t, a, b)+"&pool_max_conns=1")
	checkServer := func(database *db.DB, want string) {
		t.Helper()
		if portfolio, err := database.Portfolio(t.Context(), 1); err != nil || portfolio.Name != want {
			t.Errorf("%v, %v; want the portfolio of %s", portfolio, err, want)
		}
	}
	openAll(t, database)
	checkServer(database, "a")
	checkServer(single, "a")

	a.SetReadOnly(true)
	if _, err := database.CreatePortfolio(t.Context(), "new"); err != nil {
		t.Errorf("change after the switch: %v", err)
	}
	for range 2 * database.Connections() {
		checkServer(database, "b")
	}
	_, _ = single.Portfolio(t.Context(), 1) // the response says that the server is read-only
	checkServer(single, "b")

	b.SetReadOnly(true)
	openAll(t, database)
	if _, err := database.CreatePortfolio(t.Context(), "refused"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("change without a writable server: %v", err)
	}
	if err := database.CheckWritable(t.Context()); err == nil {
		t.Error("writable without a writable server")
	}
	a.SetReadOnly(false)
	if _, err := database.CreatePortfolio(t.Context(), "newest"); err != nil {
		t.Errorf("change after the second switch: %v", err)
	}
	checkServer(database, "a")
	for _, c := range []struct {
		cluster *dbtest.Cluster
		want    string
	}{{a, "a newest"}, {b, "b new"}} {
		if got := portfolios(t, c.cluster); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// openAll opens every connection of the pool.
func openAll(t *testing.T, database *db.DB) {
	t.Helper()
	var readers sync.WaitGroup
	for range 4 * database.Connections() {
		readers.Go(func() { _, _ = database.Portfolio(context.Background(), 1) })
	}
	readers.Wait()
}

func portfolios(t *testing.T, cluster *dbtest.Cluster) string {
	t.Helper()
	page, err := dbtest.Open(t, cluster.URL()).Portfolios(t.Context(), db.List{Order: db.NewOrderBy(), Limit: 10, WithRows: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, portfolio := range page.Rows {
		names = append(names, portfolio.Name)
	}
	return strings.Join(names, " ")
}

// TestPool_ReadsFromReadOnlyServer checks the error of a change if there is only a server that
// is read-only, and that it is not an error of the connection for lookups.
func TestPool_ReadsFromReadOnlyServer(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
	database := dbtest.Open(t, dsn+"&default_transaction_read_only=on")
	for range 2 * database.Connections() {
		if _, err := database.CreatePortfolio(t.Context(), "refused"); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("change: %v", err)
		}
		if _, err := database.Portfolio(t.Context(), 1); err != nil {
			t.Errorf("lookup: %v", err)
		}
	}
}
