package db

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// selectUsers selects what scanUserInto reads from a table or subquery named u.
func (db *DB) selectUsers(from string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(from, args...).
		ColumnExpr("u.id, u.username, u.is_active, u.is_staff, u.is_admin, u.created_at").
		ColumnExpr("(SELECT string_agg(CAST(p.code AS text), ' ' ORDER BY p.code) FROM user_permissions AS p WHERE p.user_id = u.id)")
}

func scanUser(row row) (*User, error) {
	var user User
	return &user, scanUserInto(&user, row)
}

// scanUserInto scans a user, and the columns that follow into more.
func scanUserInto(user *User, row row, more ...any) error {
	var codes *string
	if err := row.Scan(append([]any{&user.ID, &user.Username, &user.IsActive, &user.IsStaff, &user.IsAdmin, &user.CreatedAt, &codes}, more...)...); err != nil || codes == nil {
		return err
	}
	for word := range strings.SplitSeq(*codes, " ") {
		code, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("permission code: %w", err)
		}
		user.Codes = append(user.Codes, code)
	}
	return nil
}

// Users reads a page of all users.
func (db *DB) Users(ctx context.Context, list List) (*Page[*User], error) {
	pages, err := readPages(ctx, db, db.userList(), list, noParent)
	return pages[noParent], err
}

func (db *DB) userList() listSpec[*User] {
	return listSpec[*User]{
		table: "users", alias: "u", query: db.selectUsers, scan: scanUser, size: (*User).size,
		parentOf: func(*User) int64 { return noParent },
	}
}

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
	Codes                      map[int]bool // whether to grant or to withdraw each
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
		user.Codes = slices.DeleteFunc(user.Codes, func(code int) bool {
			_, changed := update.Codes[code]
			return changed
		})
		for code, granted := range update.Codes {
			if granted {
				user.Codes = append(user.Codes, code)
			}
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
