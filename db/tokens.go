package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
)

// TokenOwner is the user who holds a token.
type TokenOwner struct {
	User
	TokenID   int64
	ExpiresAt *Time
}

func (db *DB) selectTokenOwners() *bun.SelectQuery {
	return db.selectUsers("users AS u").Join("JOIN tokens AS t ON t.user_id = u.id").ColumnExpr("t.id, t.expires_at")
}

// UserByToken returns the owner of the key with the SHA-256 keyHash, or ErrNotFound. It
// checks neither whether the token has expired nor whether the user is active.
func (db *DB) UserByToken(ctx context.Context, keyHash [32]byte) (*TokenOwner, error) {
	return queryOne(ctx, db, &db.userByToken, scanTokenOwner, keyHash[:])
}

func scanTokenOwner(row row) (*TokenOwner, error) {
	var owner TokenOwner
	return &owner, scanUserInto(&owner.User, row, &owner.TokenID, &owner.ExpiresAt)
}

// CreateToken stores a token for the user named username, or returns ErrNotFound. It sets the
// token's user and ID.
func (db *DB) CreateToken(ctx context.Context, username string, token *Token) error {
	token.CreatedAt = Now()
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		var user User
		query := tx.NewSelect().Model(&user).Where("username = ?", username)
		if err := db.selectLocked(ctx, query, "KEY SHARE"); err != nil {
			return err
		}
		token.UserID, token.User = user.ID, &user
		return db.insert(ctx, tx, "tokens", token, &token.ID)
	})
}

// Tokens reads a page of all tokens, with the names of their users.
func (db *DB) Tokens(ctx context.Context, list List) (*Page[*Token], error) {
	pages, err := readPages(ctx, db, db.tokenList(), list, noParent)
	return pages[noParent], err
}

func (db *DB) tokenList() listSpec[*Token] {
	return listSpec[*Token]{
		table: "tokens", alias: "t", query: db.selectTokens, scan: scanToken,
		parentOf: func(*Token) int64 { return noParent },
	}
}

func (db *DB) selectTokens(table string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(table, args...).Join("LEFT JOIN users AS u ON u.id = t.user_id").
		ColumnExpr("t.id, t.label, t.created_at, t.expires_at, t.user_id, coalesce(u.username, '')")
}

func scanToken(row row) (*Token, error) {
	token := &Token{User: new(User)}
	err := row.Scan(&token.ID, &token.Label, &token.CreatedAt, &token.ExpiresAt, &token.User.ID, &token.User.Username)
	token.UserID = token.User.ID
	return token, err
}

// AllTokens returns every token with its user, oldest first.
func (db *DB) AllTokens(ctx context.Context) ([]*Token, error) {
	var tokens []*Token
	err := db.scanTokens(ctx, func() *bun.SelectQuery { return db.read.NewSelect().Model(&tokens).Order("t.id") })
	return tokens, wrap(err)
}

// scanTokens scans tokens with their users. If SQLite stores values of users that cannot be
// scanned, it scans only their names.
func (db *DB) scanTokens(ctx context.Context, tokens func() *bun.SelectQuery) error {
	err := tokens().Relation("User").Scan(ctx)
	if err != nil && !errors.Is(err, sql.ErrNoRows) && !db.Postgres() {
		err = tokens().Relation("User", func(user *bun.SelectQuery) *bun.SelectQuery { return user.Column("id", "username") }).Scan(ctx)
	}
	return err
}

// RevokeToken deletes a token and returns it with its user, or ErrNotFound.
func (db *DB) RevokeToken(ctx context.Context, id int64) (*Token, error) {
	var token Token
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		token = Token{}
		err := db.scanTokens(ctx, func() *bun.SelectQuery { return tx.NewSelect().Model(&token).Where("t.id = ?", id) })
		if err != nil {
			return err
		}
		result, err := tx.NewDelete().Model(&token).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if deleted, err := result.RowsAffected(); err != nil || deleted == 0 { // a concurrent request was first
			return errors.Join(ErrNotFound, err)
		}
		return nil
	})
	return &token, err
}

// ImportedToken is a token issued by another system.
type ImportedToken struct {
	KeyHash  [32]byte
	Username string
}

// TokenImportError reports the token that could not be imported, by its index.
type TokenImportError struct {
	Index int
	Err   error
}

func (e *TokenImportError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TokenImportError) Unwrap() error { return e.Err }

var errOtherUser = errors.New("the key belongs to another user")

// ImportTokens stores the tokens that do not exist yet, all or none, and returns
// their IDs. If a user is unknown, or a key belongs to another user,
// the error is a *TokenImportError.
func (db *DB) ImportTokens(ctx context.Context, imported []ImportedToken) (ids []int64, err error) {
	err = db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		tokens, err := newTokens(ctx, tx, imported)
		if err != nil {
			return err
		}
		ids = nil
		for batch := range slices.Chunk(tokens, 1000) {
			if _, err := tx.NewInsert().Model(&batch).Exec(ctx); err != nil {
				return err
			}
			for _, token := range batch {
				ids = append(ids, token.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// newTokens returns the tokens that do not exist yet. The error may be a *TokenImportError.
func newTokens(ctx context.Context, tx bun.Tx, imported []ImportedToken) ([]*Token, error) {
	var users []User
	if err := tx.NewSelect().Model(&users).Column("id", "username").Scan(ctx); err != nil {
		return nil, err
	}
	ids := map[string]int64{}
	for _, user := range users {
		ids[user.Username] = user.ID
	}
	var existing []Token
	if err := tx.NewSelect().Model(&existing).Column("key_hash", "user_id").Scan(ctx); err != nil {
		return nil, err
	}
	holders := map[string]int64{}
	for _, token := range existing {
		holders[string(token.KeyHash)] = token.UserID
	}
	var tokens []*Token
	now := Now()
	for i, token := range imported {
		userID, ok := ids[token.Username]
		if !ok {
			return nil, &TokenImportError{i, fmt.Errorf("there is no user %q", token.Username)}
		}
		hash := string(token.KeyHash[:])
		holder, exists := holders[hash]
		if exists && holder != userID {
			return nil, &TokenImportError{i, errOtherUser}
		}
		if !exists {
			holders[hash] = userID
			tokens = append(tokens, &Token{UserID: userID, KeyHash: token.KeyHash[:], CreatedAt: now})
		}
	}
	return tokens, nil
}
