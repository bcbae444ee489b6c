// Package cli has the commands of the program.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"portfolio/db"
	"portfolio/internal/buildinfo"
	"portfolio/internal/config"
	"portfolio/internal/printable"
	"portfolio/internal/telemetry"
)

type commands struct {
	globalFlags
	Version kong.VersionFlag `help:"Print the version."`

	Serve   serveCommand   `cmd:"" default:"withargs" help:"Run the server (the default)."`
	Migrate migrateCommand `cmd:"" help:"Migrate the database to the current schema."`
	Check   checkCommand   `cmd:"" help:"Check the settings, the database and the media store of the server."`
	Config  configCommand  `cmd:"" help:"Print the settings of the server, without passwords."`
	User    struct {
		Create userCreateCommand `cmd:"" help:"Create a user."`
		List   userListCommand   `cmd:"" help:"List users."`
		Set    userSetCommand    `cmd:"" help:"Change a user, and print it."`
		Delete userDeleteCommand `cmd:"" help:"Delete a user and its tokens."`
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
	Import      importCommands     `cmd:"" help:"Import the legacy system."`
	Healthcheck healthcheckCommand `cmd:"" help:"Exit with code 0 if the server is ready, or with code 1."`

	Backup  backupCommand  `cmd:"" help:"Back up an SQLite database and its media directory to a file."`
	Restore restoreCommand `cmd:"" help:"Restore a backup. The server must not run."`
}

// Output has the output streams of the program.
type Output struct{ Stdout, Stderr io.Writer }

// environment has the outputs of a command.
type environment struct {
	stdout, stderr io.Writer
	log            *slog.Logger
}

// globalFlags are the settings of all commands.
type globalFlags struct{ config.Global }

// Run runs one command line and returns the exit code. It prints each error as one line on
// stderr, and then returns 1.
func Run(ctx context.Context, args []string, output Output) int {
	stdout, stderr := output.Stdout, output.Stderr
	fail := func(err error) int {
		_, _ = fmt.Fprintf(stderr, "portfolio: %s\n", oneLine(err))
		return 1
	}
	if err := checkArguments(args); err != nil {
		return fail(err)
	}
	var line commands
	exitCode := -1
	parser, err := kong.New(&line,
		kong.Name("portfolio"),
		kong.Description("Serve portfolios over GraphQL and the legacy REST endpoint."),
		kong.Vars{"version": buildinfo.Read().String()},
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exitCode = code }),
		kong.ShortUsageOnError(),
	)
	settingErrs := config.Errors{}
	if err = errors.Join(err, settingErrs.Collect(parser.Model)); err != nil {
		panic(err) // invalid command definition
	}
	command, err := parser.Parse(args)
	if exitCode >= 0 { // --help or --version
		return exitCode
	}
	if err != nil {
		return fail(suggest(parser, args, err))
	}
	if err := checkEnvironment(command); err != nil {
		return fail(err)
	}
	validationErrs := settingErrs.ForCommand(command)
	selected := command.Selected().Target.Addr()
	if checker, ok := reflect.TypeAssert[interface {
		Check(*config.Global) []config.Error
	}](selected); ok {
		validationErrs = append(validationErrs, checker.Check(&line.Global)...)
	}
	if _, isCheck := reflect.TypeAssert[*checkCommand](selected); !isCheck && len(validationErrs) > 0 {
		for _, err := range validationErrs {
			fail(err)
		}
		return 1
	}
	records := telemetry.NewLogWriter(stderr)
	defer records.Flush()
	isJSON := line.LogFormat == "json" || line.LogFormat == "auto" && !isTerminal(stderr)
	logger := slog.New(telemetry.NewLogHandler(records, isJSON, line.LogLevel.Level))
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(&line.globalFlags, environment{stdout, stderr, logger}, validationErrs); err != nil {
		return fail(err)
	}
	return 0
}

// checkArguments returns an error unless all arguments are UTF-8. Databases would replace other
// bytes, so different names would become equal. Names of files become names of images.
func checkArguments(args []string) error {
	for i, arg := range args {
		if utf8.ValidString(arg) {
			continue
		}
		if name, _, hasValue := strings.Cut(arg, "="); hasValue && strings.HasPrefix(name, "--") {
			return fmt.Errorf("the value of %q is not UTF-8", name) // it may be a secret
		}
		return fmt.Errorf("argument %d, %q, is not UTF-8", i+1, arg)
	}
	return nil
}

// checkEnvironment returns an error unless the variables that a command reads are UTF-8.
func checkEnvironment(command *kong.Context) error {
	for _, flag := range command.Flags() {
		for _, name := range flag.Envs {
			if !utf8.ValidString(os.Getenv(name)) {
				return fmt.Errorf("%s: is not UTF-8", name)
			}
		}
	}
	return nil
}

// oneLine returns the text of an error, which may quote foreign text, as one line.
func oneLine(err error) string {
	return printable.Escape(strings.Join(strings.Fields(err.Error()), " "))
}

// suggest adds a suggestion to the error of an unknown command. The parser takes the name of
// the command for an argument of the default command. So suggest parses args again, without a
// default command.
func suggest(parser *kong.Kong, args []string, err error) error {
	const unknown = "unexpected argument "
	if strings.HasPrefix(err.Error(), unknown) {
		parser.Model.DefaultCmd = nil
		if _, better := parser.Parse(args); better != nil && strings.HasPrefix(better.Error(), unknown) {
			return better
		}
	}
	return err
}

// existingDatabase returns the URL of the database of a command. If no setting names the
// database, it prints the default, and returns an error if the default does not exist. Only
// serve creates it: with other commands, the user has probably forgotten the setting.
func (f *globalFlags) existingDatabase(env environment) (db.URL, error) {
	url := f.Database()
	if !f.DatabaseURL.IsZero() {
		return url, nil
	}
	if _, err := os.Stat(url.SQLitePath()); errors.Is(err, fs.ErrNotExist) {
		return url, fmt.Errorf("DATABASE_URL: is not set, and the default, %s, does not exist: only \"portfolio serve\" creates it", url.SQLitePath())
	}
	_, _ = fmt.Fprintf(env.stderr, "portfolio: DATABASE_URL is not set: the database is %s\n", url)
	return url, nil
}

// open opens the database. It migrates SQLite, and PostgreSQL if migrate is set. Otherwise the
// schema must be current.
func (f *globalFlags) open(ctx context.Context, migrate bool, log *slog.Logger) (*db.DB, error) {
	database, err := f.Database().Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if migrate || !database.Postgres() {
		var applied []string
		if applied, err = database.Migrate(ctx); len(applied) > 0 {
			log.Info("migrated the database", "applied", applied)
		}
		if err == nil && len(applied) > 0 {
			err = logProblems(ctx, log, database.RowProblems) // only after a migration: it scans all tables
		}
	} else if err = database.CheckTables(ctx); err == nil {
		err = database.CheckSchema(ctx)
	}
	if errors.Is(err, db.ErrSchemaBehind) {
		err = fmt.Errorf("%w: run \"portfolio migrate\" first", err)
	}
	if err != nil {
		return nil, errors.Join(err, database.Close())
	}
	return database, nil
}

// logProblems logs the problems that check finds in the database.
func logProblems(ctx context.Context, log *slog.Logger, check func(context.Context) ([]string, error)) error {
	problems, err := check(ctx)
	for _, problem := range problems {
		log.WarnContext(ctx, "the database needs attention", "problem", problem)
	}
	return err
}

// withDB opens the database, calls fn and closes the database.
func (f *globalFlags) withDB(ctx context.Context, env environment, fn func(*db.DB) error) error {
	if _, err := f.existingDatabase(env); err != nil {
		return err
	}
	database, err := f.open(ctx, false, env.log)
	if err != nil {
		return err
	}
	return errors.Join(fn(database), database.Close())
}

type migrateCommand struct{ config.Feed }

func (c migrateCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	url, err := flags.existingDatabase(env)
	if err != nil {
		return err
	}
	database, err := url.Open(ctx)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	applied, err := database.Migrate(ctx)
	for _, name := range applied {
		_, _ = fmt.Fprintf(env.stdout, "Applied %s.\n", name)
	}
	if err == nil {
		err = database.SetFeed(ctx, c.ChangeFeed == "on")
	}
	if err == nil {
		_, err = fmt.Fprintln(env.stdout, "The schema is up to date.")
	}
	if err == nil {
		var problems []string
		problems, err = database.Problems(ctx)
		for _, problem := range problems {
			_, _ = fmt.Fprintf(env.stdout, "Warning: %s.\n", problem)
		}
	}
	return errors.Join(err, database.Close())
}
