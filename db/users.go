package db

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// TokenUser is what a key says of its bearer.
type TokenUser struct {
	User
	TokenID   int64
	ExpiresAt *Time
	Codes     []int // permission codes, ascending
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
	var (
		user  TokenUser
		codes *string
	)
	err := db.queryRow(ctx, &db.userByToken, keyHash[:],
		&user.TokenID, &user.ExpiresAt, &user.ID, &user.Username, &user.IsActive, &user.IsStaff, &user.IsAdmin, &user.CreatedAt, &codes)
	if err != nil {
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

// CreateUser stores a user and the permission codes. A username that is
// taken is ErrConflict.
func (db *DB) CreateUser(ctx context.Context, user *User, codes []int) error {
	user.CreatedAt = Now()
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(user).Exec(ctx); err != nil {
			return err
		}
		for _, code := range codes {
			permission := UserPermission{UserID: user.ID, Code: code}
			if _, err := tx.NewInsert().Model(&permission).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// CreateToken stores a token for the user of that name, or returns
// ErrNotFound. It sets the token's user and id.
func (db *DB) CreateToken(ctx context.Context, username string, token *Token) error {
	token.CreatedAt = Now()
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		var user User
		if err := tx.NewSelect().Model(&user).Where("username = ?", username).Scan(ctx); err != nil {
			return err
		}
		token.UserID = user.ID
		_, err := tx.NewInsert().Model(token).Exec(ctx)
		return err
	})
}

// Tokens lists every token with its user, oldest first.
func (db *DB) Tokens(ctx context.Context) ([]*Token, error) {
	var tokens []*Token
	err := db.read.NewSelect().Model(&tokens).Relation("User").Order("t.id").Scan(ctx)
	return tokens, wrap(err)
}

// RevokeToken deletes a token, or returns ErrNotFound.
func (db *DB) RevokeToken(ctx context.Context, id int64) error {
	result, err := db.write.NewDelete().Model((*Token)(nil)).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return wrap(err)
	}
	if count, err := result.RowsAffected(); err != nil || count == 0 {
		return ErrNotFound
	}
	return nil
}

func (db *DB) transaction(ctx context.Context, do func(context.Context, bun.Tx) error) error {
	return wrap(db.write.RunInTx(ctx, nil, do))
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
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, model := range models {
			if _, err := tx.NewInsert().Model(model).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
