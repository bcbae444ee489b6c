package db

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// links selects what scanLink reads. Thumbnails come packed into one text,
// "ID SIZE LENGTH PATH" each (SIZE may be empty, LENGTH counts the bytes of
// PATH), so that a link with everything is one row of one statement.
func (db *DB) links() *bun.SelectQuery {
	return db.read.NewSelect().
		TableExpr("portfolio_links AS link").
		Join("LEFT JOIN images AS image ON image.id = link.image_id").
		ColumnExpr("link.id, link.portfolio_id, link.image_id, link.name, link.url, link.description, link.created_at, link.updated_at").
		ColumnExpr("coalesce(image.type, ''), coalesce(image.name, ''), coalesce(image.path, ''), coalesce(image.size, 0)").
		ColumnExpr("image.width, image.height, image.mode, image.created_at").
		ColumnExpr(`(SELECT string_agg(t.id || ' ' || coalesce(CAST(t.size AS text), '') || ' ' || octet_length(t.path) || ' ' || t.path, '' ORDER BY t.id)
			FROM thumbnails AS t WHERE t.image_id = image.id)`)
}

// PortfolioLink finds a link with its image and thumbnails, or ErrNotFound.
// It runs one statement. With a portfolioID, a link of another portfolio is
// not found either.
func (db *DB) PortfolioLink(ctx context.Context, portfolioID *int64, id int64) (*PortfolioLink, error) {
	var (
		link   PortfolioLink
		image  Image
		stored *Time
		packed *string
	)
	err := db.queryRow(ctx, &db.linkByID, id,
		&link.ID, &link.PortfolioID, &link.ImageID, &link.Name, &link.URL, &link.Description, &link.CreatedAt, &link.UpdatedAt,
		&image.Type, &image.Name, &image.Path, &image.Size,
		&image.Width, &image.Height, &image.Mode, &stored, &packed)
	if err != nil {
		return nil, err
	}
	if portfolioID != nil && *portfolioID != link.PortfolioID {
		return nil, ErrNotFound
	}
	if link.ImageID != nil {
		image.ID, image.CreatedAt = *link.ImageID, *stored
		if image.Thumbnails, err = unpackThumbnails(image.ID, packed); err != nil {
			return nil, err
		}
		link.ImageData = &image
	}
	return &link, nil
}

var errPacked = errors.New("thumbnails: not as packed by links")

func unpackThumbnails(imageID int64, packed *string) ([]*Thumbnail, error) {
	if packed == nil {
		return []*Thumbnail{}, nil
	}
	thumbnails := make([]*Thumbnail, 0, 4)
	for rest := *packed; rest != ""; {
		var id, size, length string
		id, rest, _ = strings.Cut(rest, " ")
		size, rest, _ = strings.Cut(rest, " ")
		length, rest, _ = strings.Cut(rest, " ")
		thumbnail := Thumbnail{ImageID: imageID}
		var err error
		if thumbnail.ID, err = strconv.ParseInt(id, 10, 64); err != nil {
			return nil, errPacked
		}
		if size != "" {
			pixels, err := strconv.Atoi(size)
			if err != nil {
				return nil, errPacked
			}
			thumbnail.Size = &pixels
		}
		bytes, err := strconv.Atoi(length)
		if err != nil || bytes < 0 || bytes > len(rest) {
			return nil, errPacked
		}
		thumbnail.Path, rest = MediaPath(rest[:bytes]), rest[bytes:]
		thumbnails = append(thumbnails, &thumbnail)
	}
	return thumbnails, nil
}
