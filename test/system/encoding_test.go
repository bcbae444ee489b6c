package system

import (
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// TestCommands_RefuseOtherEncodings gives commands arguments and settings that are not UTF-8.
// The user whose name has U+FFFD is none of those that they name.
func TestCommands_RefuseOtherEncodings(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		t.Chdir(t.TempDir())
		database := "--database-url=" + dsn
		runCommand(t, 0, "user", "create", "\ufffdmile", database)
		for _, c := range []struct {
			want string
			args []string
		}{
			{`argument 3, "\xe9mile", is not UTF-8`, []string{"user", "create", "\xe9mile"}},
			{`argument 3, "\xe1mile", is not UTF-8`, []string{"user", "set", "\xe1mile", "--admin"}},
			{`argument 3, "\xe1mile", is not UTF-8`, []string{"user", "delete", "\xe1mile"}},
			{`argument 3, "\xe1mile", is not UTF-8`, []string{"token", "create", "\xe1mile"}},
			{`argument 4, "x\xe7", is not UTF-8`, []string{"token", "create", "--label", "x\xe7", "\ufffdmile"}},
			{`the value of "--label" is not UTF-8`, []string{"token", "create", "--label=x\xe7", "\ufffdmile"}},
			{`argument 2, "\xed\xa0\xbd.tar", is not UTF-8`, []string{"backup", "\xed\xa0\xbd.tar"}},
			{`argument 3, "caf\xe9.png", is not UTF-8`, []string{"images", "create", "caf\xe9.png"}},
			{`argument 1, "us\xe9r", is not UTF-8`, []string{"us\xe9r"}},
		} {
			if _, stderr := runCommand(t, 1, append(c.args, database)...); stderr != "portfolio: "+c.want+"\n" {
				t.Errorf("%q: got %s, want %s", c.args, stderr, c.want)
			}
		}
		if stdout, _ := runCommand(t, 0, "user", "list", database); strings.Count(stdout, "mile") != 1 {
			t.Errorf("user list printed %s", stdout)
		}
		t.Setenv("DATA_DIR", "d\xe9")
		for _, args := range [][]string{{"user", "list", database}, {"check", database}} {
			if _, stderr := runCommand(t, 1, args...); stderr != "portfolio: DATA_DIR: is not UTF-8\n" {
				t.Errorf("%q: got %s", args, stderr)
			}
		}
	})
}
