// Package config has the settings of the program. Each setting is a flag, and an environment
// variable of the same name. Its type parses the value. The tags min and oneof give the valid
// values. An empty value means unset, unless the setting has a default.
package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"portfolio/db"
	"portfolio/internal/document"
	"portfolio/internal/files"
	"portfolio/internal/middleware"
	"portfolio/internal/storage"
	"portfolio/internal/telemetry"
)

// Global are the settings of all commands.
type Global struct {
	DatabaseURL db.URL        `env:"DATABASE_URL" placeholder:"URL" help:"postgres://... or sqlite:PATH. Unset: SQLite at portfolio.db in DATA_DIR, migrated and filled with the demo on first start."`
	DataDir     DataDirectory `env:"DATA_DIR" default:"data" placeholder:"PATH" help:"Directory of the database and the files without DATABASE_URL and MEDIA_STORE (${default})."`
	LogLevel    LogLevel      `env:"LOG_LEVEL" default:"info" help:"debug (also health checks), info (every request), warn or error."`
	LogFormat   string        `env:"LOG_FORMAT" default:"auto" oneof:"auto,json,text" help:"json, text, or auto: text on a terminal, otherwise JSON (${default})."`
}

// Feed turns the change feed on or off, for a database and for a server.
type Feed struct {
	ChangeFeed string `env:"CHANGE_FEED" default:"on" oneof:"on,off" help:"Receive notifications of changes of the database, which caching and subscriptions need: on or off. With off, migrate disables the triggers of PostgreSQL (${default})."`
}

// Server are the settings of the server.
type Server struct {
	Addr       Address           `env:"ADDR" default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (${default})."`
	AdminAddr  Address           `env:"ADMIN_ADDR" placeholder:"HOST:PORT" help:"Address of metrics, profiles and the version. Unset: none. Anyone who reaches it may read them."`
	AdminHosts []middleware.Host `env:"ADMIN_HOSTS" placeholder:"HOST" help:"Hosts that requests to ADMIN_ADDR may name besides loopback names and its own address, such as metrics.example.org."`
	Images
	MediaURL   storage.MediaURL `env:"MEDIA_URL" placeholder:"URL" help:"Base URL of files, such as the URL of a CDN. Unset: the host of the request and /media/."`
	Playground string           `env:"PLAYGROUND" default:"on" oneof:"on,off" help:"Serve the GraphQL playground at /: on or off (${default})."`

	Feed
	ChangeFeedURL db.URL `env:"CHANGE_FEED_URL" placeholder:"URL" help:"postgres://... URL of the PostgreSQL server itself, if DATABASE_URL is the URL of a pooler."`

	CacheBytes        int64         `env:"CACHE_BYTES" default:"67108864" min:"0" help:"Maximum memory for cached responses, in bytes; 0 disables the cache."`
	CacheMaxStaleness time.Duration `env:"CACHE_MAX_STALENESS" default:"0s" min:"0s" help:"Maximum staleness of cached responses, users and permissions. 0 never serves stale data."`

	CacheMaxAge time.Duration `env:"CACHE_MAX_AGE" default:"1m" min:"1s" help:"Maximum age of cached responses and of results of subscriptions, even if the change feed reports no change (${default})."`
	AuthMaxAge  time.Duration `env:"AUTH_MAX_AGE" default:"5s" min:"1s" help:"Maximum age of cached users, permissions and tokens, even if the change feed reports no change (${default})."`

	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" default:"0s" min:"0s" help:"Time to continue serving after SIGTERM, while /readyz responds 503 (${default})."`

	Introspection      document.Introspection `env:"INTROSPECTION" default:"on" oneof:"on,authenticated,off" help:"Who may query the schema: on (everyone), authenticated or off."`
	PersistedDocuments string                 `env:"PERSISTED_DOCUMENTS" placeholder:"PATH" help:"Manifest or directory of documents that clients may send by ID."`
	OnlyPersisted      bool                   `env:"ONLY_PERSISTED" help:"Reject documents that are not persisted."`
	Limits             document.Limits        `embed:"" group:"Limits of documents"`
	Clients            ClientLimits           `embed:"" group:"Limits of clients"`
}

// ClientLimits limit the resources that clients take.
type ClientLimits struct {
	MaxValues        int                  `env:"MAX_VALUES" default:"2000" min:"1" help:"Maximum values in the variables and extensions of a request."`
	MaxResponse      int                  `env:"MAX_RESPONSE" default:"8388608" min:"1" help:"Maximum size of a response in bytes."`
	CORSOrigins      []middleware.Origin  `name:"cors-origins" env:"CORS_ORIGINS" placeholder:"ORIGIN" help:"Origins that may use the API from browsers, such as https://example.org; * for all."`
	TrustedProxies   []middleware.Network `env:"TRUSTED_PROXIES" placeholder:"NETWORK" help:"Networks of reverse proxies whose Forwarded or X-Forwarded-For, -Proto and -Host are trusted, such as 10.0.0.0/8."`
	RateLimit        float64              `env:"RATE_LIMIT" default:"0" min:"0" help:"Maximum requests per second per token, or per address without one; 0 disables."`
	RateBurst        int                  `env:"RATE_BURST" default:"0" min:"0" help:"Burst size; 0 means one second's worth of requests."`
	FailedLogins     int                  `env:"FAILED_LOGINS" default:"1000" min:"0" help:"Maximum different invalid tokens per minute per address; 0 disables."`
	HeaderTimeout    time.Duration        `env:"HEADER_TIMEOUT" default:"10s" min:"1ms" help:"Time limit for reading request headers."`
	BodyTimeout      time.Duration        `env:"BODY_TIMEOUT" default:"30s" min:"1ms" help:"Time limit for reading the entire request."`
	IdleTimeout      time.Duration        `env:"IDLE_TIMEOUT" default:"2m" min:"1ms" help:"Time limit for the next request on a connection."`
	RequestTimeout   time.Duration        `env:"REQUEST_TIMEOUT" default:"10s" min:"1ms" help:"Time limit for executing a request, including waiting."`
	UploadTimeout    time.Duration        `env:"UPLOAD_TIMEOUT" default:"2m" min:"1ms" help:"Time limit for executing a request with files."`
	StallTimeout     time.Duration        `env:"STALL_TIMEOUT" default:"10s" min:"1ms" help:"Time limit for a client to send or read the next 64 KiB of an upload or a response."`
	MaxConnections   int                  `env:"MAX_CONNECTIONS" default:"4096" min:"1" help:"Maximum open connections."`
	MaxSubscriptions int                  `env:"MAX_SUBSCRIPTIONS" default:"10000" min:"0" help:"Maximum subscriptions of all connections; 0 for none."`
	MaxConcurrent    int                  `env:"MAX_CONCURRENT" default:"256" min:"1" help:"Maximum concurrent requests; up to 16 times as many queue for at most 2s."`
}

// LogLevel is the lowest level of log records that are written.
type LogLevel struct{ slog.Level }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LogLevel) UnmarshalText(text []byte) error {
	if l.Level.UnmarshalText(text) != nil {
		return fmt.Errorf("must be debug, info, warn or error, not %q", text)
	}
	return nil
}

// String returns the level in the form of the setting.
func (l LogLevel) String() string { return strings.ToLower(l.Level.String()) }

// Address is a host and a port. The host may be empty.
type Address string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(text []byte) error {
	*a = Address(text)
	_, port, err := net.SplitHostPort(string(text))
	if err != nil || port == "" {
		return fmt.Errorf("must be HOST:PORT, such as 127.0.0.1:8000, not %q", text)
	}
	if number, err := strconv.Atoi(port); err != nil || number < 0 || number > math.MaxUint16 {
		return fmt.Errorf("the port must be a number from 0 to 65535, not %q", port)
	}
	return nil
}

// Errors holds the validation errors of settings, so that a command reports all of them at once.
type Errors map[*kong.Value]error

// Collect makes the settings of a model record their errors in m. By default, the first error
// would end the parser.
func (m Errors) Collect(model kong.Visitable) error {
	return kong.Visit(model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && len(flag.Envs) > 0 {
			flag.Mapper = settingMapper{flag.Mapper, m}
		}
		return next(nil)
	})
}

// ForCommand returns the errors in the settings of a command, in the order of its help. It
// leaves out variables that only other commands read.
func (m Errors) ForCommand(line *kong.Context) []Error {
	var errs []Error
	for _, flag := range line.Flags() {
		if err := m[flag.Value]; err != nil {
			errs = append(errs, Error{flag.Envs[0], err})
		}
	}
	return errs
}

// Error is the validation error of a setting.
type Error struct {
	Setting string // name of the variable
	Err     error
}

func (e Error) Error() string { return e.Setting + ": " + e.Err.Error() }

// settingMapper decodes and checks the value of a setting.
type settingMapper struct {
	kong.Mapper
	errs Errors
}

// Decode implements kong.Mapper. It returns an error only if a flag has no value.
func (m settingMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Peek()
	if token.IsValue() && token.String() == "" && !ctx.Value.HasDefault {
		ctx.Scan.Pop()
		return nil
	}
	err := m.Mapper.Decode(ctx, target)
	if !token.IsValue() {
		return err
	}
	if err != nil {
		err = explain(target, token.String(), err)
	} else {
		err = checkRange(ctx.Value.Tag, target)
	}
	if err != nil {
		m.errs[ctx.Value] = err
	}
	return nil
}

// explain returns err in plain words if the target is of a basic type.
func explain(target reflect.Value, text string, err error) error {
	var kind string
	_, explainsItself := reflect.TypeAssert[encoding.TextUnmarshaler](target.Addr())
	switch {
	case explainsItself:
		return err
	case target.Type() == reflect.TypeFor[time.Duration]():
		kind = "a duration, such as 10s"
	case target.CanInt():
		kind = "a whole number"
	case target.CanFloat():
		kind = "a number"
	case target.Kind() == reflect.Bool:
		kind = "true or false"
	default:
		return err
	}
	return fmt.Errorf("must be %s, not %q", kind, text)
}

// Maximum values of numbers and of durations. Both are far above useful values, so that sums and
// products of settings do not overflow.
const (
	maxSetting  = 1 << 40
	maxDuration = 365 * 24 * time.Hour
)

// checkRange checks a value against the tags min and oneof.
func checkRange(tag *kong.Tag, target reflect.Value) error {
	minimum, maximum := tag.Get("min"), strconv.Itoa(maxSetting)
	tooSmall, tooLarge := false, false
	switch value := target.Interface().(type) {
	case time.Duration:
		bound, _ := time.ParseDuration(minimum)
		tooSmall, tooLarge, maximum = value < bound, value > maxDuration, "8760h"
	case float64:
		bound, _ := strconv.ParseFloat(minimum, 64)
		tooSmall, tooLarge = math.IsNaN(value) || value < bound, value > maxSetting
	default:
		if target.CanInt() {
			bound, _ := strconv.ParseInt(minimum, 10, 64)
			tooSmall, tooLarge = target.Int() < bound, target.Int() > maxSetting
		}
	}
	switch allowed := tag.Get("oneof"); {
	case tooSmall:
		return errors.New("must be at least " + minimum)
	case tooLarge:
		return errors.New("must be at most " + maximum)
	case allowed != "" && !slices.Contains(strings.Split(allowed, ","), target.String()):
		return fmt.Errorf("must be one of %s, not %q", strings.ReplaceAll(allowed, ",", ", "), target.String())
	}
	return nil
}

// Check returns the errors of combinations of settings.
func (s *Server) Check(global *Global) []Error {
	errs := s.Store.Check(global)
	if s.OnlyPersisted && s.PersistedDocuments == "" {
		errs = append(errs, Error{"ONLY_PERSISTED", errors.New("needs PERSISTED_DOCUMENTS")})
	}
	if s.AdminAddr != "" && s.AdminAddr == s.Addr && !strings.HasSuffix(string(s.Addr), ":0") { // 0 is any free port
		errs = append(errs, Error{"ADMIN_ADDR", errors.New("must not be ADDR")})
	}
	if s.ChangeFeedURL.SQLitePath() != "" {
		errs = append(errs, Error{"CHANGE_FEED_URL", errors.New("must be the URL of a PostgreSQL server")})
	}
	if name, err := telemetry.CheckEnvironment(); err != nil {
		errs = append(errs, Error{name, err})
	}
	return errs
}

// DataDirectory is the path of a directory.
type DataDirectory string

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *DataDirectory) UnmarshalText(text []byte) error {
	*d = DataDirectory(text)
	if database, _ := d.locations(); len(text) == 0 || database.IsZero() {
		return fmt.Errorf("must be the path of a directory, such as data or /srv/portfolio, not %q", text)
	}
	return nil
}

// locations returns the locations of the database and of the files. The URL of the database is
// zero if the path cannot be part of a URL.
func (d DataDirectory) locations() (database db.URL, media storage.Location) {
	database, _ = db.ParseURL("sqlite:" + filepath.Join(string(d), "portfolio.db"))
	_ = media.UnmarshalText([]byte("file:" + filepath.Join(string(d), "media")))
	return database, media
}

// DemoKeyFile returns the path of the file with the key of the demo.
func (g *Global) DemoKeyFile() string { return filepath.Join(string(g.DataDir), "demo-token") }

// Database returns the URL of the database.
func (g *Global) Database() db.URL {
	if !g.DatabaseURL.IsZero() {
		return g.DatabaseURL
	}
	database, _ := g.DataDir.locations() // valid
	return database
}

// Store locates the media store.
type Store struct {
	MediaStore storage.Location `env:"MEDIA_STORE" placeholder:"STORE" help:"Where files are stored: file:PATH, or s3://BUCKET?endpoint=URL&region=NAME with keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Unset: the directory media in DATA_DIR."`
}

// Location returns the location of the media store, which does not serve the database and the
// key of the demo.
func (s *Store) Location(global *Global) storage.Location {
	location := s.MediaStore
	if location.String() == "" {
		_, location = global.DataDir.locations() // valid
	}
	return location.Hide(append(db.SQLiteFiles(global.Database().SQLitePath()), global.DemoKeyFile())...)
}

// Check returns an error if the directory of the store contains the database, since its files
// are public. It also returns an error if the directory has, or is below, the name of a file
// that the program creates.
func (s *Store) Check(global *Global) []Error {
	directory, database := s.Location(global).Directory(), global.Database().SQLitePath()
	if directory == "" {
		return nil
	}
	if database != "" && files.Contains(directory, database) {
		return []Error{{"MEDIA_STORE", fmt.Errorf("must not contain the database, %s: files in it are public", database)}}
	}
	for _, name := range append(db.SQLiteFiles(database), global.DemoKeyFile()) {
		if files.Contains(name, filepath.Join(directory, "file")) {
			return []Error{{"MEDIA_STORE", fmt.Errorf("must not be %s or below it: a file has that name", name)}}
		}
	}
	return nil
}

// Images are the limits of image processing, and where images are stored.
type Images struct {
	Store
	MediaMemory   int64 `env:"MEDIA_MEMORY" default:"536870912" min:"1" placeholder:"BYTES" help:"Maximum memory for all images that are processed concurrently (${default}). An image that takes more is rejected."`
	MediaMaxBytes int64 `env:"MEDIA_MAX_BYTES" default:"20971520" min:"1" placeholder:"BYTES" help:"Maximum size of an image file (${default})."`
}
