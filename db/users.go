package db

import (
	"context"
	"slices"

	"github.com/uptrace/bun"
)

// CreateUser stores a user with its permission codes and sets its id. If the
// username is taken it returns ErrConflict.
func (db *DB) CreateUser(ctx context.Context, user *User) error {
	user.CreatedAt = Now()
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := db.insert(ctx, tx, "users", user, &user.ID); err != nil {
			return err
		}
		return setCodes(ctx, tx, user)
	})
}

// UserUpdate holds changes of a user. A nil field is not changed.
type UserUpdate struct {
	IsActive, IsStaff, IsAdmin *bool
	Codes                      *[]int
}

// UpdateUser changes the user with this name, or returns ErrNotFound.
func (db *DB) UpdateUser(ctx context.Context, username string, update UserUpdate) (*User, error) {
	var user User
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		user = User{}
		query := tx.NewSelect().Model(&user).Where("username = ?", username)
		if err := db.selectLocked(ctx, query, "UPDATE"); err != nil {
			return err
		}
		err := tx.NewSelect().Model((*UserPermission)(nil)).Column("code").Where("user_id = ?", user.ID).Order("code").Scan(ctx, &user.Codes)
		if err != nil {
			return err
		}
		assign(&user.IsActive, update.IsActive)
		assign(&user.IsStaff, update.IsStaff)
		assign(&user.IsAdmin, update.IsAdmin)
		if update.Codes != nil {
			user.Codes = slices.Clone(*update.Codes) // setCodes sorts them, and may run again
		}
		if _, err := tx.NewUpdate().Model(&user).ExcludeColumn("created_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		return setCodes(ctx, tx, &user)
	})
	return &user, err
}

// setCodes replaces the stored permission codes with the user's. It sorts them
// and removes duplicates.
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
