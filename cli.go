package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"portfolio/db"
	"portfolio/internal/auth"
	"portfolio/internal/document"
	"portfolio/internal/images"
	"portfolio/internal/middleware"
	"portfolio/internal/storage"
)

const dataDirectory = "data"

// globalFlags are the flags shared by all commands.
type globalFlags struct {
	DatabaseURL string     `env:"DATABASE_URL" placeholder:"URL" help:"postgres://... or sqlite:PATH. Unset: SQLite at data/portfolio.db, migrated and filled with the demo on first start."`
	LogLevel    slog.Level `env:"LOG_LEVEL" default:"info" help:"debug (which logs every request), info, warn or error."`
}

type commands struct {
	globalFlags

	Serve   serveCommand   `cmd:"" default:"withargs" help:"Run the server (the default)."`
	Migrate migrateCommand `cmd:"" help:"Migrate the database to the current schema."`
	User    struct {
		Create userCreateCommand `cmd:"" help:"Create a user."`
	} `cmd:"" help:"Manage users."`
	Token struct {
		Create tokenCreateCommand `cmd:"" help:"Create a token and print its key. The key cannot be shown again."`
		List   tokenListCommand   `cmd:"" help:"List tokens."`
		Revoke tokenRevokeCommand `cmd:"" help:"Revoke a token."`
		Import tokenImportCommand `cmd:"" help:"Import tokens from the legacy system."`
	} `cmd:"" help:"Manage API tokens."`
	Images struct {
		Create imagesCreateCommand `cmd:"" help:"Import image files and create their thumbnails."`
	} `cmd:"" help:"Manage images."`
	Media struct {
		Sweep mediaSweepCommand `cmd:"" help:"Find files without a row, and rows without their file."`
	} `cmd:"" help:"Manage the files of the media store."`
}

type serveCommand struct {
	Addr string `env:"ADDR" default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address to listen on (${default})."`
	imageSettings
	MediaURL   string `env:"MEDIA_URL" placeholder:"URL" help:"Base URL of files, such as that of a CDN. Unset: the host of the request and /media/."`
	Playground string `env:"PLAYGROUND" default:"on" enum:"on,off" help:"Serve the GraphQL playground at /: on or off (${default})."`
	Migrate    bool   `help:"Migrate a PostgreSQL database first."`

	Introspection      document.Introspection `env:"INTROSPECTION" default:"on" enum:"on,authenticated,off" help:"Who may query the schema: on (everyone), authenticated or off."`
	PersistedDocuments string                 `env:"PERSISTED_DOCUMENTS" placeholder:"PATH" help:"Manifest or directory of documents that clients may send by ID."`
	OnlyPersisted      bool                   `env:"ONLY_PERSISTED" help:"Reject documents that are not persisted."`
	Limits             document.Limits        `embed:"" group:"Limits of documents"`
	Clients            clientLimits           `embed:"" group:"Limits of clients"`
}

type clientLimits struct {
	MaxValues      int           `env:"MAX_VALUES" default:"2000" help:"Maximum values in the variables and extensions of a request."`
	MaxResponse    int           `env:"MAX_RESPONSE" default:"8388608" help:"Maximum size of a response in bytes."`
	CORSOrigins    []string      `name:"cors-origins" env:"CORS_ORIGINS" placeholder:"ORIGIN" help:"Origins that may use the API from browsers, such as https://example.org; * for all."`
	TrustedProxies []string      `env:"TRUSTED_PROXIES" placeholder:"NETWORK" help:"Networks of reverse proxies whose X-Forwarded-For is trusted, such as 10.0.0.0/8."`
	RateLimit      float64       `env:"RATE_LIMIT" default:"0" help:"Maximum requests per second per token, or per address without one; 0 disables."`
	RateBurst      uint          `env:"RATE_BURST" default:"0" help:"Burst size; 0 means one second's worth of requests."`
	FailedLogins   uint          `env:"FAILED_LOGINS" default:"1000" help:"Maximum different invalid tokens per minute per address; 0 disables."`
	HeaderTimeout  time.Duration `env:"HEADER_TIMEOUT" default:"10s" help:"Time limit for reading request headers."`
	BodyTimeout    time.Duration `env:"BODY_TIMEOUT" default:"30s" help:"Time limit for reading the entire request."`
	IdleTimeout    time.Duration `env:"IDLE_TIMEOUT" default:"2m" help:"Time limit for the next request on a connection."`
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT" default:"10s" help:"Time limit for executing a request, including waiting."`
	UploadTimeout  time.Duration `env:"UPLOAD_TIMEOUT" default:"2m" help:"Time limit for executing a request with files."`
	StallTimeout   time.Duration `env:"STALL_TIMEOUT" default:"10s" help:"Time limit for a client to send or read the next 64 KiB of an upload or a response."`
	MaxConnections uint          `env:"MAX_CONNECTIONS" default:"4096" help:"Maximum open connections."`
	MaxConcurrent  uint          `env:"MAX_CONCURRENT" default:"256" help:"Maximum concurrent requests; up to 16 times as many queue for at most 2s."`
}

// check returns an error for settings that cannot be right, before anything is
// changed.
func (c *serveCommand) check() error {
	if c.OnlyPersisted && c.PersistedDocuments == "" {
		return errors.New("--only-persisted: needs PERSISTED_DOCUMENTS")
	}
	for _, setting := range []struct {
		name  string
		value int64
	}{
		{"MAX_DOCUMENT", int64(c.Limits.Bytes)},
		{"MAX_TOKENS", int64(c.Limits.Tokens)},
		{"MAX_FIELDS", int64(c.Limits.Fields)},
		{"MAX_DEPTH", int64(c.Limits.Depth)},
		{"MAX_DUPLICATES", int64(c.Limits.Duplicates)},
		{"MAX_ROOT_FIELDS", int64(c.Limits.RootFields)},
		{"MAX_COST", int64(c.Limits.Cost)},
		{"MAX_VALUES", int64(c.Clients.MaxValues)},
		{"MAX_RESPONSE", int64(c.Clients.MaxResponse)},
		{"HEADER_TIMEOUT", int64(c.Clients.HeaderTimeout)},
		{"BODY_TIMEOUT", int64(c.Clients.BodyTimeout)},
		{"IDLE_TIMEOUT", int64(c.Clients.IdleTimeout)},
		{"REQUEST_TIMEOUT", int64(c.Clients.RequestTimeout)},
		{"UPLOAD_TIMEOUT", int64(c.Clients.UploadTimeout)},
		{"STALL_TIMEOUT", int64(c.Clients.StallTimeout)},
		{"MAX_CONNECTIONS", int64(c.Clients.MaxConnections)},
		{"MAX_CONCURRENT", int64(c.Clients.MaxConcurrent)},
		{"MEDIA_MAX_BYTES", c.MediaMaxBytes},
		{"MEDIA_MEMORY", c.MediaMemory},
	} {
		if setting.value <= 0 {
			return errors.New(setting.name + ": must be positive")
		}
	}
	if _, err := storage.ParseBaseURL(c.MediaURL); err != nil {
		return fmt.Errorf("MEDIA_URL: %w", err)
	}
	if _, err := middleware.ParseProxies(c.Clients.TrustedProxies); err != nil {
		return fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}
	return nil
}

// streams are the outputs of a command.
type streams struct {
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
		kong.Description("Serve portfolios over GraphQL and the legacy REST endpoint."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ShortUsageOnError(),
	)
	if err != nil {
		panic(err) // invalid command definition
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err == nil {
		logger := slog.New(middleware.RequestIDHandler{Handler: slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: line.LogLevel})})
		command.BindTo(ctx, (*context.Context)(nil))
		err = command.Run(&line.globalFlags, streams{stdout, stderr, logger})
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "portfolio: %s\n", strings.Join(strings.Fields(err.Error()), " "))
		return 1
	}
	return 0
}

// open opens the database. It migrates SQLite, and PostgreSQL if migrate is set;
// otherwise the schema must be current.
func (f *globalFlags) open(ctx context.Context, migrate bool) (*db.DB, error) {
	dsn := f.DatabaseURL
	if dsn == "" {
		dsn = "sqlite:" + dataDirectory + "/portfolio.db"
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

// withDB opens the database, calls fn and closes the database.
func (f *globalFlags) withDB(ctx context.Context, migrate bool, fn func(*db.DB) error) error {
	database, err := f.open(ctx, migrate)
	if err != nil {
		return err
	}
	return errors.Join(fn(database), database.Close())
}

type migrateCommand struct{}

func (migrateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, true, func(*db.DB) error {
		_, err := fmt.Fprintln(out.stdout, "The schema is up to date.")
		return err
	})
}

type userCreateCommand struct {
	Name       string `arg:"" help:"Name of the user."`
	Staff      bool   `help:"Make the user staff, who may have permission codes."`
	Admin      bool   `help:"Make the user an admin, who has every permission."`
	Permission []int  `placeholder:"CODE" help:"Permission code of the user, such as 4242; repeatable."`
}

func (c *userCreateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, false, func(database *db.DB) error {
		user := db.User{Username: c.Name, IsActive: true, IsStaff: c.Staff, IsAdmin: c.Admin, Codes: c.Permission}
		err := database.CreateUser(ctx, &user)
		if errors.Is(err, db.ErrConflict) {
			return fmt.Errorf("the user %q already exists", c.Name)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "Created user %d, %s.\n", user.ID, user.Username)
		return err
	})
}

type tokenCreateCommand struct {
	User    string        `arg:"" help:"Name of the user."`
	Label   string        `placeholder:"L" help:"Label of the token."`
	Expires time.Duration `placeholder:"720h" help:"Lifetime of the token. Unset: until it is revoked."`
}

func (c *tokenCreateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	if c.Expires < 0 {
		return errors.New("--expires: must be positive")
	}
	return flags.withDB(ctx, false, func(database *db.DB) error {
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
			return fmt.Errorf("the user %q does not exist", c.User)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out.stdout, key)
		return err
	})
}

type tokenListCommand struct{}

func (tokenListCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, false, func(database *db.DB) error {
		tokens, err := database.AllTokens(ctx)
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
	ID int64 `arg:"" help:"ID of the token, as token list prints it."`
}

func (c *tokenRevokeCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, false, func(database *db.DB) error {
		_, err := database.RevokeToken(ctx, c.ID)
		if errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("the token %d does not exist", c.ID)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "Revoked token %d.\n", c.ID)
		return err
	})
}

type tokenImportCommand struct {
	File string `arg:"" help:"CSV file with lines of key,username; - is standard input."`
}

func (c *tokenImportCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	input := io.Reader(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		input = file
	}
	tokens, lines, err := auth.ReadTokens(input)
	if err != nil {
		return err
	}
	return flags.withDB(ctx, false, func(database *db.DB) error {
		added, err := database.ImportTokens(ctx, tokens)
		if failed, ok := errors.AsType[*db.TokenImportError](err); ok {
			return fmt.Errorf("line %d: %w; nothing was imported", lines[failed.Index], err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "Imported %d tokens; %d were there already.\n", added, len(tokens)-added)
		return err
	})
}

type storeSettings struct {
	MediaStore string `env:"MEDIA_STORE" default:"file:data/media" placeholder:"STORE" help:"Where files are stored (${default}): file:PATH, or s3://BUCKET?endpoint=URL&region=NAME with keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
}

func (s *storeSettings) open() (storage.Store, error) {
	store, err := storage.Open(s.MediaStore)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_STORE: %w", err)
	}
	return store, nil
}

// withStore opens the database and the store, calls fn and closes both.
func (s *storeSettings) withStore(ctx context.Context, flags *globalFlags, fn func(*db.DB, storage.Store) error) error {
	return flags.withDB(ctx, false, func(database *db.DB) error {
		store, err := s.open()
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
		return fn(database, store)
	})
}

type imageSettings struct {
	storeSettings
	MediaMemory   int64 `env:"MEDIA_MEMORY" default:"536870912" placeholder:"BYTES" help:"Maximum memory for all images that are processed concurrently (${default}). An image that takes more is rejected."`
	MediaMaxBytes int64 `env:"MEDIA_MAX_BYTES" default:"20971520" placeholder:"BYTES" help:"Maximum size of an image file (${default})."`
}

type imagesCreateCommand struct {
	imageSettings
	File []string `arg:"" help:"JPEG, PNG, GIF or WebP files. Those that were stored before are skipped."`
}

func (c *imagesCreateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return c.withStore(ctx, flags, func(database *db.DB, store storage.Store) error {
		service := images.NewService(store, c.MediaMaxBytes, c.MediaMemory)
		return images.Import(ctx, service, database, c.File, out.stdout, out.stderr)
	})
}

type mediaSweepCommand struct {
	storeSettings
	Delete bool          `help:"Delete orphaned files and rows. Affected links lose their image."`
	Grace  time.Duration `default:"1h" help:"Minimum age of a file (${default}). Younger files may belong to an upload in progress."`
}

func (c *mediaSweepCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return c.withStore(ctx, flags, func(database *db.DB, store storage.Store) error {
		collector := images.GarbageCollector{Database: database, Store: store, MinAge: c.Grace, Delete: c.Delete, Output: out.stdout}
		return collector.Run(ctx)
	})
}
