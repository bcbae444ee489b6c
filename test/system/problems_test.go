package system

import (
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// TestDatabaseProblems checks what check and migrate print about a database with which a
// server can start.
func TestDatabaseProblems(t *testing.T) {
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
		dsn := "--database-url=" + dbtest.Postgres(t)
		dbtest.Exec(t, strings.TrimPrefix(dsn, "--database-url="), "DROP INDEX images_search")
		const problem = "\nwarning database: searches of images read every row: the index images_search is missing: CREATE INDEX images_search ON images USING gin (name public.gin_trgm_ops, alt public.gin_trgm_ops)\n"
		if stdout, _ := runCommand(t, 0, "check", dsn, "--media-store=file:media"); !strings.Contains(stdout, problem) {
			t.Errorf("check printed %s", stdout)
		}
		if stdout, _ := runCommand(t, 0, "migrate", dsn); strings.Contains(stdout, "Warning") {
			t.Errorf("migrate printed %s", stdout)
		}
		if stdout, _ := runCommand(t, 0, "check", dsn, "--media-store=file:media"); strings.Contains(stdout, "warning") {
			t.Errorf("check printed %s", stdout)
		}
	})
}
