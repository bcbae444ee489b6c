package db

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// selectUsers selects the columns that scanUserInto scans. The alias of table is u.
func (db *DB) selectUsers(table string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(table, args...).
		ColumnExpr("u.id, u.username, u.is_active, u.is_staff, u.is_admin, u.created_at").
		ColumnExpr("(SELECT string_agg(CAST(p.code AS text), ' ' ORDER BY p.code) FROM user_permissions AS p WHERE p.user_id = u.id)")
}

func scanUser(row row) (*User, error) {
	var user User
	return &user, scanUserInto(&user, row)
}

// scanUserInto scans a user, and the remaining columns into more.
func scanUserInto(user *User, row row, more ...any) error {
	var codes *string
	if err := row.Scan(append([]any{&user.ID, &user.Username, &user.IsActive, &user.IsStaff, &user.IsAdmin, &user.CreatedAt, &codes}, more...)...); err != nil || codes == nil {
		return err
	}
	for word := range strings.SplitSeq(*codes, " ") {
		if code, err := strconv.Atoi(word); err == nil { // SQLite may store other values, which grant nothing
			user.Codes = append(user.Codes, code)
		}
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
		table: "users", alias: "u", query: db.selectUsers, scan: scanUser,
		parentOf: func(*User) int64 { return noParent },
	}
}

// AllUsers returns every user with its permission codes, oldest first.
func (db *DB) AllUsers(ctx context.Context) ([]*User, error) {
	rows, err := db.selectUsers("users AS u").Order("u.id").Rows(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { _ = rows.Close() }()
	var users []*User
	for rows.Next() {
		user, err := scanStored(db, rows, scanUser)
		if err != nil {
			return nil, wrap(err)
		}
		users = append(users, user)
	}
	return users, wrap(rows.Err())
}

// Errors of a change of a user.
var (
	ErrNotStaff  = errors.New("only staff can be granted permissions")
	ErrLastAdmin = errors.New("the user is the last active admin")
)

// CreateUser stores a user with its permission codes and sets its ID. If the
// username is taken it returns ErrConflict, and if a user who is not staff has
// codes, ErrNotStaff.
func (db *DB) CreateUser(ctx context.Context, user *User) error {
	if len(user.Codes) > 0 && !user.IsStaff {
		return ErrNotStaff
	}
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

	Codes     map[int]bool // true to grant a code, false to withdraw it
	OnlyCodes bool         // whether to withdraw all codes that are not in Codes
}

// revokesAdmin reports whether the update may make an active admin inactive or no admin.
func (u UserUpdate) revokesAdmin() bool {
	return u.IsActive != nil && !*u.IsActive || u.IsAdmin != nil && !*u.IsAdmin
}

// change applies the update. It returns ErrNotStaff if it grants permissions to a
// user who is not staff.
func (u UserUpdate) change(user *User) error {
	assign(&user.IsActive, u.IsActive)
	assign(&user.IsStaff, u.IsStaff)
	assign(&user.IsAdmin, u.IsAdmin)
	user.Codes = slices.DeleteFunc(user.Codes, func(code int) bool {
		_, changed := u.Codes[code]
		return changed || u.OnlyCodes
	})
	for code, granted := range u.Codes {
		if granted && !user.IsStaff {
			return ErrNotStaff
		}
		if granted {
			user.Codes = append(user.Codes, code)
		}
	}
	return nil
}

// UpdateUser changes the user named username. The error is ErrNotFound,
// ErrNotStaff or, if no active admin would be left, ErrLastAdmin.
func (db *DB) UpdateUser(ctx context.Context, username string, update UserUpdate) (*User, error) {
	var user User
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		user = User{}
		if update.revokesAdmin() {
			if err := db.keepAdmin(ctx, tx, username); err != nil {
				return err
			}
		}
		query := tx.NewSelect().Model(&user).Where("username = ?", username)
		if err := db.selectLocked(ctx, query, "UPDATE"); err != nil {
			return err
		}
		err := tx.NewSelect().Model((*UserPermission)(nil)).Column("code").Where("user_id = ?", user.ID).Order("code").Scan(ctx, &user.Codes)
		if err != nil {
			return err
		}
		if err := update.change(&user); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(&user).ExcludeColumn("created_at").WherePK().Exec(ctx); err != nil {
			return err
		}
		return setCodes(ctx, tx, &user)
	})
	return &user, err
}

// DeleteUser deletes the user named username, its permission codes and its tokens. It
// returns the user and the IDs of the tokens. The error is ErrNotFound or
// ErrLastAdmin.
func (db *DB) DeleteUser(ctx context.Context, username string) (*User, []int64, error) {
	var (
		user   User
		tokens []int64
	)
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		user, tokens = User{}, nil
		if err := db.keepAdmin(ctx, tx, username); err != nil {
			return err
		}
		query := tx.NewSelect().Model(&user).Where("username = ?", username)
		if err := db.selectLocked(ctx, query, "UPDATE"); err != nil {
			return err
		}
		if err := tx.NewSelect().Model((*Token)(nil)).Column("id").Where("user_id = ?", user.ID).Order("id").Scan(ctx, &tokens); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model(&user).WherePK().Exec(ctx)
		return err
	})
	return &user, tokens, err
}

// keepAdmin returns ErrLastAdmin if username is the only active admin. It locks all
// active admins, ordered by ID, so that two concurrent demotions cannot remove the last
// two admins.
func (db *DB) keepAdmin(ctx context.Context, tx bun.Tx, username string) error {
	var admins []User
	query := tx.NewSelect().Model(&admins).Column("username").Where("is_admin AND is_active").Order("id")
	if err := db.selectLocked(ctx, query, "NO KEY UPDATE"); err != nil {
		return err
	}
	if len(admins) == 1 && admins[0].Username == username {
		return ErrLastAdmin
	}
	return nil
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
