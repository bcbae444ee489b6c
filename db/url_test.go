package db_test

import (
	"testing"

	"portfolio/db"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	const memory = "sqlite::memory: has a separate database for each connection, and loses it when the connection closes; use a file, such as sqlite:data/portfolio.db"
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
		{"postgres://secret@%zz", "", "not a PostgreSQL URL"},
		{"postgres://sara:%zzsecret@h/db", "", "not a PostgreSQL URL"},
		{"postgres://sara:secret@h:99999/db", "", "not a PostgreSQL URL: invalid port"},
		{"postgres://sara:sec/ret@h/db", "", "not a PostgreSQL URL: invalid port"},
		{"postgres://sara:secret@h/db?target_session_attrs=writable", "", "not a PostgreSQL URL: unknown target_session_attrs value: writable"},
		{"postgres://sara:secret@h/db?sslmode=maybe", "", "not a PostgreSQL URL: failed to configure TLS (sslmode is invalid)"},
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
