package db

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// TokenUser is what a key says of its bearer.
type TokenUser struct {
	User
	TokenID   int64
	ExpiresAt *Time
}

func (db *DB) tokenUsers() *bun.SelectQuery {
	return db.read.NewSelect().
		TableExpr("tokens AS t").
		Join("JOIN users AS u ON u.id = t.user_id").
		ColumnExpr("t.id, t.expires_at, u.id, u.username, u.is_active, u.is_staff, u.is_admin, u.created_at").
		ColumnExpr("(SELECT string_agg(CAST(p.code AS text), ' ' ORDER BY p.code) FROM user_permissions AS p WHERE p.user_id = u.id)")
}

// UserByToken finds who holds the key with this SHA-256, or ErrNotFound. It
// neither checks expiry nor whether the user is active.
func (db *DB) UserByToken(ctx context.Context, keyHash [32]byte) (*TokenUser, error) {
	return queryOne(ctx, db, &db.userByToken, scanTokenUser, keyHash[:])
}

func scanTokenUser(row row) (*TokenUser, error) {
	var (
		user  TokenUser
		codes *string
	)
	if err := row.Scan(&user.TokenID, &user.ExpiresAt, &user.ID, &user.Username, &user.IsActive, &user.IsStaff, &user.IsAdmin, &user.CreatedAt, &codes); err != nil {
		return nil, err
	}
	if codes != nil {
		for word := range strings.SplitSeq(*codes, " ") {
			code, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("permission code: %w", err)
			}
			user.Codes = append(user.Codes, code)
		}
	}
	return &user, nil
}

// CreateUser stores a user with the permission codes, and sets its id. A
// username that is taken is ErrConflict.
func (db *DB) CreateUser(ctx context.Context, user *User) error {
	user.CreatedAt = Now()
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := db.insert(ctx, tx, "users", user, &user.ID); err != nil {
			return err
		}
		return setCodes(ctx, tx, user)
	})
}

// UpdateUser changes the user of that name under a lock, or returns
// ErrNotFound.
func (db *DB) UpdateUser(ctx context.Context, username string, change func(*User)) (*User, error) {
	var user User
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		user = User{}
		query := tx.NewSelect().Model(&user).Where("username = ?", username)
		if err := db.scanLocked(ctx, query, "UPDATE"); err != nil {
			return err
		}
		err := tx.NewSelect().Model((*UserPermission)(nil)).Column("code").Where("user_id = ?", user.ID).Order("code").Scan(ctx, &user.Codes)
		if err != nil {
			return err
		}
		change(&user)
		if _, err := tx.NewUpdate().Model(&user).ExcludeColumn("created_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		return setCodes(ctx, tx, &user)
	})
	return &user, err
}

// setCodes stores the user's permission codes, sorted and each once.
func setCodes(ctx context.Context, tx bun.Tx, user *User) error {
	slices.Sort(user.Codes)
	user.Codes = slices.Compact(user.Codes)
	if _, err := tx.NewDelete().Model((*UserPermission)(nil)).Where("user_id = ?", user.ID).Exec(ctx); err != nil {
		return err
	}
	if len(user.Codes) == 0 {
		return nil
	}
	permissions := make([]UserPermission, len(user.Codes))
	for i, code := range user.Codes {
		permissions[i] = UserPermission{UserID: user.ID, Code: code}
	}
	_, err := tx.NewInsert().Model(&permissions).Exec(ctx)
	return err
}

// CreateToken stores a token for the user of that name, or returns
// ErrNotFound. It sets the token's user and id.
func (db *DB) CreateToken(ctx context.Context, username string, token *Token) error {
	token.CreatedAt = Now()
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		var user User
		query := tx.NewSelect().Model(&user).Where("username = ?", username)
		if err := db.scanLocked(ctx, query, "KEY SHARE"); err != nil {
			return err
		}
		token.UserID, token.User = user.ID, &user
		return db.insert(ctx, tx, "tokens", token, &token.ID)
	})
}

// Tokens lists every token with its user, oldest first.
func (db *DB) Tokens(ctx context.Context) ([]*Token, error) {
	var tokens []*Token
	err := db.read.NewSelect().Model(&tokens).Relation("User").Order("t.id").Scan(ctx)
	return tokens, wrap(err)
}

// RevokeToken deletes a token and returns it with its user, or ErrNotFound.
func (db *DB) RevokeToken(ctx context.Context, id int64) (*Token, error) {
	var token Token
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		token = Token{}
		if err := tx.NewSelect().Model(&token).Relation("User").Where("t.id = ?", id).Scan(ctx); err != nil {
			return err
		}
		result, err := tx.NewDelete().Model(&token).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if deleted, err := result.RowsAffected(); err != nil || deleted == 0 { // another request was first
			return errors.Join(ErrNotFound, err)
		}
		return nil
	})
	return &token, err
}

// Empty reports whether there is neither a user nor a portfolio.
func (db *DB) Empty(ctx context.Context) (bool, error) {
	for _, model := range []any{(*User)(nil), (*Portfolio)(nil)} {
		if found, err := db.read.NewSelect().Model(model).Exists(ctx); err != nil || found {
			return false, wrap(err)
		}
	}
	return true, nil
}

// Load inserts models, ids included, all or none.
func (db *DB) Load(ctx context.Context, models ...any) error {
	return wrap(db.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for _, model := range models {
			if _, err := tx.NewInsert().Model(model).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
}
