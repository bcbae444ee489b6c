package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"portfolio/db"
	"portfolio/internal/config"
	"portfolio/internal/files"
	"portfolio/internal/images"
	"portfolio/internal/printable"
	"portfolio/internal/server"
	"portfolio/internal/storage"
)

// configCommand prints the settings that a server would have.
type configCommand struct{ config.Server }

func (configCommand) Run(line *kong.Context, env environment) error {
	for _, flag := range line.Flags() {
		if len(flag.Envs) == 0 {
			continue
		}
		if _, err := fmt.Fprintf(env.stdout, "%s=%s\n", flag.Envs[0], format(flag.Target)); err != nil {
			return err
		}
	}
	return nil
}

// format returns a value in the form of its environment variable. The types of settings mask
// their secrets themselves.
func format(value reflect.Value) string {
	if value.Kind() == reflect.Slice {
		elements := make([]string, value.Len())
		for i := range elements {
			elements[i] = format(value.Index(i))
		}
		return strings.Join(elements, ",")
	}
	return printable.Quote(fmt.Sprint(value.Interface()))
}

// checkCommand checks the settings and the parts of a server, and serves nothing.
type checkCommand struct{ config.Server }

// report prints one line for each check.
type report struct {
	output io.Writer
	failed bool
}

// line prints the result of a check: its error, or else a detail.
func (r *report) line(name string, err error, detail string) {
	if err != nil {
		r.failed = true
		_, _ = fmt.Fprintf(r.output, "failed  %s: %s\n", name, oneLine(err))
		return
	}
	_, _ = fmt.Fprintf(r.output, "ok      %s: %s\n", name, printable.Escape(detail))
}

// warn prints a problem that does not prevent a server from starting.
func (r *report) warn(name, problem string) {
	_, _ = fmt.Fprintf(r.output, "warning %s: %s\n", name, problem)
}

func (c *checkCommand) Run(ctx context.Context, flags *globalFlags, env environment, validationErrs []config.Error) error {
	report := &report{output: env.stdout}
	valid := func(names ...string) bool {
		return !slices.ContainsFunc(validationErrs, func(err config.Error) bool { return slices.Contains(names, err.Setting) })
	}
	for _, err := range validationErrs {
		report.line(err.Setting, err.Err, "")
	}
	if len(validationErrs) == 0 {
		report.line("settings", nil, "valid")
	}
	var database *db.DB
	if valid("DATABASE_URL", "DATA_DIR") {
		database = c.checkDatabase(ctx, flags.Database(), report)
	}
	if _, err := os.ReadFile(flags.DemoKeyFile()); flags.DatabaseURL.IsZero() && err != nil && !errors.Is(err, fs.ErrNotExist) {
		report.line("demo", files.Explain("", err), "")
	}
	var store storage.Store
	if valid("MEDIA_STORE", "DATA_DIR") {
		store = checkStore(ctx, c.Location(&flags.Global), report)
	}
	if database != nil {
		defer func() { _ = database.Close() }()
	}
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	c.checkAddresses(ctx, valid, report)
	if len(validationErrs) == 0 && database != nil && store != nil {
		c.checkServer(ctx, database, store, env.log, report)
	}
	if report.failed {
		return errors.New("the server cannot start")
	}
	return nil
}

// checkDatabase opens the database and compares its schema. If the database does not exist, it
// creates and migrates a database beside the path, and removes it again.
func (c *checkCommand) checkDatabase(ctx context.Context, url db.URL, report *report) *db.DB {
	if path := url.SQLitePath(); path != "" {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			report.line("database", db.TryCreate(ctx, path), url.String()+" does not exist yet; serve creates it")
			return nil
		}
	}
	database, err := url.Open(ctx)
	if err != nil {
		report.line("database", err, "")
		return nil
	}
	detail := url.String() + ", the schema is current"
	err = database.CheckSchema(ctx)
	current := err == nil
	if errors.Is(err, db.ErrSchemaBehind) {
		if database.Postgres() {
			err = fmt.Errorf("%w: run \"portfolio migrate\" first", err)
		} else {
			detail, err = url.String()+", the schema is behind; serve migrates it", nil
		}
	}
	var problems []string
	if err == nil && current {
		problems, err = findProblems(ctx, database)
	}
	if tablesErr := database.CheckTables(ctx); tablesErr != nil {
		err = tablesErr // the schema may be behind for this reason
	}
	if err == nil {
		err = database.CheckWritable(ctx)
	}
	report.line("database", err, detail)
	for _, problem := range problems {
		report.warn("database", problem)
	}
	return database
}

// findProblems describes problems of a database that do not prevent a server from starting.
func findProblems(ctx context.Context, database *db.DB) ([]string, error) {
	rows, rowsErr := database.Problems(ctx)
	keys, keysErr := images.KeyProblems(ctx, database)
	return slices.Concat(rows, keys), errors.Join(rowsErr, keysErr)
}

// checkAddresses listens at the addresses of serve. It accepts an address at which a server
// responds, because the new server will replace that server.
func (c *checkCommand) checkAddresses(ctx context.Context, valid func(...string) bool, report *report) {
	ports := map[string]bool{} // ports at which this check listens
	for _, a := range []struct {
		setting string
		address config.Address
	}{{"ADDR", c.Addr}, {"ADMIN_ADDR", c.AdminAddr}} {
		if a.address == "" || !valid(a.setting) {
			continue
		}
		_, port, _ := net.SplitHostPort(string(a.address))
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(a.address))
		alive := healthcheckCommand{Addr: a.address, Path: "/healthz", Timeout: aliveTimeout}
		switch {
		case err == nil:
			defer func() { _ = listener.Close() }()
			ports[port] = true
		case !errors.Is(err, syscall.EADDRINUSE) || ports[port]:
			report.line(a.setting, err, "")
		case alive.Run(ctx) != nil:
			report.warn(a.setting, string(a.address)+" is in use, and no server responds there: serve cannot start while another program has it")
		}
	}
}

// aliveTimeout bounds the wait for a response at the address of the server.
const aliveTimeout = 2 * time.Second

// checkServer builds a server, but does not start it.
func (c *checkCommand) checkServer(ctx context.Context, database *db.DB, store storage.Store, log *slog.Logger, report *report) {
	s, err := server.New(ctx, &c.Server, database, store, server.Options{Log: log})
	if err != nil {
		report.line("server", err, "")
		return
	}
	s.Close(ctx)
}

// checkStore opens the media store and writes, reads and deletes a file.
func checkStore(ctx context.Context, location storage.Location, report *report) storage.Store {
	store, err := location.Open(ctx)
	if err == nil {
		err = storage.Probe(ctx, store)
	}
	report.line("media store", err, location.String()+", a file was written, read and deleted")
	return store
}
