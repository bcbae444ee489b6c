package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
)

// ImportedToken is a token that another system issued.
type ImportedToken struct {
	KeyHash  [32]byte
	Username string
}

// ImportError says which token could not be imported.
type ImportError struct {
	Index int
	Err   error
}

func (e *ImportError) Error() string { return e.Err.Error() }

// Unwrap is the reason.
func (e *ImportError) Unwrap() error { return e.Err }

var errOtherUser = errors.New("the key belongs to another user")

// ImportTokens adds the tokens that are not there yet, all or none, and
// returns how many it added. An unknown user, or a key that another user
// holds, is an *ImportError.
func (db *DB) ImportTokens(ctx context.Context, imported []ImportedToken) (added int, err error) {
	err = db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		tokens, err := newTokens(ctx, tx, imported)
		if err != nil {
			return err
		}
		added = len(tokens)
		for len(tokens) > 0 {
			batch := tokens[:min(len(tokens), 1000)]
			if _, err := tx.NewInsert().Model(&batch).Exec(ctx); err != nil {
				return err
			}
			tokens = tokens[len(batch):]
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

func newTokens(ctx context.Context, tx bun.Tx, imported []ImportedToken) ([]*Token, error) {
	var users []User
	if err := tx.NewSelect().Model(&users).Column("id", "username").Scan(ctx); err != nil {
		return nil, err
	}
	ids := map[string]int64{}
	for _, user := range users {
		ids[user.Username] = user.ID
	}
	var stored []Token
	if err := tx.NewSelect().Model(&stored).Column("key_hash", "user_id").Scan(ctx); err != nil {
		return nil, err
	}
	holders := map[string]int64{}
	for _, token := range stored {
		holders[string(token.KeyHash)] = token.UserID
	}
	var added []*Token
	now := Now()
	for i, token := range imported {
		userID, ok := ids[token.Username]
		if !ok {
			return nil, &ImportError{i, fmt.Errorf("there is no user %q", token.Username)}
		}
		hash := string(token.KeyHash[:])
		holder, known := holders[hash]
		if known && holder != userID {
			return nil, &ImportError{i, errOtherUser}
		}
		if !known {
			holders[hash] = userID
			added = append(added, &Token{UserID: userID, KeyHash: token.KeyHash[:], CreatedAt: now})
		}
	}
	return added, nil
}
