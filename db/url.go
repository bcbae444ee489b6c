package db

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// URL is the parsed URL of a database: postgres://... or sqlite:PATH. The zero
// value is no URL.
type URL struct {
	text   string
	path   string          // of SQLite's file
	config *pgxpool.Config // of PostgreSQL
}

// ParseURL parses the URL of a database. No error contains its password.
func ParseURL(text string) (URL, error) {
	switch scheme, path, _ := strings.Cut(text, ":"); scheme {
	case "postgres", "postgresql":
		config, err := pgxpool.ParseConfig(text)
		if err != nil {
			return URL{}, errors.New("not a PostgreSQL URL" + parseReason(err))
		}
		if err := CheckEncoded(text, &config.ConnConfig.Config); err != nil {
			return URL{}, err
		}
		fixSession(&config.ConnConfig.Config)
		return URL{text: text, config: config}, nil
	case "sqlite":
		switch {
		case path == "":
			return URL{}, errors.New("sqlite: needs a path, such as sqlite:data/portfolio.db")
		case strings.HasPrefix(path, "//"):
			return URL{}, errors.New("sqlite://: a path follows the colon, as in sqlite:data/portfolio.db or sqlite:/srv/portfolio.db")
		case strings.Contains(path, ":memory:"):
			return URL{}, errors.New("sqlite::memory: has a separate database for each connection, and loses it when the connection closes; use a file, such as sqlite:data/portfolio.db")
		case strings.HasPrefix(path, "file:"), strings.Contains(path, "?"):
			return URL{}, errors.New("sqlite: takes the path of a file, and no parameters such as mode=ro: the server sets them itself")
		}
		return URL{text: text, path: path}, nil
	}
	return URL{}, errors.New("not postgres://... or sqlite:PATH")
}

// CheckEncoded returns an error if the password is not percent-encoded. The driver would take a
// part of the password for a host, look it up in DNS, and quote it in errors.
func CheckEncoded(text string, config *pgconn.Config) error {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.Contains(scheme, ":") { // the driver also takes settings such as host=h
		return errors.New("not a PostgreSQL URL")
	}
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' { // where the driver ends the password
		rest = rest[i+1:]
	}
	location, query, _ := strings.Cut(rest, "?")
	names := []string{location, config.Host} // the name of the database may have an encoded @
	for _, fallback := range config.Fallbacks {
		names = append(names, fallback.Host)
	}
	authority, _, _ := strings.Cut(location, "/")
	lists := []string{portSuffix.ReplaceAllString(authority, "$1")}
	for field := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(field, "=")
		names = append(names, name)
		switch name = unescape(name); {
		case name == "host":
			lists = append(lists, value)
		case !slices.Contains(addressParameters, name):
			names = append(names, value)
		}
	}
	if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "@") }) {
		return errors.New("not a PostgreSQL URL: characters of the password must be encoded, such as @ as %40 and / as %2F")
	}
	for _, list := range lists {
		if hosts := strings.Split(unescape(list), ","); len(hosts) > 1 && slices.Contains(hosts, "") {
			return errors.New("not a PostgreSQL URL: a host of the list is empty")
		}
	}
	return nil
}

// addressParameters are the parameters whose values may have an @ that is not encoded.
var addressParameters = []string{"user", "password", "application_name", "role"}

// portSuffix matches the port of a host in a list.
var portSuffix = regexp.MustCompile(`:[0-9]*(,|$)`)

// unescape decodes a part of a URL that the driver could parse.
func unescape(text string) string {
	decoded, _ := url.PathUnescape(text)
	return decoded
}

// parseReason returns the reason why the driver cannot parse a URL. It leaves out
// reasons that may quote the password.
func parseReason(err error) string {
	text := err.Error()
	start := strings.LastIndex(text, "`: ")
	if start < 0 || strings.HasPrefix(text[start:], "`: failed to parse as") {
		return ""
	}
	return text[start+1:]
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *URL) UnmarshalText(text []byte) (err error) {
	*u, err = ParseURL(string(text))
	return err
}

// IsZero reports whether there is no URL.
func (u URL) IsZero() bool { return u.text == "" }

// SQLitePath returns the path of SQLite's file, or "" for PostgreSQL.
func (u URL) SQLitePath() string { return u.path }

// mask replaces a secret.
const mask = "xxxxx"

// String returns the URL without its passwords.
func (u URL) String() string {
	if u.config == nil {
		return u.text
	}
	parsed, err := url.Parse(u.text)
	if err != nil {
		return "postgres://" + mask
	}
	query := strings.Split(parsed.RawQuery, "&")
	for i, field := range query {
		name, _, _ := strings.Cut(field, "=")
		if decoded, err := url.QueryUnescape(name); err != nil || strings.HasSuffix(decoded, "password") {
			query[i] = name + "=" + mask
		}
	}
	parsed.RawQuery = strings.Join(query, "&")
	text := parsed.Redacted()
	if password := u.config.ConnConfig.Password; password != "" && strings.Contains(text, password) {
		return "postgres://" + mask // the driver and net/url parse differently
	}
	return text
}

// Open opens the database. It does not migrate. If a PostgreSQL server cannot be
// reached the error is ErrUnavailable.
func (u URL) Open(ctx context.Context) (*DB, error) {
	if u.config == nil {
		return openSQLite(ctx, u.path)
	}
	return openPostgres(ctx, u.config.Copy(), u.setsConnections())
}

// setsConnections reports whether the URL says how many connections to open.
func (u URL) setsConnections() bool { return strings.Contains(u.text, "pool_max_conns") }
