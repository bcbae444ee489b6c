package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"portfolio/db"
	"portfolio/internal/config"
	"portfolio/internal/files"
	"portfolio/internal/legacyimport"
	"portfolio/internal/storage"
)

type importCommands struct {
	Legacy  importLegacyCommand `cmd:"" help:"Import the users, tokens, portfolios, links, images and files of the legacy system."`
	Compare compareCommand      `cmd:"" help:"Compare the responses of the legacy system and of the server that replaces it."`
}

type importLegacyCommand struct {
	config.Store
	Database     legacyimport.DatabaseURL `env:"LEGACY_DATABASE_URL" placeholder:"URL" help:"postgres://... URL of the legacy database, which the import only reads."`
	Mapping      string                   `placeholder:"FILE" help:"Names of the tables and columns of the legacy database. Unset: the default mapping."`
	PrintMapping bool                     `help:"Print the default mapping, with comments."`
	URL          legacyimport.ServerURL   `name:"url" env:"LEGACY_URL" placeholder:"URL" help:"Server of the legacy system. With --database, the import only compares its responses."`
	Token        string                   `env:"LEGACY_TOKEN" placeholder:"KEY" help:"Token for the legacy system."`
	Portfolio    []int64                  `placeholder:"ID" help:"Portfolio of the links to request from --url; repeatable."`
	Links        legacyimport.Ranges      `placeholder:"RANGES" help:"IDs of the links to request from --url, such as 1-5000,7000."`
	Media        legacyimport.Media       `placeholder:"URL|DIRECTORY" help:"URL or directory of the files. Unset: /media/ of --url."`
	Rate         float64                  `placeholder:"N" help:"Maximum requests per second to the legacy system. Unset: no limit."`
	Timeout      time.Duration            `default:"1m" help:"Time limit for each response of the legacy system (${default})."`
	MaxFile      int64                    `default:"104857600" placeholder:"BYTES" help:"Maximum size of a file (${default})."`
	DryRun       bool                     `help:"Compare only, and change nothing."`
	Force        bool                     `help:"Replace rows that were changed locally."`
	Delete       bool                     `help:"Delete imported rows that the legacy system has deleted."`
	Report       string                   `placeholder:"FILE" help:"File for the report, in JSON."`
}

// options returns the options of the import, or the error of an invalid flag.
func (c *importLegacyCommand) options() (legacyimport.Options, error) {
	var (
		text []byte
		err  error
	)
	if c.Mapping != "" {
		text, err = os.ReadFile(c.Mapping)
	}
	mapping, parseErr := legacyimport.ParseMapping(string(text))
	if err := errors.Join(err, parseErr); err != nil {
		return legacyimport.Options{}, fmt.Errorf("--mapping: %w", err)
	}
	options := legacyimport.Options{
		Database: c.Database, Mapping: mapping, URL: c.URL, Token: c.Token, Portfolios: c.Portfolio, Links: c.Links,
		Media: c.Media, Rate: c.Rate, Timeout: c.Timeout, MaxFile: c.MaxFile, DryRun: c.DryRun, Force: c.Force, Delete: c.Delete,
	}
	return options, options.Check()
}

func (c *importLegacyCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	if c.PrintMapping {
		_, err := io.WriteString(env.stdout, legacyimport.DefaultMapping)
		return err
	}
	options, err := c.options()
	if err != nil {
		return err
	}
	return flags.withStore(ctx, c.Location(&flags.Global), env, func(database *db.DB, store storage.Store) error {
		target := legacyimport.Target{Database: database, Store: store, Log: env.log, Changed: func() { env.auditObjects(ctx, "import legacy", false) }}
		report, err := legacyimport.Run(ctx, target, options, env.stderr, isTerminal(env.stderr))
		if writeErr := c.write(report, env.stdout); writeErr != nil {
			return errors.Join(err, writeErr)
		}
		switch {
		case errors.Is(err, context.Canceled):
			return errors.New("interrupted")
		case err == nil && !report.Equal:
			return errors.New("some rows or files differ: see the report")
		}
		return err
	})
}

// write prints the report, and writes it to the file of --report.
func (c *importLegacyCommand) write(report *legacyimport.Report, output io.Writer) error {
	err := report.Write(output)
	if err != nil || c.Report == "" {
		return err
	}
	file, err := os.OpenFile(c.Report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, files.Mode)
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return errors.Join(report.WriteJSON(file), file.Close())
}

type compareCommand struct {
	Legacy  legacyimport.ServerURL `arg:"" help:"Server of the legacy system."`
	Local   legacyimport.ServerURL `arg:"" help:"Server that replaces it."`
	File    string                 `arg:"" default:"-" help:"Access log, or lines of paths; - is standard input (${default})."`
	Token   string                 `env:"LEGACY_TOKEN" placeholder:"KEY" help:"Token that is valid on both servers."`
	Media   legacyimport.Media     `placeholder:"URL" help:"URL of the files of the legacy system. Unset: its /media/."`
	Rate    float64                `default:"10" placeholder:"N" help:"Maximum requests per second to each server (${default}); 0 is no limit."`
	Timeout time.Duration          `default:"30s" help:"Time limit for each response (${default})."`
}

func (c *compareCommand) Run(ctx context.Context, env environment) error {
	input := io.Reader(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		input = file
	}
	compared, different, err := legacyimport.Compare(ctx, legacyimport.Servers{
		Legacy: c.Legacy, Local: c.Local, Token: c.Token, Media: c.Media, Rate: c.Rate, Timeout: c.Timeout,
	}, input, env.stdout)
	if err != nil {
		return err
	}
	if different > 0 {
		return fmt.Errorf("%d of %d responses differ", different, compared)
	}
	_, err = fmt.Fprintf(env.stdout, "%d responses are equal.\n", compared)
	return err
}
