package db

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

const linkColumns = "link.id, link.portfolio_id, link.image_id, link.name, link.url, link.description, link.created_at, link.updated_at"

// imageColumns are what imageRow reads, NULL or zero where there is no image.
// Thumbnails come packed into one text, "ID SIZE LENGTH PATH" each (SIZE may
// be empty, LENGTH counts the bytes of PATH), so that an image with
// everything is one row of one statement.
const imageColumns = `coalesce(image.type, ''), coalesce(image.name, ''), coalesce(image.path, ''), coalesce(image.size, 0),
	image.width, image.height, image.mode, image.created_at,
	(SELECT string_agg(t.id || ' ' || coalesce(CAST(t.size AS text), '') || ' ' || octet_length(t.path) || ' ' || t.path, '' ORDER BY t.id)
		FROM thumbnails AS t WHERE t.image_id = image.id)`

// links selects from a table or query named link what scanLink reads.
func (db *DB) links(from string, args ...any) *bun.SelectQuery {
	return db.bareLinks(from, args...).
		Join("LEFT JOIN images AS image ON image.id = link.image_id").
		ColumnExpr(imageColumns)
}

func (db *DB) bareLinks(from string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(from, args...).ColumnExpr(linkColumns)
}

func scanLink(row row) (*PortfolioLink, error) {
	var (
		link  PortfolioLink
		image imageRow
	)
	err := row.Scan(append(link.dest(), image.dest()...)...)
	if err == nil && link.ImageID != nil {
		link.ImageData, err = image.read(*link.ImageID)
	}
	return &link, err
}

func scanBareLink(row row) (*PortfolioLink, error) {
	link := new(PortfolioLink)
	return link, row.Scan(link.dest()...)
}

func (l *PortfolioLink) dest() []any {
	return []any{&l.ID, &l.PortfolioID, &l.ImageID, &l.Name, &l.URL, &l.Description, &l.CreatedAt, &l.UpdatedAt}
}

// imageRow is an image as imageColumns has it.
type imageRow struct {
	image   Image
	created *Time
	packed  *string
}

func (r *imageRow) dest() []any {
	return []any{&r.image.Type, &r.image.Name, &r.image.Path, &r.image.Size,
		&r.image.Width, &r.image.Height, &r.image.Mode, &r.created, &r.packed}
}

func (r *imageRow) read(id int64) (*Image, error) {
	r.image.ID, r.image.CreatedAt = id, *r.created
	var err error
	r.image.Thumbnails, err = unpackThumbnails(id, r.packed)
	return &r.image, err
}

// PortfolioLink finds a link with its image and thumbnails, or ErrNotFound.
// It runs one statement. With a portfolioID, a link of another portfolio is
// not found either.
func (db *DB) PortfolioLink(ctx context.Context, portfolioID *int64, id int64) (*PortfolioLink, error) {
	link, err := queryOne(ctx, db, &db.linkByID, scanLink, id)
	if err == nil && portfolioID != nil && *portfolioID != link.PortfolioID {
		return nil, ErrNotFound
	}
	return link, err
}

func (db *DB) images() *bun.SelectQuery {
	return db.read.NewSelect().TableExpr("images AS image").ColumnExpr("image.id").ColumnExpr(imageColumns)
}

// Image finds an image with its thumbnails, or ErrNotFound. It runs one
// statement.
func (db *DB) Image(ctx context.Context, id int64) (*Image, error) {
	return queryOne(ctx, db, &db.imageByID, func(row row) (*Image, error) {
		var image imageRow
		if err := row.Scan(append([]any{&id}, image.dest()...)...); err != nil {
			return nil, err
		}
		return image.read(id)
	}, id)
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
