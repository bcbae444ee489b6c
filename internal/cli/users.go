package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"portfolio/db"
	"portfolio/graph"
	"portfolio/internal/auth"
	"portfolio/internal/printable"
)

type userCreateCommand struct {
	Name       string  `arg:"" help:"Name of the user."`
	Staff      bool    `help:"Make the user staff, who may have permission codes."`
	Admin      bool    `help:"Make the user an admin, who has every permission."`
	Permission []int32 `placeholder:"CODE" help:"Permission code of the user, such as 4242, which needs --staff; repeatable."`
}

func (c *userCreateCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	name, err := graph.CheckUsername(c.Name)
	if err != nil {
		return fmt.Errorf("NAME: %w", err)
	}
	user := db.User{Username: name, IsActive: true, IsStaff: c.Staff, IsAdmin: c.Admin}
	for _, code := range c.Permission {
		user.Codes = append(user.Codes, int(code))
	}
	return flags.withDB(ctx, env, func(database *db.DB) error {
		err := database.CreateUser(ctx, &user)
		env.audit(ctx, "user create", err, user.NodeID())
		if err := userError(name, err); err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "Created user %d, %s.\n", user.ID, printable.Quote(user.Username))
		return err
	})
}

// userError returns the error of a change of a user in the terms of commands.
func userError(name string, err error) error {
	switch {
	case errors.Is(err, db.ErrConflict):
		return fmt.Errorf("the user %q already exists", name)
	case errors.Is(err, db.ErrNotFound):
		return fmt.Errorf("the user %q does not exist", name)
	case errors.Is(err, db.ErrNotStaff):
		return errors.New("--permission: needs --staff")
	case errors.Is(err, db.ErrLastAdmin):
		return fmt.Errorf("the user %q is the last active admin: create another admin first", name)
	}
	return err
}

type userListCommand struct{}

func (userListCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	return flags.withDB(ctx, env, func(database *db.DB) error {
		users, err := database.AllUsers(ctx)
		if err != nil {
			return err
		}
		return printUsers(env.stdout, users...)
	})
}

func printUsers(output io.Writer, users ...*db.User) error {
	table := tabwriter.NewWriter(output, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tUSER\tACTIVE\tSTAFF\tADMIN\tPERMISSIONS\tCREATED")
	yes := map[bool]string{true: "yes", false: "no"}
	for _, user := range users {
		codes := strings.Trim(strings.ReplaceAll(fmt.Sprint(user.Codes), " ", ","), "[]")
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", user.ID, printable.Quote(user.Username),
			yes[user.IsActive], yes[user.IsStaff], yes[user.IsAdmin], cmp.Or(codes, "-"), user.CreatedAt.Format(time.RFC3339))
	}
	return table.Flush()
}

type userSetCommand struct {
	Name         string  `arg:"" help:"Name of the user."`
	Active       *bool   `negatable:"" help:"Whether the tokens of the user are valid."`
	Staff        *bool   `negatable:"" help:"Whether the user is staff, who may have permission codes."`
	Admin        *bool   `negatable:"" help:"Whether the user is an admin, who has every permission."`
	Permission   []int32 `placeholder:"CODE" xor:"permissions" help:"Permission code, such as 4242, which needs staff; repeatable. These codes replace the current codes."`
	NoPermission bool    `xor:"permissions" help:"Withdraw all permission codes."`
}

func (c *userSetCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	update := db.UserUpdate{IsActive: c.Active, IsStaff: c.Staff, IsAdmin: c.Admin, OnlyCodes: c.NoPermission || len(c.Permission) > 0, Codes: map[int]bool{}}
	for _, code := range c.Permission {
		update.Codes[int(code)] = true
	}
	if c.Active == nil && c.Staff == nil && c.Admin == nil && !update.OnlyCodes {
		return errors.New("nothing to change: give --[no-]active, --[no-]staff, --[no-]admin, --permission or --no-permission")
	}
	return flags.withDB(ctx, env, func(database *db.DB) error {
		user, err := database.UpdateUser(ctx, c.Name, update)
		env.audit(ctx, "user set", err, user.NodeID())
		if err := userError(c.Name, err); err != nil {
			return err
		}
		return printUsers(env.stdout, user)
	})
}

type userDeleteCommand struct {
	Name string `arg:"" help:"Name of the user."`
}

func (c *userDeleteCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	return flags.withDB(ctx, env, func(database *db.DB) error {
		user, tokens, err := database.DeleteUser(ctx, c.Name)
		env.audit(ctx, "user delete", err, append([]db.NodeID{user.NodeID()}, tokenNodes(tokens)...)...)
		if err := userError(c.Name, err); err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "Deleted user %d, %s, and %d tokens.\n", user.ID, printable.Quote(user.Username), len(tokens))
		return err
	})
}

func tokenNodes(ids []int64) []db.NodeID {
	nodes := make([]db.NodeID, len(ids))
	for i, id := range ids {
		nodes[i] = db.NodeID{Type: db.TokenNode, ID: id}
	}
	return nodes
}

type tokenCreateCommand struct {
	User    string         `arg:"" help:"Name of the user."`
	Label   string         `placeholder:"L" help:"Label of the token."`
	Expires *time.Duration `placeholder:"720h" help:"Lifetime of the token. Unset: until it is revoked."`
}

func (c *tokenCreateCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	token := db.Token{}
	if c.Label != "" {
		token.Label = &c.Label
	}
	if err := graph.CheckLabel(token.Label); err != nil {
		return fmt.Errorf("--label: %w", err)
	}
	if c.Expires != nil {
		if *c.Expires <= 0 {
			return errors.New("--expires: must be positive")
		}
		token.ExpiresAt = &db.Time{Time: time.Now().Add(*c.Expires)}
	}
	return flags.withDB(ctx, env, func(database *db.DB) error {
		key := auth.NewKey()
		hash := auth.HashKey(key)
		token.KeyHash = hash[:]
		err := database.CreateToken(ctx, c.User, &token)
		env.audit(ctx, "token create", err, token.NodeID())
		if err := userError(c.User, err); err != nil {
			return err
		}
		_, err = fmt.Fprintln(env.stdout, key)
		return err
	})
}

type tokenListCommand struct{}

func (tokenListCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	return flags.withDB(ctx, env, func(database *db.DB) error {
		tokens, err := database.AllTokens(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "ID\tUSER\tCREATED\tEXPIRES\tLABEL")
		for _, token := range tokens {
			label, expires := "-", "-"
			if token.Label != nil {
				label = printable.Quote(*token.Label)
			}
			if token.ExpiresAt != nil {
				expires = token.ExpiresAt.Format(time.RFC3339)
			}
			_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", token.ID, printable.Quote(token.User.Username), token.CreatedAt.Format(time.RFC3339), expires, label)
		}
		return table.Flush()
	})
}

type tokenRevokeCommand struct {
	ID int64 `arg:"" help:"ID of the token, as token list prints it."`
}

func (c *tokenRevokeCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
	return flags.withDB(ctx, env, func(database *db.DB) error {
		_, err := database.RevokeToken(ctx, c.ID)
		env.audit(ctx, "token revoke", err, db.NodeID{Type: db.TokenNode, ID: c.ID})
		if errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("the token %d does not exist", c.ID)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "Revoked token %d.\n", c.ID)
		return err
	})
}

type tokenImportCommand struct {
	File string `arg:"" help:"CSV file with lines of key,username; - is standard input."`
}

func (c *tokenImportCommand) Run(ctx context.Context, flags *globalFlags, env environment) error {
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
	return flags.withDB(ctx, env, func(database *db.DB) error {
		ids, err := database.ImportTokens(ctx, tokens)
		env.audit(ctx, "token import", err, tokenNodes(ids)...)
		if tokenErr, ok := errors.AsType[*db.TokenImportError](err); ok {
			return fmt.Errorf("line %d: %w; nothing was imported", lines[tokenErr.Index], err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(env.stdout, "Imported %d tokens; %d already existed.\n", len(ids), len(tokens)-len(ids))
		return err
	})
}
