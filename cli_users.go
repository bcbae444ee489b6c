package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"portfolio/db"
	"portfolio/internal/auth"
)

type userCreateCommand struct {
	Name       string `arg:"" help:"Name of the user."`
	Staff      bool   `help:"Make the user staff, who may have permission codes."`
	Admin      bool   `help:"Make the user an admin, who has every permission."`
	Permission []int  `placeholder:"CODE" help:"Permission code of the user, such as 4242; repeatable."`
}

func (c *userCreateCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	return flags.withDB(ctx, out, func(database *db.DB) error {
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
	return flags.withDB(ctx, out, func(database *db.DB) error {
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
	return flags.withDB(ctx, out, func(database *db.DB) error {
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
	return flags.withDB(ctx, out, func(database *db.DB) error {
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
	return flags.withDB(ctx, out, func(database *db.DB) error {
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
