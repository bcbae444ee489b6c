package db_test

import (
	"testing"

	"portfolio/db"
)

const (
	memoryProblem    = "sqlite::memory: has a separate database for each connection, and loses it when the connection closes; use a file, such as sqlite:data/portfolio.db"
	parameterProblem = "sqlite: takes the path of a file, and no parameters such as mode=ro: the server sets them itself"
	encodingProblem  = "not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F"
	emptyProblem     = "not a PostgreSQL URL: a host of the list is empty"
	slashProblem     = "sqlite://: a path follows the colon, as in sqlite:data/portfolio.db or sqlite:/srv/portfolio.db"
)

var urls = []struct{ text, shown, problem string }{
	{"sqlite:data/portfolio.db", "sqlite:data/portfolio.db", ""},
	{"postgres://sara@h/db", "postgres://sara@h/db", ""},
	{"postgresql://sara:secret@h/db", "postgresql://sara:xxxxx@h/db", ""},
	{"postgres://sara:s%65cret@a:5432,b:5433/db?target_session_attrs=read-write", "postgres://sara:xxxxx@a:5432,b:5433/db?target_session_attrs=read-write", ""},
	{"postgres:///db?host=/run&user=sara&password=secret&pool_max_conns=4", "postgres:///db?host=/run&user=sara&password=xxxxx&pool_max_conns=4", ""},
	{"postgres://h/db?pass%77ord=secret", "postgres://h/db?pass%77ord=xxxxx", ""},
	{"postgres://sara:secret@h/db?application_name=secret", "postgres://xxxxx", ""},
	{"", "", "not postgres://... or sqlite:PATH"},
	{"mysql://secret@h/x", "", "not postgres://... or sqlite:PATH"},
	{"sqlite:", "", "sqlite: needs a path, such as sqlite:data/portfolio.db"},
	{"sqlite://data/portfolio.db", "", slashProblem},
	{"sqlite:///data/portfolio.db", "", slashProblem},
	{"sqlite:/data/portfolio.db", "sqlite:/data/portfolio.db", ""},
	{"sqlite::memory:", "", memoryProblem},
	{"sqlite:file::memory:?cache=shared", "", memoryProblem},
	{"sqlite:x.db?mode=ro", "", parameterProblem},
	{"sqlite:data/x.db?", "", parameterProblem},
	{"sqlite:/data/x.db?_pragma=journal_mode(delete)&cache=shared", "", parameterProblem},
	{"sqlite:file:x.db", "", parameterProblem},
	{"sqlite:file:/data/x.db?mode=rw", "", parameterProblem},
	{"sqlite:files/a%20b#1.db", "sqlite:files/a%20b#1.db", ""},
	{"postgres://secret@%zz", "", "not a PostgreSQL URL"},
	{"postgres://sara:%zzsecret@h/db", "", "not a PostgreSQL URL"},
	{"postgres://sara:secret@h:99999/db", "", "not a PostgreSQL URL: invalid port"},
	{"postgres://sara:sec/ret@h/db", "", "not a PostgreSQL URL: invalid port"},
	{"postgres://sara:secret@h/db?target_session_attrs=writable", "", "not a PostgreSQL URL: unknown target_session_attrs value: writable"},
	{"postgres://sara:secret@h/db?sslmode=maybe", "", "not a PostgreSQL URL: failed to configure TLS (sslmode is invalid)"},
	{"postgres://sara:se@cret@h/db", "", encodingProblem},
	{"postgres://sara:se@cr/et@h/db", "", encodingProblem},
	{"postgres://sara:se@cr#et@h/db", "", encodingProblem},
	{"postgres://sara:se@cr,et@h/db", "", encodingProblem},
	{"postgres://sara:/secret@h/db", "", encodingProblem},
	{"postgres://sara:12/secret@h/db", "", encodingProblem},
	{"postgres://sara:12/secret?x=y@h/db", "", encodingProblem},
	{"postgres://sara:se%40cr@et/x@h/db", "", encodingProblem},
	{"postgres://app:12/se%40cret@h/db", "", encodingProblem},
	{"postgres://sara:12/se%40cret@h/db?sslmode=disable", "", encodingProblem},
	{"postgres://sa/ra:se%40cret@h/db", "", encodingProblem},
	{"postgres://sara:se@cr/e%40t@h/d%40b", "", encodingProblem},
	{"postgres://sara:se%40cret@h?host=/run&user=sara@tenant", "postgres://sara:xxxxx@h?host=/run&user=sara@tenant", ""},
	{"postgres://sara:secret@h/d%40b?user=sara@tenant", "postgres://sara:xxxxx@h/d%40b?user=sara@tenant", ""},
	{"postgres:host=h password=secret", "", "not a PostgreSQL URL"},
	{"postgresql:host=h dbname=x password=se@cret", "", "not a PostgreSQL URL"},
	{"postgres://sara:se@cr:et@h:5432/db", "", "not a PostgreSQL URL: invalid port"},
	{"postgres://sara:se@cr?et@h/db", "", "not a PostgreSQL URL"},
	{"postgres://sara:se%40cr%2Fet@h/d%40b?application_name=a@b/c&role=a@b", "postgres://sara:xxxxx@h/d%40b?application_name=a@b/c&role=a@b", ""},
	{"postgres:///db?user=sara@tenant&password=se@cret&host=h", "postgres:///db?user=sara@tenant&password=xxxxx&host=h", ""},
	{"postgres://u:p@SECRET?x=y@127.0.0.1", "", encodingProblem},
	{"postgres://u:p@SECRET?x=y@127.0.0.1:9490", "", encodingProblem},
	{"postgres://u:p@SECRET:9490?x=y@127.0.0.1", "", encodingProblem},
	{"postgres://u:p@SECRET?x=y&z=1@127.0.0.1", "", encodingProblem},
	{"postgres://u:p@SECRET?pool_max_conns=4&x@h=1", "", encodingProblem},
	{"postgres://u:12/SECRET?search_path=y@h", "", encodingProblem},
	{"postgres://u:secret@h/db?search_path=y%40z&us%65r=a@b", "postgres://u:xxxxx@h/db?search_path=y%40z&us%65r=a@b", ""},
	{"postgres://u:p@,SECRET", "", emptyProblem},
	{"postgres://u:p@,SECRET:9490", "", emptyProblem},
	{"postgres://u:p@h,/db", "", emptyProblem},
	{"postgres://u:p@h,:5433/db", "", emptyProblem},
	{"postgres://u:p@a,,b/db", "", emptyProblem},
	{"postgres://u:p@a%2C/db", "", emptyProblem},
	{"postgres://u:p@a%2C:5433/db", "", emptyProblem},
	{"postgres://u:secret@a:1,b:2/db", "postgres://u:xxxxx@a:1,b:2/db", ""},
	{"postgres:///db?host=a,", "", emptyProblem},
	{"postgres:///db?h%6Fst=,%2Frun", "", emptyProblem},
	{"postgres://sara@/db", "postgres://sara@/db", ""},
	{"postgres://sara@:5433/db", "postgres://sara@:5433/db", ""},
	{"postgres://sara@[::1]:5432,[::2]/db", "postgres://xxxxx", ""},
	{"postgres:///db?host=::1,/run", "postgres:///db?host=::1,/run", ""},
}

func TestParseURL_RefusesMistakesWithoutPassword(t *testing.T) {
	t.Parallel()
	for _, c := range urls {
		parsed, err := db.ParseURL(c.text)
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if parsed.String() != c.shown || problem != c.problem {
			t.Errorf("%s: got %s, %q; want %s, %q", c.text, parsed, problem, c.shown, c.problem)
		}
	}
}
