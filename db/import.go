package db

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"
)

// RowKind is a kind of rows that are imported from the legacy system.
type RowKind string

// The kinds of rows. An image is imported with its thumbnails, a user with its
// permission codes.
const (
	UserRow      RowKind = "user"
	TokenRow     RowKind = "token"
	PortfolioRow RowKind = "portfolio"
	ImageRow     RowKind = "image"
	LinkRow      RowKind = "link"
)

// importedModels names the model of each kind, and the column of another table that
// refers to it.
var importedModels = map[RowKind]struct {
	model         any
	table, column string
}{
	UserRow:      {(*User)(nil), "tokens", "user_id"},
	TokenRow:     {(*Token)(nil), "", ""},
	PortfolioRow: {(*Portfolio)(nil), "portfolio_links", "portfolio_id"},
	ImageRow:     {(*Image)(nil), "portfolio_links", "image_id"},
	LinkRow:      {(*PortfolioLink)(nil), "", ""},
}

// ImportedRow records that a row of the legacy system was imported.
type ImportedRow struct {
	bun.BaseModel `bun:"moved_rows,alias:imported"`

	Kind RowKind `bun:",pk"`
	Key  string  `bun:",pk"` // the ID, or the hash of a token
	Hash []byte  // of the imported values
}

// ImportTx is a transaction that imports rows of the legacy system. Each method runs one
// statement for each table, so callers bound the number of rows.
type ImportTx struct {
	db *DB
	tx bun.Tx
}

// Import runs do in a transaction. If transactions conflict, it runs do again.
func (db *DB) Import(ctx context.Context, do func(context.Context, ImportTx) error) error {
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error { return do(ctx, ImportTx{db, tx}) })
}

// ImportedKeys returns up to limit keys of imported rows after the cursor, in ascending order.
func (db *DB) ImportedKeys(ctx context.Context, kind RowKind, cursor string, limit int64) ([]string, error) {
	var keys []string
	err := db.read.NewSelect().Model((*ImportedRow)(nil)).Column("key").
		Where("kind = ? AND ? > ?", kind, bun.Ident("key"), cursor).Order("key").Limit(limit).Scan(ctx, &keys)
	return keys, wrap(err)
}

// ImportedHashes returns the hashes of the imported rows with these keys, by key.
func (db *DB) ImportedHashes(ctx context.Context, kind RowKind, keys []string) (map[string][]byte, error) {
	hashes, err := importedHashes(ctx, db.read, kind, keys)
	return hashes, wrap(err)
}

// ImportedHashes returns the hashes of the imported rows with these keys, by key.
func (t ImportTx) ImportedHashes(ctx context.Context, kind RowKind, keys []string) (map[string][]byte, error) {
	return importedHashes(ctx, t.tx, kind, keys)
}

func importedHashes(ctx context.Context, database bun.IDB, kind RowKind, keys []string) (map[string][]byte, error) {
	hashes := map[string][]byte{}
	if len(keys) == 0 {
		return hashes, nil
	}
	var rows []ImportedRow
	err := database.NewSelect().Model(&rows).Where("kind = ? AND ? IN (?)", kind, bun.Ident("key"), bun.List(keys)).Scan(ctx)
	for _, row := range rows {
		hashes[row.Key] = row.Hash
	}
	return hashes, err
}

// RecordImported records rows as imported.
func (t ImportTx) RecordImported(ctx context.Context, rows []ImportedRow) error {
	return insertAll(ctx, t.tx, rows, func(q *bun.InsertQuery) {
		q.On("CONFLICT (kind, ?) DO UPDATE", bun.Ident("key")).Set("hash = EXCLUDED.hash")
	})
}

// ForgetImported removes the record of an imported row.
func (t ImportTx) ForgetImported(ctx context.Context, kind RowKind, key string) error {
	_, err := t.tx.NewDelete().Model((*ImportedRow)(nil)).Where("kind = ? AND ? = ?", kind, bun.Ident("key"), key).Exec(ctx)
	return err
}

// selectAll selects and locks the rows whose column has one of the values.
func selectAll[Row, Value any](ctx context.Context, t ImportTx, column string, values []Value) (rows []*Row, err error) {
	if len(values) == 0 {
		return nil, nil
	}
	query := t.tx.NewSelect().Model(&rows).Where("? IN (?)", bun.Ident(column), bun.List(values)).Order("id")
	return rows, t.db.selectLocked(ctx, query, "UPDATE")
}

// Users locks and returns the users with these IDs, with their permission codes.
func (t ImportTx) Users(ctx context.Context, ids []int64) ([]*User, error) {
	users, err := selectAll[User](ctx, t, "id", ids)
	if err != nil || len(users) == 0 {
		return nil, err
	}
	var permissions []UserPermission
	err = t.tx.NewSelect().Model(&permissions).Where("user_id IN (?)", bun.List(nodeIDs(users))).Order("user_id", "code").Scan(ctx)
	byID := map[int64]*User{}
	for _, user := range users {
		byID[user.ID] = user
	}
	for _, permission := range permissions {
		user := byID[permission.UserID]
		user.Codes = append(user.Codes, permission.Code)
	}
	return users, err
}

// UserIDs returns the IDs of the users with these names, by name.
func (t ImportTx) UserIDs(ctx context.Context, names []string) (map[string]int64, error) {
	var users []User
	ids := map[string]int64{}
	if len(names) == 0 {
		return ids, nil
	}
	err := t.tx.NewSelect().Model(&users).Column("id", "username").Where("username IN (?)", bun.List(names)).Scan(ctx)
	for _, user := range users {
		ids[user.Username] = user.ID
	}
	return ids, err
}

// Tokens locks and returns the tokens with these hashes.
func (t ImportTx) Tokens(ctx context.Context, hashes [][]byte) ([]*Token, error) {
	return selectAll[Token](ctx, t, "key_hash", hashes)
}

// Portfolios locks and returns the portfolios with these IDs.
func (t ImportTx) Portfolios(ctx context.Context, ids []int64) ([]*Portfolio, error) {
	return selectAll[Portfolio](ctx, t, "id", ids)
}

// Images locks and returns the images with these IDs, with their thumbnails.
func (t ImportTx) Images(ctx context.Context, ids []int64) ([]*Image, error) {
	images, err := selectAll[Image](ctx, t, "id", ids)
	if err != nil || len(images) == 0 {
		return nil, err
	}
	return images, readThumbnails(ctx, t.tx, images...)
}

// ThumbnailOwners returns the IDs of the images of thumbnails, by thumbnail.
func (t ImportTx) ThumbnailOwners(ctx context.Context, ids []int64) (map[int64]int64, error) {
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

// Links locks and returns the links with these IDs, without their images.
func (t ImportTx) Links(ctx context.Context, ids []int64) ([]*PortfolioLink, error) {
	return selectAll[PortfolioLink](ctx, t, "id", ids)
}

// nodeIDs returns the IDs of rows.
func nodeIDs[N Node](rows []N) []int64 {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.NodeID().ID
	}
	return ids
}

// insertAll inserts rows, if there are any.
func insertAll[Row any](ctx context.Context, tx bun.Tx, rows []Row, options func(*bun.InsertQuery)) error {
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

// put inserts new rows, and sets columns of existing rows.
func put[Row any](ctx context.Context, tx bun.Tx, created, changed []Row, columns []string, expressions ...string) error {
	if err := insertAll(ctx, tx, created, nil); err != nil {
		return err
	}
	return insertAll(ctx, tx, changed, func(q *bun.InsertQuery) {
		q.On("CONFLICT (id) DO UPDATE")
		for _, column := range columns {
			q.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
		}
		for _, expression := range expressions {
			q.Set(expression)
		}
	})
}

// replace deletes the rows that refer to changed parents, and inserts rows.
func replace[Row any, Parent Node](ctx context.Context, tx bun.Tx, column string, changed []Parent, rows []*Row) error {
	if len(changed) > 0 {
		if _, err := tx.NewDelete().Model((*Row)(nil)).Where("? IN (?)", bun.Ident(column), bun.List(nodeIDs(changed))).Exec(ctx); err != nil {
			return err
		}
	}
	return insertAll(ctx, tx, rows, nil)
}

// PutUsers stores users with their permission codes.
func (t ImportTx) PutUsers(ctx context.Context, created, changed []*User) error {
	columns := []string{"username", "is_active", "is_staff", "is_admin", "created_at"}
	if err := put(ctx, t.tx, created, changed, columns); err != nil {
		return err
	}
	var permissions []*UserPermission
	for _, user := range slices.Concat(created, changed) {
		for _, code := range user.Codes {
			permissions = append(permissions, &UserPermission{UserID: user.ID, Code: code})
		}
	}
	return replace(ctx, t.tx, "user_id", changed, permissions)
}

// CreateTokens stores new tokens with new IDs.
func (t ImportTx) CreateTokens(ctx context.Context, tokens []*Token) error {
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
func (t ImportTx) PutPortfolios(ctx context.Context, created, changed []*Portfolio) error {
	return put(ctx, t.tx, created, changed, []string{"name", "created_at", "updated_at"})
}

// PutImages stores images with their thumbnails. If the path of an image changes, it
// clears the columns that describe the uploaded file.
func (t ImportTx) PutImages(ctx context.Context, created, changed []*Image) error {
	columns := []string{"type", "name", "path", "size", "width", "height", "mode", "created_at"}
	err := put(ctx, t.tx, created, changed, columns,
		"mime_type = CASE WHEN image.path = EXCLUDED.path THEN image.mime_type END",
		"placeholder = CASE WHEN image.path = EXCLUDED.path THEN image.placeholder END",
		"source_hash = CASE WHEN image.path = EXCLUDED.path THEN image.source_hash END")
	if err != nil {
		return err
	}
	var thumbnails []*Thumbnail
	for _, image := range slices.Concat(created, changed) {
		thumbnails = append(thumbnails, image.Thumbnails...)
	}
	return replace(ctx, t.tx, "image_id", changed, thumbnails)
}

// PutLinks stores links. If the portfolio of a link changes, its position is its ID.
func (t ImportTx) PutLinks(ctx context.Context, created, changed []*PortfolioLink) error {
	columns := []string{"portfolio_id", "image_id", "name", "url", "description", "created_at", "updated_at"}
	return put(ctx, t.tx, created, changed, columns,
		"position = CASE WHEN link.portfolio_id = EXCLUDED.portfolio_id THEN link.position END")
}

// Existing returns the IDs, among ids, of existing rows of a kind. It locks these rows, so that
// no concurrent transaction deletes them.
func (t ImportTx) Existing(ctx context.Context, kind RowKind, ids []int64) ([]int64, error) {
	return t.db.lockAll(ctx, t.tx, importedModels[kind].model, ids, "KEY SHARE")
}

// Delete deletes a row unless other rows refer to it. It reports whether it did.
func (t ImportTx) Delete(ctx context.Context, kind RowKind, id int64) (bool, error) {
	imported, exists := importedModels[kind]
	if !exists {
		return false, fmt.Errorf("no kind of rows: %s", kind)
	}
	query := t.tx.NewDelete().Model(imported.model).Where("id = ?", id)
	if imported.table != "" {
		query.Where("NOT EXISTS (?)", t.tx.NewSelect().Table(imported.table).ColumnExpr("1").Where("? = ?", bun.Ident(imported.column), id))
	}
	result, err := query.Exec(ctx)
	if err != nil {
		return false, err
	}
	deleted, err := result.RowsAffected()
	return deleted > 0, err
}
