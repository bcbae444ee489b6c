package db_test

import (
	"testing"

	"portfolio/db"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	const memory = "sqlite::memory: has a separate database for each connection, and loses it when the connection closes; use a file, such as sqlite:data/portfolio.db"
	const parameters = "sqlite: takes the path of a file, and no parameters such as mode=ro: the server sets what it needs"
	const notEncoded = "not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F"
	const twoSlashes = "sqlite://: a path follows the colon, as in sqlite:data/portfolio.db or sqlite:/srv/portfolio.db"
	for _, c := range []struct{ text, shown, problem string }{
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
		{"sqlite://data/portfolio.db", "", twoSlashes},
		{"sqlite:///data/portfolio.db", "", twoSlashes},
		{"sqlite:/data/portfolio.db", "sqlite:/data/portfolio.db", ""},
		{"sqlite::memory:", "", memory},
		{"sqlite:file::memory:?cache=shared", "", memory},
		{"sqlite:x.db?mode=ro", "", parameters},
		{"sqlite:data/x.db?", "", parameters},
		{"sqlite:/data/x.db?_pragma=journal_mode(delete)&cache=shared", "", parameters},
		{"sqlite:file:x.db", "", parameters},
		{"sqlite:file:/data/x.db?mode=rw", "", parameters},
		{"sqlite:files/a%20b#1.db", "sqlite:files/a%20b#1.db", ""},
		{"postgres://secret@%zz", "", "not a PostgreSQL URL"},
		{"postgres://sara:%zzsecret@h/db", "", "not a PostgreSQL URL"},
		{"postgres://sara:secret@h:99999/db", "", "not a PostgreSQL URL: invalid port"},
		{"postgres://sara:sec/ret@h/db", "", "not a PostgreSQL URL: invalid port"},
		{"postgres://sara:secret@h/db?target_session_attrs=writable", "", "not a PostgreSQL URL: unknown target_session_attrs value: writable"},
		{"postgres://sara:secret@h/db?sslmode=maybe", "", "not a PostgreSQL URL: failed to configure TLS (sslmode is invalid)"},
		{"postgres://sara:se@cret@h/db", "", notEncoded},
		{"postgres://sara:se@cr/et@h/db", "", notEncoded},
		{"postgres://sara:se@cr#et@h/db", "", notEncoded},
		{"postgres://sara:se@cr,et@h/db", "", notEncoded},
		{"postgres://sara:/secret@h/db", "", notEncoded},
		{"postgres://sara:12/secret@h/db", "", notEncoded},
		{"postgres://sara:12/secret?x=y@h/db", "", notEncoded},
		{"postgres://sara:se%40cr@et/x@h/db", "", notEncoded},
		{"postgres://app:12/se%40cret@h/db", "", notEncoded},
		{"postgres://sara:12/se%40cret@h/db?sslmode=disable", "", notEncoded},
		{"postgres://sa/ra:se%40cret@h/db", "", notEncoded},
		{"postgres://sara:se@cr/e%40t@h/d%40b", "", notEncoded},
		{"postgres://sara:se%40cret@h?host=/run&user=sara@tenant", "postgres://sara:xxxxx@h?host=/run&user=sara@tenant", ""},
		{"postgres://sara:secret@h/d%40b?user=sara@tenant", "postgres://sara:xxxxx@h/d%40b?user=sara@tenant", ""},
		{"postgres:host=h password=secret", "", "not a PostgreSQL URL"},
		{"postgresql:host=h dbname=x password=se@cret", "", "not a PostgreSQL URL"},
		{"postgres://sara:se@cr:et@h:5432/db", "", "not a PostgreSQL URL: invalid port"},
		{"postgres://sara:se@cr?et@h/db", "", "not a PostgreSQL URL"},
		{"postgres://sara:se%40cr%2Fet@h/d%40b?application_name=a@b/c&role=a@b", "postgres://sara:xxxxx@h/d%40b?application_name=a@b/c&role=a@b", ""},
		{"postgres:///db?user=sara@tenant&password=se@cret&host=h", "postgres:///db?user=sara@tenant&password=xxxxx&host=h", ""},
	} {
		parsed, err := db.ParseURL(c.text)
		problem := ""
		if err != nil {
			problem = err.Error()
		}
		if parsed.String() != c.shown || problem != c.problem {
			t.Errorf("%s: %s, %v", c.text, parsed, err)
		}
	}
}
