package db

import (
	"context"
	"iter"

	"github.com/uptrace/bun"
)

// CreateImage stores an image and its thumbnails and sets their ids.
func (db *DB) CreateImage(ctx context.Context, image *Image) error {
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error { return db.insertImage(ctx, tx, image) })
}

func (db *DB) insertImage(ctx context.Context, tx bun.Tx, image *Image) error {
	image.ID, image.CreatedAt = 0, Now() // the transaction may be a second try
	if err := db.insert(ctx, tx, "images", image, &image.ID); err != nil {
		return err
	}
	for _, thumbnail := range image.Thumbnails {
		thumbnail.ID, thumbnail.ImageID = 0, image.ID
		if err := db.insert(ctx, tx, "thumbnails", thumbnail, &thumbnail.ID); err != nil {
			return err
		}
	}
	return nil
}

// insertNewImage stores the image that a link was given and no row has.
func (db *DB) insertNewImage(ctx context.Context, tx bun.Tx, link *PortfolioLink) error {
	if link.ImageData == nil {
		return nil
	}
	if err := db.insertImage(ctx, tx, link.ImageData); err != nil {
		return err
	}
	link.ImageID = &link.ImageData.ID
	return nil
}

// ImageBySource finds an image, without its thumbnails, that was made of a
// file with this SHA-256, or returns ErrNotFound.
func (db *DB) ImageBySource(ctx context.Context, hash [32]byte) (*Image, error) {
	var image Image
	err := db.read.NewSelect().Model(&image).Where("source_hash = ?", hash[:]).Order("id").Limit(1).Scan(ctx)
	return &image, wrap(err)
}

// StoredFile is a row that names a file: a thumbnail where ThumbnailID is
// set, else an image.
type StoredFile struct {
	Path        MediaPath
	ImageID     int64
	ThumbnailID *int64
}

// StoredFiles lists the rows that name a file.
func (db *DB) StoredFiles(ctx context.Context) iter.Seq2[StoredFile, error] {
	return func(yield func(StoredFile, error) bool) {
		thumbnails := db.read.NewSelect().Table("thumbnails").ColumnExpr("path, image_id, id").Where("path <> ''")
		rows, err := db.read.NewSelect().Table("images").ColumnExpr("path, id AS image_id, CAST(NULL AS bigint)").Where("path <> ''").
			UnionAll(thumbnails).Rows(ctx)
		if err != nil {
			yield(StoredFile{}, wrap(err))
			return
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var file StoredFile
			err := rows.Scan(&file.Path, &file.ImageID, &file.ThumbnailID)
			if !yield(file, wrap(err)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(StoredFile{}, wrap(err))
		}
	}
}

// DeleteStoredFile deletes the row that names a file. With an image its
// thumbnails go, and links lose it.
func (db *DB) DeleteStoredFile(ctx context.Context, file StoredFile) error {
	query := db.write.NewDelete().Model((*Image)(nil)).Where("id = ?", file.ImageID)
	if file.ThumbnailID != nil {
		query = db.write.NewDelete().Model((*Thumbnail)(nil)).Where("id = ?", *file.ThumbnailID)
	}
	_, err := query.Exec(ctx)
	return wrap(err)
}
