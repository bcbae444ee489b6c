package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"portfolio/db"
	"portfolio/graph"
	"portfolio/internal/auth"
)

const dataFolder = "data"

// settings are what every sub-command takes.
type settings struct {
	DatabaseURL string     `env:"DATABASE_URL" placeholder:"URL" help:"postgres://... or sqlite:PATH. Unset: SQLite at data/portfolio.db, migrated and filled with the demo on first start."`
	LogLevel    slog.Level `env:"LOG_LEVEL" default:"info" help:"debug (which logs every request), info, warn or error."`
}

type commands struct {
	settings

	Serve   serveCommand   `cmd:"" default:"withargs" help:"Answer requests (the default)."`
	Migrate migrateCommand `cmd:"" help:"Bring the database's schema up to date."`
	User    struct {
		Create userCreateCommand `cmd:"" help:"Create a user."`
	} `cmd:"" help:"Users."`
	Token struct {
		Create tokenCreateCommand `cmd:"" help:"Create a token and print its key, which is kept nowhere."`
		List   tokenListCommand   `cmd:"" help:"List tokens."`
		Revoke tokenRevokeCommand `cmd:"" help:"Delete a token: its key stops working."`
		Import tokenImportCommand `cmd:"" help:"Take over the keys of the legacy system."`
	} `cmd:"" help:"API tokens."`
	Images struct {
		Create imagesCreateCommand `cmd:"" help:"Store pictures with their thumbnails."`
	} `cmd:"" help:"Pictures."`
	Media struct {
		Sweep mediaSweepCommand `cmd:"" help:"Find files without a row, and rows without their file."`
	} `cmd:"" help:"The store of files."`
}

type serveCommand struct {
	Addr string `env:"ADDR" default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Where to listen (${default})."`
	pictureSettings
	MediaURL   string `env:"MEDIA_URL" placeholder:"URL" help:"Base address of files, e.g. of a CDN. Unset: the host of the request and /media/."`
	Playground string `env:"PLAYGROUND" default:"on" enum:"on,off" help:"The GraphQL playground at /: on or off (${default})."`
	Migrate    bool   `help:"Bring a PostgreSQL schema up to date first."`

	Introspection      graph.Introspection `env:"INTROSPECTION" default:"on" enum:"on,authenticated,off" help:"Who may ask for the schema: on (everybody), authenticated or off."`
	PersistedDocuments string              `env:"PERSISTED_DOCUMENTS" placeholder:"PATH" help:"Manifest or folder of documents that clients may send by id."`
	OnlyPersisted      bool                `env:"ONLY_PERSISTED" help:"Answer no other documents than the persisted ones."`
	Limits             graph.Limits        `embed:"" group:"Limits of a document"`
	Guard              guardSettings       `embed:"" group:"Limits of clients"`
}

type guardSettings struct {
	CORSOrigins    []string      `name:"cors-origins" env:"CORS_ORIGINS" placeholder:"ORIGIN" help:"Origins whose pages may use the API, such as https://example.org; * is all."`
	TrustedProxies []string      `env:"TRUSTED_PROXIES" placeholder:"NETWORK" help:"Networks of reverse proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8."`
	RateLimit      float64       `env:"RATE_LIMIT" default:"0" help:"Requests a second that one token may send, or one address without a token. 0: any."`
	RateBurst      uint          `env:"RATE_BURST" default:"0" help:"Requests that it may send at once. 0: those of a second."`
	FailedLogins   uint          `env:"FAILED_LOGINS" default:"1000" help:"Different wrong tokens a minute that one address may send. 0: any."`
	HeaderTimeout  time.Duration `env:"HEADER_TIMEOUT" default:"10s" help:"How long a client may take for the head of a request."`
	BodyTimeout    time.Duration `env:"BODY_TIMEOUT" default:"30s" help:"How long it may take for head and body."`
	IdleTimeout    time.Duration `env:"IDLE_TIMEOUT" default:"2m" help:"How long a connection may wait for its next request."`
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT" default:"10s" help:"How long the server may work on a request, waiting included."`
	UploadTimeout  time.Duration `env:"UPLOAD_TIMEOUT" default:"2m" help:"The same of a request with files."`
	StallTimeout   time.Duration `env:"STALL_TIMEOUT" default:"10s" help:"How long a client may take to send or read the next 64 KiB of an upload or a response."`
	MaxConnections uint          `env:"MAX_CONNECTIONS" default:"4096" help:"Connections that are open at once."`
	MaxConcurrent  uint          `env:"MAX_CONCURRENT" default:"256" help:"Requests that are worked on at once; 16 times as many wait for up to two seconds."`
}

// check refuses limits that would let no request through.
func (s *guardSettings) check() error {
	for _, limit := range []struct {
		name string
		ok   bool
	}{
		{"MAX_CONCURRENT", s.MaxConcurrent > 0},
		{"MAX_CONNECTIONS", s.MaxConnections > 0},
	} {
		if !limit.ok {
			return errors.New(limit.name + ": must be at least 1")
		}
	}
	for _, timeout := range []struct {
		name  string
		value time.Duration
	}{
		{"HEADER_TIMEOUT", s.HeaderTimeout},
		{"BODY_TIMEOUT", s.BodyTimeout},
		{"IDLE_TIMEOUT", s.IdleTimeout},
		{"REQUEST_TIMEOUT", s.RequestTimeout},
		{"UPLOAD_TIMEOUT", s.UploadTimeout},
		{"STALL_TIMEOUT", s.StallTimeout},
	} {
		if timeout.value <= 0 {
			return errors.New(timeout.name + ": must be positive")
		}
	}
	return nil
}

// output is where a sub-command writes.
type output struct {
	stdout, stderr io.Writer
	log            *slog.Logger
}

// run runs one command line and returns the exit code: 0, or 1 after one line
// on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var line commands
	exited := -1
	parser, err := kong.New(&line,
		kong.Name("portfolio"),
		kong.Description("Portfolios over GraphQL, and the legacy REST endpoint."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ShortUsageOnError(),
	)
	if err != nil {
		panic(err) // the structs above are wrong
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err == nil {
		logger := slog.New(requestIDs{slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: line.LogLevel})})
		command.BindTo(ctx, (*context.Context)(nil))
		err = command.Run(&line.settings, output{stdout, stderr, logger})
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "portfolio: %s\n", strings.Join(strings.Fields(err.Error()), " "))
		return 1
	}
	return 0
}

// open opens the database, which must be up to date: SQLite is migrated on
// the way, PostgreSQL if asked to.
func (s *settings) open(ctx context.Context, migrate bool) (*db.DB, error) {
	dsn := s.DatabaseURL
	if dsn == "" {
		dsn = "sqlite:" + dataFolder + "/portfolio.db"
	}
	database, err := db.Open(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if migrate || !database.Postgres() {
		_, err = database.Migrate(ctx)
	} else if err = database.CheckSchema(ctx); errors.Is(err, db.ErrSchemaBehind) {
		err = fmt.Errorf("%w: run \"portfolio migrate\" first", err)
	}
	if err != nil {
		return nil, errors.Join(err, database.Close())
	}
	return database, nil
}

// with runs do on an open database.
func (s *settings) with(ctx context.Context, migrate bool, do func(*db.DB) error) error {
	database, err := s.open(ctx, migrate)
	if err != nil {
		return err
	}
	return errors.Join(do(database), database.Close())
}

type migrateCommand struct{}

func (migrateCommand) Run(ctx context.Context, settings *settings, out output) error {
	return settings.with(ctx, true, func(*db.DB) error {
		_, err := fmt.Fprintln(out.stdout, "The schema is up to date.")
		return err
	})
}

type userCreateCommand struct {
	Name       string `arg:"" help:"The user's name."`
	Staff      bool   `help:"Staff, who may hold permission codes."`
	Admin      bool   `help:"Admin, who may do everything."`
	Permission []int  `placeholder:"CODE" help:"A permission code, such as 4242; may be repeated."`
}

func (c *userCreateCommand) Run(ctx context.Context, settings *settings, out output) error {
	return settings.with(ctx, false, func(database *db.DB) error {
		user := db.User{Username: c.Name, IsActive: true, IsStaff: c.Staff, IsAdmin: c.Admin, Codes: c.Permission}
		err := database.CreateUser(ctx, &user)
		if errors.Is(err, db.ErrConflict) {
			return fmt.Errorf("there is a user %q already", c.Name)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "Created user %d, %s.\n", user.ID, user.Username)
		return err
	})
}

type tokenCreateCommand struct {
	User    string        `arg:"" help:"The user's name."`
	Label   string        `placeholder:"L" help:"What the token is for."`
	Expires time.Duration `placeholder:"720h" help:"How long the token is good for. Unset: until it is revoked."`
}

func (c *tokenCreateCommand) Run(ctx context.Context, settings *settings, out output) error {
	if c.Expires < 0 {
		return errors.New("--expires: must be positive")
	}
	return settings.with(ctx, false, func(database *db.DB) error {
		key := auth.NewKey()
		hash := auth.HashKey(key)
		token := db.Token{KeyHash: hash[:]}
		if c.Label != "" {
			token.Label = &c.Label
		}
		if c.Expires > 0 {
			token.ExpiresAt = &db.Time{Time: time.Now().Add(c.Expires)}
		}
		err := database.CreateToken(ctx, c.User, &token)
		if errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("there is no user %q", c.User)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.stdout, key)
		return err
	})
}

type tokenListCommand struct{}

func (tokenListCommand) Run(ctx context.Context, settings *settings, out output) error {
	return settings.with(ctx, false, func(database *db.DB) error {
		tokens, err := database.Tokens(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tUSER\tCREATED\tEXPIRES\tLABEL")
		for _, token := range tokens {
			label, expires := "-", "-"
			if token.Label != nil {
				label = *token.Label
			}
			if token.ExpiresAt != nil {
				expires = token.ExpiresAt.Format(time.RFC3339)
			}
			_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", token.ID, token.User.Username, token.CreatedAt.Format(time.RFC3339), expires, label)
		}
		return table.Flush()
	})
}

type tokenRevokeCommand struct {
	ID int64 `arg:"" help:"The token's id, as token list shows it."`
}

func (c *tokenRevokeCommand) Run(ctx context.Context, settings *settings, out output) error {
	return settings.with(ctx, false, func(database *db.DB) error {
		_, err := database.RevokeToken(ctx, c.ID)
		if errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("there is no token %d", c.ID)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "Revoked token %d.\n", c.ID)
		return err
	})
}
