package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"portfolio/db"
	"portfolio/internal/auth"
)

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
