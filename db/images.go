package db

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

// imageColumns selects the columns that imageRow scans, NULL or zero if there is no image.
// Thumbnails are encoded as one text, so that an image is one row of one
// statement. The text has "ID SIZE WIDTH HEIGHT BYTES LENGTH PATH" for each
// thumbnail. SIZE may be empty. WIDTH, HEIGHT and BYTES may all be empty. LENGTH
// is the number of bytes of PATH. Numbers are cast because SQLite may store other values.
const imageColumns = `coalesce(image.type, ''), coalesce(image.name, ''), coalesce(image.path, ''), coalesce(image.size, 0),
	image.width, image.height, image.mode, image.mime_type, image.placeholder, image.alt, image.created_at,
	(SELECT string_agg(t.id || ' ' || coalesce(CAST(CAST(t.size AS integer) AS text), '') || ' ' ||
			coalesce(CAST(t.width AS integer) || ' ' || CAST(t.height AS integer) || ' ' || CAST(t.file_size AS bigint), '  ') || ' ' || octet_length(t.path) || ' ' || t.path, '' ORDER BY t.id)
		FROM thumbnails AS t WHERE t.image_id = image.id)`

func (db *DB) imageList() listSpec[*Image] {
	return listSpec[*Image]{
		table: "images", alias: "image", searched: []string{"name", "alt"},
		query: db.selectImages, scan: scanImage,
		parentOf: func(*Image) int64 { return noParent },
	}
}

func (db *DB) thumbnailList() listSpec[*Thumbnail] {
	return listSpec[*Thumbnail]{table: "thumbnails", alias: "thumbnail", query: db.selectThumbnails, scan: scanThumbnail}
}

func (db *DB) selectThumbnails(table string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(table, args...).
		ColumnExpr("thumbnail.id, thumbnail.image_id, thumbnail.path, thumbnail.size, thumbnail.width, thumbnail.height, thumbnail.file_size")
}

func scanThumbnail(row row) (*Thumbnail, error) {
	var t Thumbnail
	return &t, row.Scan(&t.ID, &t.ImageID, &t.Path, &t.Size, &t.Width, &t.Height, &t.FileSize)
}

// selectImages selects the columns that scanImage scans. The alias of table is image.
func (db *DB) selectImages(table string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(table, args...).ColumnExpr("image.id").ColumnExpr(imageColumns)
}

func scanImage(row row) (*Image, error) {
	var (
		id    int64
		image imageRow
	)
	if err := row.Scan(append([]any{&id}, image.scanArgs()...)...); err != nil {
		return nil, err
	}
	return image.read(id)
}

// imageRow scans imageColumns.
type imageRow struct {
	image      Image
	created    *Time
	thumbnails *string // encoded
}

func (r *imageRow) scanArgs() []any {
	return []any{&r.image.Type, &r.image.Name, &r.image.Path, &r.image.Size,
		&r.image.Width, &r.image.Height, &r.image.Mode, &r.image.MimeType, &r.image.Placeholder, &r.image.Alt, &r.created, &r.thumbnails}
}

// exists reports whether there is an image.
func (r *imageRow) exists() bool { return r.created != nil }

func (r *imageRow) read(id int64) (*Image, error) {
	r.image.ID, r.image.CreatedAt = id, *r.created
	var err error
	r.image.Thumbnails, err = parseThumbnails(id, r.thumbnails)
	return &r.image, err
}

// Image returns an image with its thumbnails, or ErrNotFound. It runs one
// statement.
func (db *DB) Image(ctx context.Context, id int64) (*Image, error) {
	ctx, readSet := untracked(ctx)
	readSet.add(ImageNode, id)
	return queryOne(ctx, db, &db.imageByID, scanImage, id)
}

// Images reads a page of all images.
func (db *DB) Images(ctx context.Context, list List) (*Page[*Image], error) {
	pages, err := readPages(ctx, db, db.imageList(), list, noParent)
	if err != nil {
		return nil, err
	}
	page := pages[noParent]
	shareImagePage(page.Rows)
	return page, nil
}

// imagePage holds images that were read together, and the links that use them.
type imagePage struct {
	rows  []*Image
	links pageCache[*Page[*PortfolioLink]]
}

// shareImagePage records that images were read together.
func shareImagePage(images []*Image) {
	page := &imagePage{rows: images}
	for _, image := range images {
		image.page = page
	}
}

// LinksOfImage reads a page of the links that use an image. One statement reads the
// same page for all images of the image's page.
func (db *DB) LinksOfImage(ctx context.Context, image *Image, list List) (*Page[*PortfolioLink], error) {
	page := image.page
	if page == nil {
		page = &imagePage{rows: []*Image{image}}
	}
	pages, err := page.links.load(list, func() (map[int64]*Page[*PortfolioLink], error) {
		return db.linksOfImages(ctx, page.rows, list)
	})
	return pages[image.ID], err
}

func (db *DB) linksOfImages(ctx context.Context, images []*Image, list List) (map[int64]*Page[*PortfolioLink], error) {
	ids := make([]int64, len(images))
	for i, image := range images {
		ids[i] = image.ID
	}
	slices.Sort(ids) // links may share an image
	pages, err := readPages(ctx, db, db.imageLinkList(list.WithImages), list, slices.Compact(ids)...)
	shareLinkPages(pages)
	return pages, err
}

func (db *DB) imageLinkList(withImages bool) listSpec[*PortfolioLink] {
	spec := db.linkList(withImages)
	spec.parentColumn, spec.parent, spec.parentOf = "image_id", "", func(link *PortfolioLink) int64 { return *link.ImageID }
	return spec
}

var errThumbnails = errors.New("thumbnails: not encoded as in imageColumns")

// parseThumbnails parses the text of imageColumns. The error is errThumbnails.
func parseThumbnails(imageID int64, encoded *string) ([]*Thumbnail, error) {
	if encoded == nil {
		return []*Thumbnail{}, nil
	}
	thumbnails := make([]*Thumbnail, 0, 4)
	for rest := *encoded; rest != ""; {
		var words [6]string
		for i := range words {
			words[i], rest, _ = strings.Cut(rest, " ")
		}
		id, idErr := strconv.ParseInt(words[0], 10, 64)
		size, sizeErr := parseOptional[int](words[1])
		width, widthErr := parseOptional[int](words[2])
		height, heightErr := parseOptional[int](words[3])
		fileSize, fileSizeErr := parseOptional[int64](words[4])
		length, lengthErr := strconv.Atoi(words[5])
		if cmp.Or(idErr, sizeErr, widthErr, heightErr, fileSizeErr, lengthErr) != nil || length < 0 || length > len(rest) {
			return nil, errThumbnails
		}
		thumbnails = append(thumbnails, &Thumbnail{
			ID: id, ImageID: imageID, Path: FileKey(rest[:length]), Size: size, Width: width, Height: height, FileSize: fileSize,
		})
		rest = rest[length:]
	}
	return thumbnails, nil
}

func parseOptional[T int | int64](word string) (*T, error) {
	if word == "" {
		return nil, nil
	}
	number, err := strconv.ParseInt(word, 10, 64)
	return new(T(number)), err
}

// ImageBySource returns the image whose uploaded file has the SHA-256 hash, or
// ErrNotFound. It does not read the thumbnails.
func (db *DB) ImageBySource(ctx context.Context, hash [32]byte) (*Image, error) {
	var image Image
	err := db.read.NewSelect().Model(&image).Where("source_hash = ?", hash[:]).Order("id").Limit(1).Scan(ctx)
	return &image, wrap(err)
}

// CreateImage stores an image and its thumbnails and sets their IDs.
func (db *DB) CreateImage(ctx context.Context, image *Image) error {
	return db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error { return db.insertImage(ctx, tx, image) })
}

// insertImage stores an image and its thumbnails, and sets their IDs.
func (db *DB) insertImage(ctx context.Context, tx bun.Tx, image *Image) error {
	image.ID, image.CreatedAt = 0, Now() // an earlier try of the transaction may have set the ID
	if err := db.insert(ctx, tx, "images", image, &image.ID); err != nil {
		return err
	}
	if len(image.Thumbnails) == 0 {
		return nil
	}
	ids := make([]*int64, len(image.Thumbnails))
	for i, thumbnail := range image.Thumbnails {
		thumbnail.ID, thumbnail.ImageID = 0, image.ID
		ids[i] = &thumbnail.ID
	}
	return db.insert(ctx, tx, "thumbnails", &image.Thumbnails, ids...)
}

// ImageUpdate holds changes of an image. A nil field is not changed; a pointer
// to nil sets null.
type ImageUpdate struct {
	Alt **string
}

// UpdateImage changes an image and returns it, or ErrNotFound.
func (db *DB) UpdateImage(ctx context.Context, id int64, update ImageUpdate) (*Image, error) {
	var image *Image
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		image = new(Image)
		if err := db.lock(ctx, tx, image, id, "NO KEY UPDATE"); err != nil {
			return err
		}
		assign(&image.Alt, update.Alt)
		if _, err := tx.NewUpdate().Model(image).Column("alt").WherePK().Exec(ctx); err != nil {
			return err
		}
		return readThumbnails(ctx, tx, image)
	})
	return image, err
}

// DeleteImage deletes an image with its thumbnails. It returns the image, and its files to which
// no other row refers. If links use the image, the error is an
// *ImageInUseError, unless force is set: then the links lose the image.
func (db *DB) DeleteImage(ctx context.Context, id int64, force bool) (*Image, []FileKey, error) {
	var (
		image *Image
		files []FileKey
	)
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		image = new(Image)
		// A change of a link locks its image too. So either this transaction sees the link,
		// or the change of the link does not find the image.
		if err := db.lock(ctx, tx, image, id, "UPDATE"); err != nil {
			return err
		}
		if err := db.removeFromLinks(ctx, tx, id, force); err != nil {
			return err
		}
		if err := readThumbnails(ctx, tx, image); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(image).WherePK().Exec(ctx); err != nil {
			return err
		}
		var err error
		files, err = unusedFiles(ctx, tx, image)
		return err
	})
	return image, files, err
}

// removeFromLinks removes an image from its links if force is set. Otherwise, the error is an
// *ImageInUseError if there are links.
func (db *DB) removeFromLinks(ctx context.Context, tx bun.Tx, imageID int64, force bool) error {
	links := tx.NewSelect().Table("portfolio_links").Column("updated_at").Where("image_id = ?", imageID)
	if force && db.Postgres() {
		links = links.For("UPDATE")
	}
	var (
		count  int64
		latest *Time
	)
	if err := tx.NewSelect().TableExpr("(?) AS link", links).ColumnExpr("count(*), max(updated_at)").Scan(ctx, &count, &latest); err != nil || count == 0 {
		return err
	}
	if !force {
		return &ImageInUseError{count}
	}
	_, err := tx.NewUpdate().Model((*PortfolioLink)(nil)).Set("image_id = NULL").Set("updated_at = ?", nextUpdatedAt(*latest)).
		Where("image_id = ?", imageID).Exec(ctx)
	return err
}

// unusedFiles returns the files of a deleted image to which no row refers. Rows
// that other programs loaded may share files, and their paths may begin with
// slashes. If two transactions delete images that share a file, garbage collection
// removes the file.
func unusedFiles(ctx context.Context, tx bun.Tx, image *Image) ([]FileKey, error) {
	var files []FileKey
	add := func(path FileKey) {
		if file := FileKey(strings.TrimLeft(string(path), "/")); file != "" && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	add(image.Path)
	for _, thumbnail := range image.Thumbnails {
		add(thumbnail.Path)
	}
	if files == nil {
		return nil, nil
	}
	var used []FileKey
	err := selectUsed(tx, files).Scan(ctx, &used)
	return slices.DeleteFunc(files, func(file FileKey) bool { return slices.Contains(used, file) }), err
}

// selectUsed selects the files, among the given files, to which rows refer.
func selectUsed(tx bun.IDB, files []FileKey) *bun.SelectQuery {
	const file = "ltrim(path, '/')" // as the indexes hold it
	thumbnails := tx.NewSelect().Table("thumbnails").ColumnExpr(file).Where(file+" IN (?)", bun.List(files))
	return tx.NewSelect().Table("images").ColumnExpr(file).Where(file+" IN (?)", bun.List(files)).UnionAll(thumbnails)
}

func readThumbnails(ctx context.Context, tx bun.Tx, images ...*Image) error {
	byID := map[int64]*Image{}
	for _, image := range images {
		byID[image.ID] = image
	}
	var thumbnails []*Thumbnail
	err := tx.NewSelect().Model(&thumbnails).Where("image_id IN (?)", bun.List(slices.Collect(maps.Keys(byID)))).Order("id").Scan(ctx)
	for _, thumbnail := range thumbnails {
		image := byID[thumbnail.ImageID]
		image.Thumbnails = append(image.Thumbnails, thumbnail)
	}
	return err
}

// insertImageOf stores the ImageData of a link, if it is set, as a new image.
func (db *DB) insertImageOf(ctx context.Context, tx bun.Tx, link *PortfolioLink) error {
	if link.ImageData == nil {
		return nil
	}
	if err := db.insertImage(ctx, tx, link.ImageData); err != nil {
		return err
	}
	link.ImageID = &link.ImageData.ID
	return nil
}

// FileRef is a row that refers to a file: a thumbnail if ThumbnailID is set,
// otherwise an image.
type FileRef struct {
	Path        FileKey
	ImageID     int64
	ThumbnailID *int64
}

// FileRefs returns the rows that refer to files.
func (db *DB) FileRefs(ctx context.Context) iter.Seq2[FileRef, error] {
	return func(yield func(FileRef, error) bool) {
		thumbnails := db.read.NewSelect().Table("thumbnails").ColumnExpr("path, image_id, id").Where("path <> ''")
		rows, err := db.read.NewSelect().Table("images").ColumnExpr("path, id AS image_id, CAST(NULL AS bigint)").Where("path <> ''").
			UnionAll(thumbnails).Rows(ctx)
		if err != nil {
			yield(FileRef{}, wrap(err))
			return
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var ref FileRef
			err := rows.Scan(&ref.Path, &ref.ImageID, &ref.ThumbnailID)
			if !yield(ref, wrap(err)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(FileRef{}, wrap(err))
		}
	}
}

// DeleteFileRef deletes the row that refers to a file. Deleting an image
// deletes its thumbnails and removes it from links.
func (db *DB) DeleteFileRef(ctx context.Context, ref FileRef) error {
	query := db.write.NewDelete().Model((*Image)(nil)).Where("id = ?", ref.ImageID)
	if ref.ThumbnailID != nil {
		query = db.write.NewDelete().Model((*Thumbnail)(nil)).Where("id = ?", *ref.ThumbnailID)
	}
	_, err := query.Exec(ctx)
	return wrap(err)
}
