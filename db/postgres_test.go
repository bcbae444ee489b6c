package db_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestPostgres_Reconnects(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, "../compat/testdata/fixtures.json")
	proxy, proxied := dbtest.NewProxy(t, dsn)
	database := dbtest.Open(t, proxied)
	lookUp := func() error {
		_, err := database.PortfolioLink(t.Context(), nil, 4)
		return err
	}
	for range 3 {
		if err := lookUp(); err != nil {
			t.Fatal(err)
		}
		proxy.Disconnect()
		if err := lookUp(); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("lookup while disconnected: %v", err)
		}
		if err := database.CheckSchema(t.Context()); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("schema while disconnected: %v", err)
		}
		proxy.Reconnect()
	}
	if err := lookUp(); err != nil {
		t.Error(err)
	}
}

// TestPgBouncer_RunsStatements uses a pooler that gives each transaction another connection,
// with the setting from the README.
func TestPgBouncer_RunsStatements(t *testing.T) {
	t.Parallel()
	_, dsn := dbtest.PgBouncer(t, dbtest.EmptyPostgres(t))
	dsn += "&default_query_exec_mode=exec"
	if _, err := dbtest.Open(t, dsn).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	dbtest.LoadFile(t, dsn, "../compat/testdata/fixtures.json")
	database := dbtest.Open(t, dsn)
	var clients sync.WaitGroup
	for client := range 20 {
		clients.Go(func() {
			ctx := context.Background()
			name := fmt.Sprintf("user %d", client)
			if err := database.CreateUser(ctx, &db.User{ID: int64(1000 + client), Username: name, IsStaff: true, Codes: []int{1}}); err != nil {
				t.Error(err)
			}
			for range 20 {
				if link, err := database.PortfolioLink(ctx, nil, 4); err != nil || link.ID != 4 {
					t.Error(link, err)
				}
				if user, err := database.UserByToken(ctx, sha256.Sum256([]byte("be995b582c8bf952546d3819251020d1ad1b2eb1"))); err != nil || user.Username != "admin" {
					t.Error(user, err)
				}
			}
		})
	}
	clients.Wait()
}

// TestPgBouncer_LosesNoChangeInRestart kills the pooler under load and starts it again. No
// acknowledged change is lost, and the only error is ErrUnavailable.
func TestPgBouncer_LosesNoChangeInRestart(t *testing.T) {
	t.Parallel()
	direct := dbtest.Postgres(t)
	pooler, dsn := dbtest.PgBouncer(t, direct)
	database := dbtest.Open(t, dsn+"&default_query_exec_mode=exec")
	created := keepCreating(t, database)
	for range 3 {
		created.await(100)
		pooler.Kill()
		if _, err := database.Portfolio(t.Context(), 1); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("lookup without the pooler: %v", err)
		}
		pooler.Start()
	}
	created.await(100)
	created.check(dbtest.Open(t, direct))
}

func TestPostgres_RefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	dsn := dbtest.EmptyPostgresWith(t, "ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
	if _, err := db.Open(t.Context(), dsn); err == nil || err.Error() != "the database's encoding is SQL_ASCII: it must be UTF8" {
		t.Error(err)
	}
}

// TestPostgres_CancelsStatementOnServer checks that a running statement is also canceled on the
// server.
func TestPostgres_CancelsStatementOnServer(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	database := dbtest.Open(t, dsn)
	dbtest.Exec(t, dsn, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$")
	dbtest.Exec(t, dsn, "CREATE TRIGGER slow BEFORE INSERT ON portfolios FOR EACH ROW EXECUTE FUNCTION slow()")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := database.CreatePortfolio(ctx, "x"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.Background()) }()
	for active := 1; active > 0; { // the cancel request may still be in transit
		const statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'INSERT%'"
		if err := connection.QueryRow(t.Context(), statement).Scan(&active); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPostgres_TimeoutsAreUnavailable checks the error of a statement that a timeout set by the
// operator ends.
func TestPostgres_TimeoutsAreUnavailable(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
	release := dbtest.Lock(t, dsn, "portfolios")
	defer release()
	for _, setting := range []string{"statement_timeout", "lock_timeout"} {
		database := dbtest.Open(t, dsn+"&"+setting+"=500")
		if _, err := database.Portfolio(t.Context(), 1); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// TestDeleteImage_WaitsForLink deletes an image while a transaction that has not
// committed yet gives it to a link.
func TestDeleteImage_WaitsForLink(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (id, name) VALUES (1, 'one')")
	dbtest.Exec(t, dsn, "INSERT INTO images (id, type, name, path, size) VALUES (1, 'image', 'one', 'one.png', 1)")
	database := dbtest.Open(t, dsn)
	connection, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(context.Background()) }()
	tx, err := connection.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO portfolio_links (portfolio_id, image_id, name) VALUES (1, 1, 'link')"); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error)
	go func() {
		_, _, err := database.DeleteImage(t.Context(), 1, false)
		deleted <- err
	}()
	for waiting := 0; waiting == 0; {
		if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used, ok := errors.AsType[*db.ImageInUseError](<-deleted); !ok || used.Links != 1 {
		t.Errorf("the image was deleted, or the error is %v", used)
	}
}
