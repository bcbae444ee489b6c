package db

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

const linkColumns = "link.id, link.portfolio_id, link.image_id, link.name, link.url, link.description, link.created_at, link.updated_at"

// imageColumns are what imageRow reads, NULL or zero where there is no image.
// Thumbnails come packed into one text, "ID SIZE WIDTH HEIGHT BYTES LENGTH
// PATH" each (SIZE may be empty, and so may the next three together; LENGTH
// counts the bytes of PATH), so that an image with everything is one row of
// one statement.
const imageColumns = `coalesce(image.type, ''), coalesce(image.name, ''), coalesce(image.path, ''), coalesce(image.size, 0),
	image.width, image.height, image.mode, image.mime_type, image.placeholder, image.created_at,
	(SELECT string_agg(t.id || ' ' || coalesce(CAST(t.size AS text), '') || ' ' ||
			coalesce(t.width || ' ' || t.height || ' ' || t.file_size, '  ') || ' ' || octet_length(t.path) || ' ' || t.path, '' ORDER BY t.id)
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
		&r.image.Width, &r.image.Height, &r.image.Mode, &r.image.MimeType, &r.image.Placeholder, &r.created, &r.packed}
}

func (r *imageRow) read(id int64) (*Image, error) {
	r.image.ID, r.image.CreatedAt = id, *r.created
	var err error
	r.image.Thumbnails, err = unpackThumbnails(id, r.packed)
	return &r.image, err
}

// prepareLinkLookups renders the queries of linkBatches. They are for 1, 2, 4
// and so on up to maxBatch ids, the last of which may be repeated: PostgreSQL
// caches their plans, but plans a query of an array each time.
func (db *DB) prepareLinkLookups() {
	for i := range db.linksByIDs {
		placeholders := make([]string, 1<<i)
		for n := range placeholders {
			placeholders[n] = "$" + strconv.Itoa(n+1)
		}
		db.linksByIDs[i].render(db.links("portfolio_links AS link").Where("link.id IN (" + strings.Join(placeholders, ", ") + ")"))
	}
	db.linkLookups.fetchOne, db.linkLookups.fetchBatch, db.linkLookups.maxWait = db.fetchLink, db.fetchLinks, maxBatchWait
}

// PortfolioLink returns a link with its image and thumbnails, or ErrNotFound.
// It runs one statement, on PostgreSQL shared with concurrent calls. The link
// may be shared too: callers must not modify it. With a portfolioID, a link of
// another portfolio is not found either.
func (db *DB) PortfolioLink(ctx context.Context, portfolioID *int64, id int64) (*PortfolioLink, error) {
	link, err := db.lookUpLink(ctx, id)
	if err == nil && portfolioID != nil && *portfolioID != link.PortfolioID {
		return nil, ErrNotFound
	}
	return link, err
}

func (db *DB) lookUpLink(ctx context.Context, id int64) (*PortfolioLink, error) {
	if !db.Postgres() { // SQLite has no round trips to save
		return db.fetchLink(ctx, id)
	}
	link, batched, err := db.linkLookups.load(ctx, id)
	switch {
	case !batched:
		return link, err
	case err != nil:
		return nil, wrap(err)
	}
	countStatement(ctx)
	if link == nil {
		return nil, ErrNotFound
	}
	return link, nil
}

func (db *DB) fetchLink(ctx context.Context, id int64) (*PortfolioLink, error) {
	return queryOne(ctx, db, &db.linksByIDs[0], scanLink, id)
}

func (db *DB) fetchLinks(ctx context.Context, calls []*call[int64, *PortfolioLink]) error {
	size := bits.Len(uint(len(calls) - 1))
	ids := make([]any, 1<<size)
	for i := range ids {
		ids[i] = calls[min(i, len(calls)-1)].key
	}
	return db.query(ctx, &db.linksByIDs[size], ids, func(row row) error {
		link, err := scanLink(row)
		for _, c := range calls {
			if c.key == link.ID {
				c.value = link
			}
		}
		return err
	})
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
		var words [6]string
		for i := range words {
			words[i], rest, _ = strings.Cut(rest, " ")
		}
		id, idErr := strconv.ParseInt(words[0], 10, 64)
		size, sizeErr := unpackNumber[int](words[1])
		width, widthErr := unpackNumber[int](words[2])
		height, heightErr := unpackNumber[int](words[3])
		fileSize, fileSizeErr := unpackNumber[int64](words[4])
		length, lengthErr := strconv.Atoi(words[5])
		if cmp.Or(idErr, sizeErr, widthErr, heightErr, fileSizeErr, lengthErr) != nil || length < 0 || length > len(rest) {
			return nil, errPacked
		}
		thumbnails = append(thumbnails, &Thumbnail{
			ID: id, ImageID: imageID, Path: MediaPath(rest[:length]), Size: size, Width: width, Height: height, FileSize: fileSize,
		})
		rest = rest[length:]
	}
	return thumbnails, nil
}

func unpackNumber[T int | int64](word string) (*T, error) {
	if word == "" {
		return nil, nil
	}
	number, err := strconv.ParseInt(word, 10, 64)
	return new(T(number)), err
}
