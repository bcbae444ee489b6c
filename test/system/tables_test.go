package system

import (
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// TestForeignTables_AreNamed runs commands on databases in which another program has created a
// table of the same name.
func TestForeignTables_AreNamed(t *testing.T) {
	for name, dsn := range map[string]string{"sqlite": "sqlite:test.db", "postgres": dbtest.EmptyPostgres(t)} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dbtest.Exec(t, dsn, "CREATE TABLE users (id integer PRIMARY KEY, email text)")
			const want = "the database has tables of another program: users lacks the columns username, is_active, is_staff, is_admin, created_at\n"
			if stdout, _ := runCommand(t, 1, "check", "--database-url="+dsn, "--media-store=file:media"); !strings.Contains(stdout, "failed  database: "+want) {
				t.Errorf("check: got %s, want %s", stdout, want)
			}
			for _, command := range []string{"migrate", "serve"} {
				if _, stderr := runCommand(t, 1, command, "--database-url="+dsn); !strings.HasSuffix(stderr, want) {
					t.Errorf("%s: got %s, want %s", command, stderr, want)
				}
			}
		})
	}
}
