package system

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db/dbtest"
)

// TestServe_RefusesToStart checks that a command line that cannot be run ends with exit
// code 1 and one line of error.
func TestServe_RefusesToStart(t *testing.T) {
	t.Chdir(t.TempDir())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	t.Setenv("DATABASE_URL", dbtest.SQLite(t))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
	for _, c := range []struct{ args, want string }{
		{"serve --addr=" + taken.Addr().String(), "ADDR: listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		{"serve --addr=127.0.0.1:0 --admin-addr=" + taken.Addr().String(), "ADMIN_ADDR: listen tcp " + taken.Addr().String() + ": bind: address already in use"},
		{"user list --database-url=postgres://me:secret@127.0.0.1:1/x", "DATABASE_URL: the database is unavailable: failed to connect to `user=me database=x`: 127.0.0.1:1 (127.0.0.1): dial error: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"serve --media-store=file:/proc/self", "MEDIA_STORE: write to the directory /proc/self: "},
		{"serve --media-store=s3://images?endpoint=http://127.0.0.1:1", "MEDIA_STORE: there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		{"serve --persisted-documents=none.json", "PERSISTED_DOCUMENTS: stat none.json: no such file or directory"},
		{"serve --no-such-flag", "unknown flag --no-such-flag"},
		{"serve --adr=x", `unknown flag --adr, did you mean "--addr"?`},
		{"serve --max-depth", `--max-depth: expected int value but got "EOL" (<EOL>)`},
		{"nonsense", "unexpected argument nonsense"},
		{"serve nonsense", "unexpected argument nonsense"},
		{"--addr=127.0.0.1:0 nonsense", "unexpected argument nonsense"},
		{"usr", `unexpected argument usr, did you mean "user"?`},
		{"user creat", `unexpected argument creat, did you mean "create"?`},
		{"token", `expected one of "create", "list", "revoke", "import"`},
	} {
		_, stderr := runCommand(t, 1, strings.Fields(c.args)...)
		if line, rest, _ := strings.Cut(stderr, "\n"); !strings.HasPrefix(line, "portfolio: "+c.want) || rest != "" || strings.Contains(stderr, "secret") {
			t.Errorf("%s: said %q", c.args, stderr)
		}
	}
	if stdout, _ := runCommand(t, 0, "--help"); !strings.Contains(stdout, "token create") || !strings.Contains(stdout, "$DATABASE_URL") {
		t.Errorf("--help printed %s", stdout)
	}
}

var invalidSettings = []struct{ name, value, want string }{
	{"DATABASE_URL", "mysql://me:secret@h/x", "not postgres://... or sqlite:PATH"},
	{"DATABASE_URL", "sqlite::memory:", "sqlite::memory: has a separate database for each connection, and loses it when the connection closes; use a file, such as sqlite:data/portfolio.db"},
	{"DATABASE_URL", "sqlite:x.db?mode=ro", "sqlite: takes the path of a file, and no parameters such as mode=ro: the server sets them itself"},
	{"DATABASE_URL", "sqlite://data/p.db", "sqlite://: a path follows the colon, as in sqlite:data/portfolio.db or sqlite:/srv/portfolio.db"},
	{"DATABASE_URL", "postgres://me:secret@h/x?sslmode=maybe", "not a PostgreSQL URL: failed to configure TLS (sslmode is invalid)"},
	{"LOG_LEVEL", "loud", `must be debug, info, warn or error, not "loud"`},
	{"LOG_FORMAT", "xml", `must be one of auto, json, text, not "xml"`},
	{"ADDR", "nonsense", `must be HOST:PORT, such as 127.0.0.1:8000, not "nonsense"`},
	{"ADDR", "", `must be HOST:PORT, such as 127.0.0.1:8000, not ""`},
	{"ADDR", "127.0.0.1:", `must be HOST:PORT, such as 127.0.0.1:8000, not "127.0.0.1:"`},
	{"ADDR", "127.0.0.1:65536", `the port must be a number from 0 to 65535, not "65536"`},
	{"ADDR", "127.0.0.1:http", `the port must be a number from 0 to 65535, not "http"`},
	{"ADMIN_ADDR", "9100", `must be HOST:PORT, such as 127.0.0.1:8000, not "9100"`},
	{"ADMIN_ADDR", "127.0.0.1:8000", "must not be ADDR"},
	{"ADMIN_HOSTS", "metrics.example.org,example.org:9100", `"example.org:9100" is neither a name nor an address, without a port`},
	{"ADMIN_HOSTS", "http://example.org", `"http://example.org" is neither a name nor an address, without a port`},
	{"DATA_DIR", "a?b", `must be the path of a directory, such as data or /srv/portfolio, not "a?b"`},
	{"DATA_DIR", "", `must be the path of a directory, such as data or /srv/portfolio, not ""`},
	{"MEDIA_STORE", "ftp://x", "not file:PATH or s3://BUCKET?endpoint=URL&region=NAME"},
	{"MEDIA_STORE", "s3://key:secret@images", "must not contain keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
	{"MEDIA_STORE", "file://data/media", "file://: a path follows the colon, as in file:data/media or file:/srv/media"},
	{"MEDIA_STORE", "s3://images?endpoint=https://h/storage/v1/s3", "endpoint: must end after the host and its port: requests are sent to /BUCKET/KEY, so stores below a path, as Supabase has, cannot be used"},
	{"MEDIA_STORE", "s3://images", "needs endpoint=URL, or region=NAME for Amazon S3"},
	{"MEDIA_MEMORY", "0", "must be at least 1"},
	{"MEDIA_MAX_BYTES", "-1", "must be at least 1"},
	{"MEDIA_URL", "cdn.example", "not an absolute http or https URL"},
	{"PLAYGROUND", "maybe", `must be one of on, off, not "maybe"`},
	{"CHANGE_FEED", "maybe", `must be one of on, off, not "maybe"`},
	{"CHANGE_FEED_URL", "h:5432", "not postgres://... or sqlite:PATH"},
	{"CHANGE_FEED_URL", "sqlite:a.db", "must be the URL of a PostgreSQL server"},
	{"CACHE_BYTES", "-1", "must be at least 0"},
	{"CACHE_BYTES", "64MiB", `must be a whole number, not "64MiB"`},
	{"CACHE_MAX_STALENESS", "-1ms", "must be at least 0s"},
	{"CACHE_MAX_STALENESS", "5", `must be a duration, such as 10s, not "5"`},
	{"SHUTDOWN_DELAY", "-1s", "must be at least 0s"},
	{"INTROSPECTION", "", `must be one of on, authenticated, off, not ""`},
	{"ONLY_PERSISTED", "maybe", `must be true or false, not "maybe"`},
	{"ONLY_PERSISTED", "true", "needs PERSISTED_DOCUMENTS"},
	{"MAX_DOCUMENT", "0", "must be at least 1"},
	{"MAX_TOKENS", "-1", "must be at least 1"},
	{"MAX_FIELDS", "0", "must be at least 1"},
	{"MAX_DEPTH", "deep", `must be a whole number, not "deep"`},
	{"MAX_ALIASES", "-1", "must be at least 0"},
	{"MAX_DUPLICATES", "0", "must be at least 1"},
	{"MAX_DIRECTIVES", "-1", "must be at least 0"},
	{"MAX_ROOT_FIELDS", "0", "must be at least 1"},
	{"MAX_INTROSPECTIONS", "-1", "must be at least 0"},
	{"MAX_COST", "0", "must be at least 1"},
	{"MAX_VALUES", "0", "must be at least 1"},
	{"MAX_RESPONSE", "0", "must be at least 1"},
	{"CORS_ORIGINS", "https://example.org,example.org", `"example.org" has no scheme, as in https://example.org`},
	{"CORS_ORIGINS", "https://example.org/", `"https://example.org/" must end after the host and its port`},
	{"TRUSTED_PROXIES", "10.0.0.0/8,proxy.example", `"proxy.example" is neither an address nor a network`},
	{"RATE_LIMIT", "-0.5", "must be at least 0"},
	{"RATE_LIMIT", "NaN", "must be at least 0"},
	{"RATE_LIMIT", "Inf", "must be at most 1099511627776"},
	{"RATE_LIMIT", "fast", `must be a number, not "fast"`},
	{"RATE_BURST", "-1", "must be at least 0"},
	{"FAILED_LOGINS", "-1", "must be at least 0"},
	{"HEADER_TIMEOUT", "0s", "must be at least 1ms"},
	{"BODY_TIMEOUT", "-1s", "must be at least 1ms"},
	{"IDLE_TIMEOUT", "5", `must be a duration, such as 10s, not "5"`},
	{"REQUEST_TIMEOUT", "9000h", "must be at most 8760h"},
	{"UPLOAD_TIMEOUT", "0", "must be at least 1ms"},
	{"STALL_TIMEOUT", "1us", "must be at least 1ms"},
	{"MAX_CONNECTIONS", "18446744073709551615", `must be a whole number, not "18446744073709551615"`},
	{"MAX_CONNECTIONS", "9223372036854775807", "must be at most 1099511627776"},
	{"MAX_SUBSCRIPTIONS", "-1", "must be at least 0"},
	{"MAX_CONCURRENT", "0", "must be at least 1"},
}

// TestSettings_AreValidated checks invalid values of every setting, as a variable and as a flag.
func TestSettings_AreValidated(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range invalidSettings {
		want := "portfolio: " + c.name + ": " + c.want + "\n"
		flag := "--" + strings.ToLower(strings.ReplaceAll(c.name, "_", "-")) + "=" + c.value
		if _, stderr := runCommand(t, 1, "serve", flag); stderr != want {
			t.Errorf("%s: said %q", flag, stderr)
		}
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			if _, stderr := runCommand(t, 1); stderr != want {
				t.Errorf("said %q", stderr)
			}
		})
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("a command with invalid settings made %v, %v", entries, err)
	}
}

// TestSettings_ReportAllErrors checks that all errors are reported at once, in the order of
// the help, and only to the commands that read the settings.
func TestSettings_ReportAllErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("CORS_ORIGINS", "example.org")
	t.Setenv("LOG_LEVEL", "loud")
	t.Setenv("MEDIA_URL", "https://cdn.example/?a")
	const (
		level  = "portfolio: LOG_LEVEL: must be debug, info, warn or error, not \"loud\"\n"
		server = level + "portfolio: MEDIA_URL: must not have a query or a fragment\n" +
			"portfolio: ONLY_PERSISTED: must be true or false, not \"maybe\"\n" +
			"portfolio: CORS_ORIGINS: \"example.org\" has no scheme, as in https://example.org\n"
	)
	for _, command := range []string{"serve", "config"} {
		if _, stderr := runCommand(t, 1, command, "--only-persisted=maybe"); stderr != server {
			t.Errorf("%s said %s", command, cmp.Diff(server, stderr))
		}
	}
	if _, stderr := runCommand(t, 1, "token", "list"); stderr != level {
		t.Errorf("token list said %q", stderr)
	}
}

// TestConfig_PrintsSettings checks that each setting of the help is printed once, in a form that
// the server reads, and without secrets.
func TestConfig_PrintsSettings(t *testing.T) {
	help, _ := runCommand(t, 0, "serve", "--help")
	printed, _ := runCommand(t, 0, "config")
	names := regexp.MustCompile(`(?m)^([A-Z_]+)=`).FindAllString(printed, -1)
	wanted := settingNames(help)
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, "=")
	}
	if diff := cmp.Diff(wanted, names); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(printed) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		t.Setenv(name, value)
	}
	if again, _ := runCommand(t, 0, "config"); again != printed {
		t.Error(cmp.Diff(printed, again))
	}
	for _, c := range []struct{ flag, want string }{
		{"--database-url=postgres://sara:secret@a:5432,b:5433/db?target_session_attrs=read-write", "DATABASE_URL=postgres://sara:xxxxx@a:5432,b:5433/db?target_session_attrs=read-write"},
		{"--media-store=s3://images?region=eu-central-1", "MEDIA_STORE=s3://images?region=eu-central-1"},
		{"--media-url=https://cdn.example", "MEDIA_URL=https://cdn.example/"},
		{"--cors-origins=https://a.example,https://b.example", "CORS_ORIGINS=https://a.example,https://b.example"},
		{"--trusted-proxies=10.0.0.0/8,192.0.2.1", "TRUSTED_PROXIES=10.0.0.0/8,192.0.2.1/32"},
		{"--log-level=DEBUG", "LOG_LEVEL=debug"},
		{"--rate-limit=0.5", "RATE_LIMIT=0.5"},
		{"--idle-timeout=90s", "IDLE_TIMEOUT=1m30s"},
		{"--persisted-documents=a\nb", `PERSISTED_DOCUMENTS="a\nb"`},
	} {
		if stdout, _ := runCommand(t, 0, "config", c.flag); !strings.Contains("\n"+stdout, "\n"+c.want+"\n") || strings.Contains(stdout, "secret") {
			t.Errorf("%s: printed %s", c.flag, stdout)
		}
	}
}

// TestCheck_ReportsEachPart checks what check finds on both databases, and that it changes nothing.
func TestCheck_ReportsEachPart(t *testing.T) {
	const store = "media store: file:media, a file was written, read and deleted\n"
	t.Setenv("ADDR", "127.0.0.1:0")
	t.Run("sqlite", func(t *testing.T) {
		t.Chdir(t.TempDir())
		dsn := "--database-url=sqlite:test.db"
		check := func(code int, want string, args ...string) {
			t.Helper()
			stdout, stderr := runCommand(t, code, append([]string{"check", dsn, "--media-store=file:media"}, args...)...)
			if stdout != want || (stderr == "portfolio: the server cannot start\n") != (code == 1) {
				t.Errorf("%s%s", cmp.Diff(want, stdout), stderr)
			}
		}
		check(0, "ok      settings: valid\nok      database: sqlite:test.db does not exist yet; serve creates it\nok      "+store)
		if _, err := os.Stat("test.db"); err == nil {
			t.Error("check created the database")
		}
		if err := os.WriteFile("test.db", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		check(0, "ok      settings: valid\nok      database: sqlite:test.db, the schema is behind; serve migrates it\nok      "+store)
		runCommand(t, 0, "migrate", dsn)
		check(0, "ok      settings: valid\nok      database: sqlite:test.db, the schema is current\nok      "+store)
		check(1, "failed  MAX_DEPTH: must be at least 1\nfailed  MAX_COST: must be at least 1\nok      database: sqlite:test.db, the schema is current\nok      "+store, "--max-cost=0", "--max-depth=0")
		check(1, "ok      settings: valid\nok      database: sqlite:test.db, the schema is current\nok      "+store+"failed  server: PERSISTED_DOCUMENTS: stat none: no such file or directory\n", "--persisted-documents=none")
		check(1, "failed  DATABASE_URL: not postgres://... or sqlite:PATH\nok      "+store, "--database-url=none")
		check(1, "failed  MEDIA_STORE: not file:PATH or s3://BUCKET?endpoint=URL&region=NAME\nok      database: sqlite:test.db, the schema is current\n", "--media-store=none")
		if files, err := filepath.Glob("media/*"); err != nil || len(files) > 0 {
			t.Errorf("check left %v, %v", files, err)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Chdir(t.TempDir())
		dsn := dbtest.EmptyPostgres(t)
		t.Setenv("DATABASE_URL", dsn)
		t.Setenv("MEDIA_STORE", "file:media")
		stdout, _ := runCommand(t, 1, "check")
		if want := "ok      settings: valid\nfailed  database: the database's schema is behind: run \"portfolio migrate\" first\nok      " + store; stdout != want {
			t.Error(cmp.Diff(want, stdout))
		}
		runCommand(t, 0, "migrate")
		stdout, _ = runCommand(t, 0, "check")
		if want := "ok      settings: valid\nok      database: " + dsn + ", the schema is current\nok      " + store; stdout != want {
			t.Error(cmp.Diff(want, stdout))
		}
		stdout, _ = runCommand(t, 1, "check", "--database-url="+dsn+"&default_transaction_read_only=on", "--media-store=file:/proc/self")
		if !regexp.MustCompile(`^ok      settings: valid\nfailed  database: the database is read-only\nfailed  media store: write to the directory /proc/self: .*\n$`).MatchString(stdout) {
			t.Errorf("printed %s", stdout)
		}
	})
}

// TestProxies_DecideURLsIfTrusted checks the URLs of images over both APIs behind a proxy that
// ends TLS, and that headers of others do not count.
func TestProxies_DecideURLsIfTrusted(t *testing.T) {
	t.Parallel()
	const (
		rest    = "/api/portfolios/1/links/4"
		graphql = "/graphql?query={portfolioLink(id:4){imageData{url}}}"
		file    = "/media/core_media/2025/12/02/technology.png"
	)
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		behind, key := startRecorded(t, dsn, "--trusted-proxies=127.0.0.1")
		direct := startServer(t, "--database-url="+dsn)
		cdn := startServer(t, "--database-url="+dsn, "--trusted-proxies=127.0.0.1", "--media-url=https://cdn.example/media")
		for _, c := range []struct {
			name   string
			server *testServer
			fields []string
			want   string
		}{
			{"no proxy", direct, nil, "HOST"},
			{"forged", direct, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "Forwarded: for=1.1.1.1;proto=https;host=evil"}, "HOST"},
			{"no headers", behind, nil, "HOST"},
			{"X-Forwarded", behind, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: example.org"}, "https://example.org"},
			{"Forwarded", behind, []string{"Forwarded: for=198.51.100.1;proto=https;host=\"example.org:8443\""}, "https://example.org:8443"},
			{"invalid", behind, []string{"X-Forwarded-Proto: ws", "X-Forwarded-Host: <script>"}, "HOST"},
			{"CDN", cdn, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: example.org"}, "https://cdn.example"},
		} {
			fields := append([]string{"Authorization: Token " + key}, c.fields...)
			status, body := c.server.get(rest, fields...)
			if want := strings.ReplaceAll(documented, "HOST", c.want); status != http.StatusOK || body != want {
				t.Errorf("%s, REST: %d %s", c.name, status, cmp.Diff(want, body))
			}
			status, body = c.server.get(graphql, fields...)
			if want := `{"data":{"portfolioLink":{"imageData":{"url":"` + c.want + file + `"}}}}`; status != http.StatusOK || body != want {
				t.Errorf("%s, GraphQL: %d %s", c.name, status, cmp.Diff(want, body))
			}
		}
	})
}
