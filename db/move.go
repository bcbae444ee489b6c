package db

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
)

// RowKind is a kind of rows that are moved from the legacy system.
type RowKind string

// The kinds of rows. An image is moved with its thumbnails, a user with its
// permission codes.
const (
	UserRow      RowKind = "user"
	TokenRow     RowKind = "token"
	PortfolioRow RowKind = "portfolio"
	ImageRow     RowKind = "image"
	LinkRow      RowKind = "link"
)

// MovedRow records that a row was moved from the legacy system.
type MovedRow struct {
	bun.BaseModel `bun:"moved_rows,alias:moved"`

	Kind RowKind `bun:",pk"`
	Key  string  `bun:",pk"` // the id, or of a token its hash
	Hash []byte  // of the row as it was moved
}

// MoveTx is a transaction that moves rows of the legacy system. Each method runs one
// statement for each table, so callers bound the number of rows.
type MoveTx struct {
	db *DB
	tx bun.Tx
}

// Move runs do in a transaction. It may run do again, as transactions may conflict.
func (db *DB) Move(ctx context.Context, do func(context.Context, MoveTx) error) error {
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error { return do(ctx, MoveTx{db, tx}) })
}

// MovedKeys returns up to limit keys after a key, ascending.
func (db *DB) MovedKeys(ctx context.Context, kind RowKind, after string, limit int64) ([]string, error) {
	var keys []string
	err := db.read.NewSelect().Model((*MovedRow)(nil)).Column("key").
		Where("kind = ? AND ? > ?", kind, bun.Ident("key"), after).Order("key").Limit(limit).Scan(ctx, &keys)
	return keys, wrap(err)
}

// AreMoved returns those of the keys that were moved.
func (db *DB) AreMoved(ctx context.Context, kind RowKind, keys []string) (map[string]bool, error) {
	rows, err := selectMoved(ctx, db.read, kind, keys)
	moved := map[string]bool{}
	for _, row := range rows {
		moved[row.Key] = true
	}
	return moved, wrap(err)
}

func selectMoved(ctx context.Context, on bun.IDB, kind RowKind, keys []string) (rows []MovedRow, err error) {
	if len(keys) > 0 {
		err = on.NewSelect().Model(&rows).Where("kind = ? AND ? IN (?)", kind, bun.Ident("key"), bun.List(keys)).Scan(ctx)
	}
	return rows, err
}

// Moved returns the hashes of rows as they were moved, by key.
func (t MoveTx) Moved(ctx context.Context, kind RowKind, keys []string) (map[string][]byte, error) {
	rows, err := selectMoved(ctx, t.tx, kind, keys)
	hashes := map[string][]byte{}
	for _, row := range rows {
		hashes[row.Key] = row.Hash
	}
	return hashes, err
}

// SetMoved records rows as moved.
func (t MoveTx) SetMoved(ctx context.Context, rows []MovedRow) error {
	return insertAll(ctx, t.tx, rows, func(q *bun.InsertQuery) {
		q.On("CONFLICT (kind, ?) DO UPDATE", bun.Ident("key")).Set("hash = EXCLUDED.hash")
	})
}

// ForgetMoved records that a row is no longer moved.
func (t MoveTx) ForgetMoved(ctx context.Context, kind RowKind, key string) error {
	_, err := t.tx.NewDelete().Model((*MovedRow)(nil)).Where("kind = ? AND ? = ?", kind, bun.Ident("key"), key).Exec(ctx)
	return err
}

// selectLockedIDs reads the rows with these ids into rows and locks them.
func (t MoveTx) selectLockedIDs(ctx context.Context, rows any, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return t.db.selectLocked(ctx, t.tx.NewSelect().Model(rows).Where("id IN (?)", bun.List(ids)).Order("id"), "UPDATE")
}

// Users locks and returns the users who have one of the ids or names, with their
// permission codes.
func (t MoveTx) Users(ctx context.Context, ids []int64, names []string) ([]*User, error) {
	var users []*User
	if len(ids) == 0 {
		return nil, nil
	}
	query := t.tx.NewSelect().Model(&users).Where("id IN (?) OR username IN (?)", bun.List(ids), bun.List(append(names, ""))).Order("id")
	if err := t.db.selectLocked(ctx, query, "UPDATE"); err != nil || len(users) == 0 {
		return nil, err
	}
	byID := map[int64]*User{}
	found := make([]int64, len(users))
	for i, user := range users {
		byID[user.ID], found[i] = user, user.ID
	}
	var codes []UserPermission
	err := t.tx.NewSelect().Model(&codes).Where("user_id IN (?)", bun.List(found)).Order("user_id", "code").Scan(ctx)
	for _, code := range codes {
		byID[code.UserID].Codes = append(byID[code.UserID].Codes, code.Code)
	}
	return users, err
}

// Tokens locks and returns the tokens with these hashes.
func (t MoveTx) Tokens(ctx context.Context, hashes [][]byte) ([]*Token, error) {
	var tokens []*Token
	if len(hashes) == 0 {
		return nil, nil
	}
	query := t.tx.NewSelect().Model(&tokens).Where("key_hash IN (?)", bun.List(hashes)).Order("id")
	return tokens, t.db.selectLocked(ctx, query, "UPDATE")
}

// Portfolios locks and returns the portfolios with these ids.
func (t MoveTx) Portfolios(ctx context.Context, ids []int64) (portfolios []*Portfolio, err error) {
	return portfolios, t.selectLockedIDs(ctx, &portfolios, ids)
}

// Links locks and returns the links with these ids, without their images.
func (t MoveTx) Links(ctx context.Context, ids []int64) (links []*PortfolioLink, err error) {
	return links, t.selectLockedIDs(ctx, &links, ids)
}

// Images locks and returns the images with these ids, with their thumbnails.
func (t MoveTx) Images(ctx context.Context, ids []int64) (images []*Image, err error) {
	if err := t.selectLockedIDs(ctx, &images, ids); err != nil || len(images) == 0 {
		return nil, err
	}
	return images, readThumbnails(ctx, t.tx, images...)
}

// ImagesOfThumbnails returns the ids of the images that the thumbnails with these
// ids belong to.
func (t MoveTx) ImagesOfThumbnails(ctx context.Context, ids []int64) (map[int64]int64, error) {
	var thumbnails []Thumbnail
	owners := map[int64]int64{}
	if len(ids) == 0 {
		return owners, nil
	}
	err := t.tx.NewSelect().Model(&thumbnails).Column("id", "image_id").Where("id IN (?)", bun.List(ids)).Scan(ctx)
	for _, thumbnail := range thumbnails {
		owners[thumbnail.ID] = thumbnail.ImageID
	}
	return owners, err
}

// insertAll inserts rows, if there are any.
func insertAll[T any](ctx context.Context, tx bun.Tx, rows []T, options func(*bun.InsertQuery)) error {
	if len(rows) == 0 {
		return nil
	}
	query := tx.NewInsert().Model(&rows)
	if options != nil {
		options(query)
	}
	_, err := query.Exec(ctx)
	return err
}

// put inserts new rows, and sets columns of those that exist.
func put[T any](ctx context.Context, tx bun.Tx, created, changed []T, columns ...string) error {
	if err := insertAll(ctx, tx, created, nil); err != nil {
		return err
	}
	return insertAll(ctx, tx, changed, func(q *bun.InsertQuery) {
		q.On("CONFLICT (id) DO UPDATE")
		for _, column := range columns {
			q.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
	})
}

// PutUsers stores users with their permission codes.
func (t MoveTx) PutUsers(ctx context.Context, created, changed []*User) error {
	if err := put(ctx, t.tx, created, changed, "username", "is_active", "is_staff", "is_admin", "created_at"); err != nil {
		return err
	}
	var codes []UserPermission
	for _, user := range slices.Concat(created, changed) {
		for _, code := range user.Codes {
			codes = append(codes, UserPermission{UserID: user.ID, Code: code})
		}
	}
	if len(changed) > 0 {
		ids := make([]int64, len(changed))
		for i, user := range changed {
			ids[i] = user.ID
		}
		if _, err := t.tx.NewDelete().Model((*UserPermission)(nil)).Where("user_id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
			return err
		}
	}
	return insertAll(ctx, t.tx, codes, nil)
}

// CreateTokens stores new tokens.
func (t MoveTx) CreateTokens(ctx context.Context, tokens []*Token) error {
	if len(tokens) == 0 {
		return nil
	}
	ids := make([]*int64, len(tokens))
	for i, token := range tokens {
		token.ID, ids[i] = 0, &token.ID
	}
	return t.db.insert(ctx, t.tx, "tokens", &tokens, ids...)
}

// PutPortfolios stores portfolios.
func (t MoveTx) PutPortfolios(ctx context.Context, created, changed []*Portfolio) error {
	return put(ctx, t.tx, created, changed, "name", "created_at", "updated_at")
}

// PutImages stores images with their thumbnails. What is known only of images that
// were uploaded here is unknown afterwards if the file is another.
func (t MoveTx) PutImages(ctx context.Context, created, changed []*Image) error {
	if err := insertAll(ctx, t.tx, created, nil); err != nil {
		return err
	}
	err := insertAll(ctx, t.tx, changed, func(q *bun.InsertQuery) {
		q.On("CONFLICT (id) DO UPDATE")
		for _, column := range []string{"mime_type", "placeholder", "source_hash"} {
			q.Set("? = CASE WHEN image.path = EXCLUDED.path THEN image.? END", bun.Ident(column), bun.Ident(column))
		}
		for _, column := range []string{"type", "name", "path", "size", "width", "height", "mode", "created_at"} {
			q.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
	})
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		ids := make([]int64, len(changed))
		for i, image := range changed {
			ids[i] = image.ID
		}
		if _, err := t.tx.NewDelete().Model((*Thumbnail)(nil)).Where("image_id IN (?)", bun.List(ids)).Exec(ctx); err != nil {
			return err
		}
	}
	var thumbnails []*Thumbnail
	for _, image := range slices.Concat(created, changed) {
		thumbnails = append(thumbnails, image.Thumbnails...)
	}
	return insertAll(ctx, t.tx, thumbnails, nil)
}

// PutLinks stores links. One that moves to another portfolio is at its id there.
func (t MoveTx) PutLinks(ctx context.Context, created, changed []*PortfolioLink) error {
	if err := insertAll(ctx, t.tx, created, nil); err != nil {
		return err
	}
	return insertAll(ctx, t.tx, changed, func(q *bun.InsertQuery) {
		q.On("CONFLICT (id) DO UPDATE").
			Set("position = CASE WHEN link.portfolio_id = EXCLUDED.portfolio_id THEN link.position END")
		for _, column := range []string{"portfolio_id", "image_id", "name", "url", "description", "created_at", "updated_at"} {
			q.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
	})
}

// Existing returns those of the ids that portfolios, images or users have, and prevents
// them from being deleted.
func (t MoveTx) Existing(ctx context.Context, kind RowKind, ids []int64) ([]int64, error) {
	models := map[RowKind]any{UserRow: (*User)(nil), PortfolioRow: (*Portfolio)(nil), ImageRow: (*Image)(nil)}
	return t.db.lockAll(ctx, t.tx, models[kind], ids, "KEY SHARE")
}

// Delete deletes a row unless other rows need it: the tokens of a user, the links of
// a portfolio, or the links that use an image. It reports whether it did.
func (t MoveTx) Delete(ctx context.Context, kind RowKind, id int64) (bool, error) {
	query := t.tx.NewDelete().Where("id = ?", id)
	unless := func(table, column string) {
		query.Where("NOT EXISTS (?)", t.tx.NewSelect().Table(table).ColumnExpr("1").Where("? = ?", bun.Ident(column), id))
	}
	switch kind {
	case UserRow:
		query.Model((*User)(nil))
		unless("tokens", "user_id")
	case TokenRow:
		query.Model((*Token)(nil))
	case PortfolioRow:
		query.Model((*Portfolio)(nil))
		unless("portfolio_links", "portfolio_id")
	case ImageRow:
		query.Model((*Image)(nil))
		unless("portfolio_links", "image_id")
	case LinkRow:
		query.Model((*PortfolioLink)(nil))
	default:
		return false, fmt.Errorf("no kind of rows: %s", kind)
	}
	result, err := query.Exec(ctx)
	if err != nil {
		return false, err
	}
	deleted, err := result.RowsAffected()
	return deleted > 0, err
}
