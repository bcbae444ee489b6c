package system

import (
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// TestServe_ExplainsDatabaseProblems checks what check and migrate print about a database with which a
// server can start.
func TestServe_ExplainsDatabaseProblems(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Chdir(t.TempDir())
		const dsn = "sqlite:test.db"
		runCommand(t, 0, "migrate", "--database-url="+dsn)
		dbtest.Exec(t, dsn, "DROP TRIGGER tokens_times_insert")
		dbtest.Exec(t, dsn, "INSERT INTO users (id, username) VALUES (1, 'sara')")
		dbtest.Exec(t, dsn, "INSERT INTO tokens (id, user_id, key_hash, expires_at) VALUES (7, 1, 'h', 'soon\x1b[2J')")
		const problem = `tokens.expires_at of the row 7 cannot be read, nor any list with it: "soon\x1b[2J" is not a time such as 2026-01-13T10:05:43Z`
		if stdout, _ := runCommand(t, 0, "check", "--database-url="+dsn, "--media-store=file:media"); !strings.Contains(stdout, "\nwarning database: "+problem+"\n") {
			t.Errorf("check printed %s", stdout)
		}
		if stdout, _ := runCommand(t, 0, "migrate", "--database-url="+dsn); !strings.HasSuffix(stdout, "\nWarning: "+problem+".\n") {
			t.Errorf("migrate printed %s", stdout)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Chdir(t.TempDir())
		dsn := dbtest.Postgres(t)
		const problem = "\nwarning database: searches of images read every row: the index images_search is missing or invalid: " +
			"DROP INDEX IF EXISTS images_search; CREATE INDEX images_search ON images USING gin (name public.gin_trgm_ops, alt public.gin_trgm_ops)\n"
		for _, statement := range []string{
			"DROP INDEX images_search",
			"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'images_search'::regclass", // as CREATE INDEX CONCURRENTLY leaves it
		} {
			dbtest.Exec(t, dsn, statement)
			if stdout, _ := runCommand(t, 0, "check", "--database-url="+dsn, "--media-store=file:media"); !strings.Contains(stdout, problem) {
				t.Errorf("%s: check printed %s, want %s", statement, stdout, problem)
			}
			if stdout, _ := runCommand(t, 0, "migrate", "--database-url="+dsn); strings.Contains(stdout, "Warning") {
				t.Errorf("%s: migrate printed %s", statement, stdout)
			}
			if stdout, _ := runCommand(t, 0, "check", "--database-url="+dsn, "--media-store=file:media"); strings.Contains(stdout, "warning") {
				t.Errorf("%s: check printed %s", statement, stdout)
			}
		}
	})
}
