package legacyimport

import (
	"context"
	"strconv"

	"portfolio/db"
)

// idKey returns the key of a row that is its ID.
func idKey[Row db.Node](row Row) string { return formatID(row.NodeID().ID) }

// byID returns a function that loads rows by keys, from a function that loads rows by IDs.
func byID[Row db.Node](load func(db.ImportTx, context.Context, []int64) ([]Row, error)) func(db.ImportTx, context.Context, []string) ([]Row, error) {
	return func(tx db.ImportTx, ctx context.Context, keys []string) ([]Row, error) {
		ids := make([]int64, len(keys))
		for i, key := range keys {
			ids[i], _ = strconv.ParseInt(key, 10, 64) // as formatID wrote it
		}
		return load(tx, ctx, ids)
	}
}

// kinds are the kinds of rows, each after the kinds that its rows refer to.
var kinds = []importer{userKind, portfolioKind, imageKind, tokenKind, linkKind}

var userKind = &kind[*db.User]{
	name:  db.UserRow,
	rows:  func(b *batch) []*db.User { return b.users },
	key:   idKey[*db.User],
	label: idKey[*db.User],
	load:  byID(db.ImportTx.Users),
	put:   db.ImportTx.PutUsers,
	version: func(u *db.User) version {
		codes := u.Codes
		if len(codes) == 0 {
			codes = []int{}
		}
		return version{hash: hashOf(u.Username, u.IsActive, u.IsStaff, u.IsAdmin, u.CreatedAt.UTC(), codes)}
	},
	isSame: func(legacy, local *db.User) bool {
		return local.Username == legacy.Username || local.CreatedAt.Equal(legacy.CreatedAt.Time)
	},
	check: checkUsers,
}

// checkUsers rejects users whose names other local users have.
func checkUsers(ctx context.Context, t *transaction, rows []*db.User) (conflict[*db.User], error) {
	names := make([]string, len(rows))
	for i, user := range rows {
		names[i] = user.Username
	}
	ids, err := t.tx.UserIDs(ctx, names)
	return func(legacy, _ *db.User) string {
		if holder, exists := ids[legacy.Username]; exists && holder != legacy.ID {
			return "the local user " + formatID(holder) + " has its name"
		}
		return ""
	}, err
}

var portfolioKind = &kind[*db.Portfolio]{
	name:  db.PortfolioRow,
	rows:  func(b *batch) []*db.Portfolio { return b.portfolios },
	key:   idKey[*db.Portfolio],
	label: idKey[*db.Portfolio],
	load:  byID(db.ImportTx.Portfolios),
	put:   db.ImportTx.PutPortfolios,
	version: func(p *db.Portfolio) version {
		return version{hashOf(p.Name, p.CreatedAt.UTC(), p.UpdatedAt.UTC()), p.UpdatedAt.Time}
	},
	isSame: func(legacy, local *db.Portfolio) bool { return local.CreatedAt.Equal(legacy.CreatedAt.Time) },
	complete: func(b *batch, legacy, local *db.Portfolio) *db.Portfolio {
		if b.onlyIDs && local != nil {
			return local
		}
		return legacy
	},
}

var imageKind = &kind[*db.Image]{
	name:  db.ImageRow,
	rows:  func(b *batch) []*db.Image { return b.images },
	key:   idKey[*db.Image],
	label: idKey[*db.Image],
	load:  byID(db.ImportTx.Images),
	put:   db.ImportTx.PutImages,
	version: func(i *db.Image) version {
		thumbnails := make([]any, len(i.Thumbnails))
		for n, t := range i.Thumbnails {
			thumbnails[n] = []any{t.ID, t.Path, t.Size}
		}
		return version{hash: hashOf(i.Type, i.Name, i.Path, i.Size, i.Width, i.Height, i.Mode, i.CreatedAt.UTC(), thumbnails)}
	},
	isSame:   func(_, local *db.Image) bool { return local.SourceHash == nil && local.MimeType == nil }, // not uploaded
	complete: (*batch).withTime,
	check:    checkImages,
}

// withTime returns an image with a time. If the legacy system has no time, withTime uses the
// time of the local image. Without a local image, it uses the time of a link to the image.
func (b *batch) withTime(legacy, local *db.Image) *db.Image {
	if !legacy.CreatedAt.IsZero() {
		return legacy
	}
	image := new(*legacy)
	image.CreatedAt = db.Now()
	for _, link := range b.links {
		if link.row.ImageID != nil && *link.row.ImageID == image.ID {
			image.CreatedAt = link.row.CreatedAt
			break
		}
	}
	if local != nil {
		image.CreatedAt = local.CreatedAt
	}
	return image
}

// checkImages rejects images whose thumbnails belong to other images.
func checkImages(ctx context.Context, t *transaction, rows []*db.Image) (conflict[*db.Image], error) {
	var ids []int64
	for _, image := range rows {
		for _, thumbnail := range image.Thumbnails {
			ids = append(ids, thumbnail.ID)
		}
	}
	owners, err := t.tx.ThumbnailOwners(ctx, ids)
	return func(legacy, _ *db.Image) string {
		seen := map[int64]bool{}
		for _, thumbnail := range legacy.Thumbnails {
			owner, exists := owners[thumbnail.ID]
			if exists && owner != legacy.ID || seen[thumbnail.ID] {
				return "its thumbnail " + formatID(thumbnail.ID) + " belongs to another image, or is repeated"
			}
			seen[thumbnail.ID] = true
		}
		for id := range seen {
			owners[id] = legacy.ID
		}
		return ""
	}, err
}

var tokenKind = &kind[*db.Token]{
	name:  db.TokenRow,
	rows:  func(b *batch) []*db.Token { return b.tokens },
	key:   func(t *db.Token) string { return tokenKey(t.KeyHash) },
	label: func(t *db.Token) string { return tokenLabel(t.UserID) },
	load: func(tx db.ImportTx, ctx context.Context, keys []string) ([]*db.Token, error) {
		hashes := make([][]byte, len(keys))
		for i, key := range keys {
			hashes[i] = parseTokenKey(key)
		}
		return tx.Tokens(ctx, hashes)
	},
	put: func(tx db.ImportTx, ctx context.Context, created, _ []*db.Token) error { // equal keys have equal values
		return tx.CreateTokens(ctx, created)
	},
	version: func(t *db.Token) version { return version{hash: hashOf(t.KeyHash, t.UserID)} },
	isSame:  func(_, _ *db.Token) bool { return true },
	check:   checkTokens,
}

// checkTokens rejects tokens of users who were not imported, and keys that other users hold.
func checkTokens(ctx context.Context, t *transaction, rows []*db.Token) (conflict[*db.Token], error) {
	ids := make([]int64, len(rows))
	for i, token := range rows {
		ids[i] = token.UserID
	}
	owners, err := t.importedIDs(ctx, db.UserRow, ids)
	return func(legacy, local *db.Token) string {
		switch {
		case !owners[legacy.UserID]:
			return "its user " + formatID(legacy.UserID) + " was not imported"
		case local != nil && local.UserID != legacy.UserID:
			return "the local token belongs to the user " + formatID(local.UserID)
		}
		return ""
	}, err
}

var linkKind = &kind[*db.PortfolioLink]{
	name: db.LinkRow,
	rows: func(b *batch) []*db.PortfolioLink {
		rows := make([]*db.PortfolioLink, len(b.links))
		for i, link := range b.links {
			rows[i] = link.row
		}
		return rows
	},
	key:   idKey[*db.PortfolioLink],
	label: idKey[*db.PortfolioLink],
	load:  byID(db.ImportTx.Links),
	put:   db.ImportTx.PutLinks,
	version: func(l *db.PortfolioLink) version {
		return version{hashOf(l.PortfolioID, l.ImageID, l.Name, l.URL, l.Description, l.CreatedAt.UTC(), l.UpdatedAt.UTC()), l.UpdatedAt.Time}
	},
	isSame: func(legacy, local *db.PortfolioLink) bool { return local.CreatedAt.Equal(legacy.CreatedAt.Time) },
	check:  checkLinks,
}

// checkLinks rejects links whose portfolios or images were not imported.
func checkLinks(ctx context.Context, t *transaction, rows []*db.PortfolioLink) (conflict[*db.PortfolioLink], error) {
	var portfolioIDs, imageIDs []int64
	for _, link := range rows {
		portfolioIDs = append(portfolioIDs, link.PortfolioID)
		if link.ImageID != nil {
			imageIDs = append(imageIDs, *link.ImageID)
		}
	}
	usablePortfolios, err := t.importedIDs(ctx, db.PortfolioRow, portfolioIDs)
	if err != nil {
		return nil, err
	}
	usableImages, err := t.importedIDs(ctx, db.ImageRow, imageIDs)
	return func(legacy, _ *db.PortfolioLink) string {
		switch {
		case !usablePortfolios[legacy.PortfolioID]:
			return "its portfolio " + formatID(legacy.PortfolioID) + " was not imported"
		case legacy.ImageID != nil && !usableImages[*legacy.ImageID]:
			return "its image " + formatID(*legacy.ImageID) + " was not imported"
		}
		return ""
	}, err
}
