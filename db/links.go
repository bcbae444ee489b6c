package db

import (
	"context"
	"errors"
	"slices"

	"github.com/uptrace/bun"
)

// selectLinks selects the columns that scanLink scans. The alias of table is link.
func (db *DB) selectLinks(table string, args ...any) *bun.SelectQuery {
	return db.selectBareLinks(table, args...).
		Join("LEFT JOIN images AS image ON image.id = link.image_id").
		ColumnExpr(imageColumns)
}

// selectBareLinks selects the columns that scanBareLink scans: links without their images.
func (db *DB) selectBareLinks(table string, args ...any) *bun.SelectQuery {
	return db.read.NewSelect().TableExpr(table, args...).
		ColumnExpr("link.id, link.portfolio_id, link.image_id, link.name, link.url, link.description, link.created_at, link.updated_at, link.position")
}

func scanLink(row row) (*PortfolioLink, error) {
	var (
		link  PortfolioLink
		image imageRow
	)
	err := row.Scan(append(link.scanArgs(), image.scanArgs()...)...)
	if err == nil && link.ImageID != nil && image.exists() {
		link.ImageData, err = image.read(*link.ImageID)
	}
	return &link, err
}

func scanBareLink(row row) (*PortfolioLink, error) {
	link := new(PortfolioLink)
	return link, row.Scan(link.scanArgs()...)
}

func (l *PortfolioLink) scanArgs() []any {
	return []any{&l.ID, &l.PortfolioID, &l.ImageID, &l.Name, &l.URL, &l.Description, &l.CreatedAt, &l.UpdatedAt, &l.StoredPosition}
}

// PortfolioLinks reads a page of the links of a portfolio, or of all links if
// portfolioID is nil.
func (db *DB) PortfolioLinks(ctx context.Context, portfolioID *int64, list List) (*Page[*PortfolioLink], error) {
	spec, parent := db.linkList(list.WithImages), int64(noParent)
	if portfolioID != nil {
		parent = *portfolioID
	} else {
		spec.parentColumn, spec.parent, spec.parentOf = "", "", func(*PortfolioLink) int64 { return noParent }
	}
	pages, err := readPages(ctx, db, spec, list, parent)
	if err != nil {
		return nil, err
	}
	page := pages[parent]
	shareLinkPage(page.Rows)
	return page, nil
}

func (db *DB) linkList(withImages bool) listSpec[*PortfolioLink] {
	spec := listSpec[*PortfolioLink]{
		table: "portfolio_links", alias: "link", searched: []string{"name", "description"},
		query: db.selectBareLinks, scan: scanBareLink,
		parentColumn: "portfolio_id", parent: PortfolioNode,
		parentOf: func(link *PortfolioLink) int64 { return link.PortfolioID },
		record:   (*ReadSet).addLink,
	}
	if withImages {
		spec.query, spec.scan = db.selectLinks, scanLink
	}
	return spec
}

// linkPage holds links that were read together, and the rows that one statement reads
// for all of them.
type linkPage struct {
	rows       []*PortfolioLink
	portfolios pageCache[*Portfolio]
	adjacent   pageCache[*PortfolioLink]
}

// shareLinkPage records that links and their images were read together.
func shareLinkPage(links []*PortfolioLink) {
	page, images := &linkPage{rows: links}, make([]*Image, 0, len(links))
	for _, link := range links {
		link.page = page
		if link.ImageData != nil {
			images = append(images, link.ImageData)
		}
	}
	shareImagePage(images)
}

func shareLinkPages(pages map[int64]*Page[*PortfolioLink]) {
	var links []*PortfolioLink
	for _, page := range pages {
		links = append(links, page.Rows...)
	}
	shareLinkPage(links)
}

// PortfolioOf reads the portfolio of a link. One statement reads the portfolios of all links of
// the link's page. If the portfolio does not exist, PortfolioOf returns a portfolio without a
// name: a database may not check foreign keys.
func (db *DB) PortfolioOf(ctx context.Context, link *PortfolioLink) (*Portfolio, error) {
	if link.portfolio != nil {
		return link.portfolio, nil
	}
	if link.page == nil {
		portfolio, err := db.Portfolio(ctx, link.PortfolioID)
		if errors.Is(err, ErrNotFound) {
			return link.substitutePortfolio(), nil
		}
		return portfolio, err
	}
	portfolios, err := link.page.portfolios.load(nil, func() (map[int64]*Portfolio, error) {
		return db.portfoliosOfPage(ctx, link.page.rows)
	})
	if err == nil && portfolios[link.PortfolioID] == nil {
		return link.substitutePortfolio(), nil
	}
	return portfolios[link.PortfolioID], err
}

// substitutePortfolio returns a substitute for the portfolio of the link, which does not exist.
func (l *PortfolioLink) substitutePortfolio() *Portfolio {
	return &Portfolio{ID: l.PortfolioID, CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt}
}

// portfoliosOfPage returns the portfolios of links, by ID.
func (db *DB) portfoliosOfPage(ctx context.Context, links []*PortfolioLink) (map[int64]*Portfolio, error) {
	ids := make([]int64, len(links))
	for i, link := range links {
		ids[i] = link.PortfolioID
	}
	slices.Sort(ids)
	ctx, readSet := untracked(ctx)
	readSet.add(PortfolioNode, ids...)
	var portfolios []*Portfolio
	byID := map[int64]*Portfolio{}
	err := query(ctx, db, &db.portfoliosByID, []any{db.idTableArg(slices.Compact(ids))}, scanPortfolio, func(portfolio *Portfolio) {
		portfolios, byID[portfolio.ID] = append(portfolios, portfolio), portfolio
	})
	sharePortfolioPage(portfolios)
	return byID, err
}

// CreateLinks stores links, all or none, at the ends of their portfolios in this
// order. It sets their IDs, times and positions, and stores ImageData, if set, as a new
// image. The error may be MissingError.
func (db *DB) CreateLinks(ctx context.Context, links []*PortfolioLink) error {
	now := Now()
	references, ids := make([]References, len(links)), make([]*int64, len(links))
	copies := make([]*PortfolioLink, len(links)) // the transaction may run again
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		for i, link := range links {
			copies[i] = new(*link)
			copies[i].CreatedAt, copies[i].UpdatedAt = now, now
			references[i], ids[i] = link.References(), &copies[i].ID
		}
		if err := db.lockReferences(ctx, tx, "NO KEY UPDATE", references...); err != nil {
			return err
		}
		if err := placeLast(ctx, tx, copies...); err != nil {
			return err
		}
		for _, link := range copies {
			if err := db.insertImageOf(ctx, tx, link); err != nil {
				return err
			}
		}
		if err := db.insert(ctx, tx, "portfolio_links", &copies, ids...); err != nil {
			return err
		}
		return readImages(ctx, tx, copies...)
	})
	if err != nil {
		return err
	}
	for i, link := range copies {
		*links[i] = *link
	}
	shareLinkPage(links)
	return nil
}

// LinkUpdate holds changes of a link. A nil field is not changed; a pointer to
// nil sets null.
type LinkUpdate struct {
	PortfolioID *int64
	ImageID     **int64
	Image       *Image // stored as a new image
	Name        *string
	URL         **string
	Description **string
}

// NewImageID returns the ID of the image that the link is to have, or nil if
// the update has none.
func (u LinkUpdate) NewImageID() *int64 {
	if u.ImageID == nil {
		return nil
	}
	return *u.ImageID
}

// columns returns the columns to store. SQLite would check references that do not change.
func (u LinkUpdate) columns() []string {
	columns := []string{"name", "url", "description", "updated_at"}
	if u.PortfolioID != nil {
		columns = append(columns, "portfolio_id", "position")
	}
	if u.ImageID != nil || u.Image != nil {
		columns = append(columns, "image_id")
	}
	return columns
}

// UpdateLink changes a link. It returns the errors of UpdatePortfolio, or
// MissingError.
func (db *DB) UpdateLink(ctx context.Context, id int64, expected *Time, update LinkUpdate) (*PortfolioLink, error) {
	var link PortfolioLink
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		link = PortfolioLink{}
		// DeletePortfolio locks the portfolio first too: the same order avoids deadlocks.
		if err := db.lockReferences(ctx, tx, "NO KEY UPDATE", References{update.PortfolioID, update.NewImageID()}); err != nil {
			return err
		}
		if err := db.lockUnchanged(ctx, tx, &link, id, expected); err != nil {
			return err
		}
		if update.PortfolioID != nil && *update.PortfolioID != link.PortfolioID {
			link.PortfolioID = *update.PortfolioID
			if err := placeLast(ctx, tx, &link); err != nil {
				return err
			}
		}
		assign(&link.ImageID, update.ImageID)
		assign(&link.Name, update.Name)
		assign(&link.URL, update.URL)
		assign(&link.Description, update.Description)
		link.ImageData = update.Image
		if err := db.insertImageOf(ctx, tx, &link); err != nil {
			return err
		}
		link.UpdatedAt = nextUpdatedAt(link.UpdatedAt)
		if _, err := tx.NewUpdate().Model(&link).Column(update.columns()...).WherePK().Exec(ctx); err != nil {
			return err
		}
		return readImages(ctx, tx, &link)
	})
	return &link, err
}

// DeleteLink deletes a link and returns it, or the errors of UpdatePortfolio.
func (db *DB) DeleteLink(ctx context.Context, id int64, expected *Time) (*PortfolioLink, error) {
	var link PortfolioLink
	err := db.transaction(ctx, func(ctx context.Context, tx bun.Tx) error {
		link = PortfolioLink{}
		if err := db.lockUnchanged(ctx, tx, &link, id, expected); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&link).WherePK().Exec(ctx); err != nil {
			return err
		}
		return readImages(ctx, tx, &link)
	})
	return &link, err
}

// References are the IDs of rows that a link refers to. A nil ID refers to none.
type References struct{ PortfolioID, ImageID *int64 }

// References returns the IDs of the rows that the link refers to.
func (l *PortfolioLink) References() References { return References{&l.PortfolioID, l.ImageID} }

// lockReferences locks the rows that links refer to, so that no transaction deletes
// them. It locks portfolios with portfolioMode. The error may be MissingError.
func (db *DB) lockReferences(ctx context.Context, tx bun.IDB, portfolioMode string, references ...References) error {
	var portfolios, images []int64
	for _, r := range references {
		if r.PortfolioID != nil {
			portfolios = append(portfolios, *r.PortfolioID)
		}
		if r.ImageID != nil {
			images = append(images, *r.ImageID)
		}
	}
	existingPortfolios, err := db.lockAll(ctx, tx, (*Portfolio)(nil), portfolios, portfolioMode)
	if err != nil {
		return err
	}
	existingImages, err := db.lockAll(ctx, tx, (*Image)(nil), images, "KEY SHARE")
	if err != nil {
		return err
	}
	var missing MissingError
	for i, r := range references {
		if r.PortfolioID != nil && !slices.Contains(existingPortfolios, *r.PortfolioID) {
			missing = append(missing, MissingReference{i, PortfolioNode})
		}
		if r.ImageID != nil && !slices.Contains(existingImages, *r.ImageID) {
			missing = append(missing, MissingReference{i, ImageNode})
		}
	}
	if missing != nil {
		return missing
	}
	return nil
}

// lockAll locks rows, like lock, by ascending IDs, and returns the IDs that exist.
func (db *DB) lockAll(ctx context.Context, tx bun.IDB, model any, ids []int64, mode string) (existing []int64, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	query := tx.NewSelect().Model(model).Column("id").Where("id IN (?)", bun.List(ids)).Order("id")
	return existing, db.selectLocked(ctx, query, mode, &existing)
}

// CheckReferences returns MissingError if links refer to rows that do not
// exist.
func (db *DB) CheckReferences(ctx context.Context, references ...References) error {
	return db.lockReferences(ctx, db.read, "KEY SHARE", references...)
}

// readImages sets ImageData in the transaction that changed the links: if it
// fails, so does the change.
func readImages(ctx context.Context, tx bun.Tx, links ...*PortfolioLink) error {
	var ids []int64
	for _, link := range links {
		if link.ImageID != nil {
			ids = append(ids, *link.ImageID)
		}
	}
	if ids == nil {
		return nil
	}
	var images []*Image
	if err := tx.NewSelect().Model(&images).Where("id IN (?)", bun.List(ids)).Scan(ctx); err != nil {
		return err
	}
	for _, link := range links {
		for _, image := range images {
			if link.ImageID != nil && *link.ImageID == image.ID {
				link.ImageData = image
			}
		}
	}
	return readThumbnails(ctx, tx, images...)
}
